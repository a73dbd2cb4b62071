package sim_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/sim"
)

func TestPaceKeepsTheRate(t *testing.T) {
	for _, perSecond := range []float64{0.5, 10, 1000, 20_000} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			ctx, cancel := context.WithDeadline(t.Context(), start.Add(10*time.Second))
			defer cancel()

			done := 0.0
			for pace := sim.NewPace(perSecond); pace.Wait(ctx) == nil; {
				done++
			}
			require.InDelta(t, 10*perSecond, done, 1+perSecond/1000)
			require.Equal(t, 10*time.Second, time.Since(start))
		})
	}
}

func TestPaceCatchesUpWithAShortStallOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := sim.NewPace(10)
		waitAtOnce := func() (n int) {
			for before := time.Now(); pace.Wait(t.Context()) == nil && time.Now().Equal(before); n++ {
			}
			return n
		}
		require.NoError(t, pace.Wait(t.Context()))
		time.Sleep(500 * time.Millisecond)
		require.Equal(t, 5, waitAtOnce(), "the five that fell due meanwhile")
		time.Sleep(time.Hour)
		require.Equal(t, 1, waitAtOnce(), "no burst after a long stall")
	})
}

func TestPaceWithoutLimitNeverWaits(t *testing.T) {
	for _, perSecond := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			pace := sim.NewPace(perSecond)
			for range 1000 {
				require.NoError(t, pace.Wait(t.Context()))
			}
			require.LessOrEqual(t, time.Since(start), time.Microsecond)
		})
	}
}

func TestPaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		pace := sim.NewPace(math.SmallestNonzeroFloat64)
		require.NoError(t, pace.Wait(ctx))
		time.AfterFunc(time.Minute, cancel)
		require.ErrorIs(t, pace.Wait(ctx), context.Canceled)

		require.ErrorIs(t, sim.NewPace(0).Wait(ctx), context.Canceled, "without limit")
		require.ErrorIs(t, sim.NewPace(1).Wait(ctx), context.Canceled, "due at once")
	})
}

func TestPublishReturnsWhatStoppedIt(t *testing.T) {
	stopped := errors.New("stopped")
	calls := 0
	err := sim.New(sim.Config{}).Publish(t.Context(), 0, func(context.Context, any, map[string][]string) error {
		calls++
		require.Equal(t, 1, calls)
		return stopped
	})
	require.ErrorIs(t, err, stopped)
}
