package backoff

// In-package because the tests draw the delays themselves.

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// highest draws the largest delay that the ceiling allows.
func highest(n int64) int64 { return n - 1 }

func TestCeilingDoublesUpToMax(t *testing.T) {
	b := withRandom(8, 100, highest)
	for _, ceiling := range []time.Duration{8, 16, 32, 64, 100, 100} {
		require.Equal(t, ceiling-1, b.Next())
	}
}

func TestDelaysAreSpreadFromZeroToTheCeiling(t *testing.T) {
	const draws = 10_000
	b := New(time.Second, time.Second)
	var sum time.Duration
	for range draws {
		d := b.Next()
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.Less(t, d, time.Second)
		sum += d
	}
	// The mean of 10,000 uniform draws is 0.5 s ± 2.9 ms (one sigma).
	require.InDelta(t, 0.5, (sum / draws).Seconds(), 0.02)
}

func TestOnlyALastingConnectionResets(t *testing.T) {
	b := withRandom(8*time.Millisecond, 512*time.Millisecond, highest)
	b.Next()
	b.Lasted(511 * time.Millisecond)
	require.Equal(t, 16*time.Millisecond-1, b.Next())
	b.Lasted(512 * time.Millisecond)
	require.Equal(t, 8*time.Millisecond-1, b.Next())
}

func TestOddBoundsAreUsable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := time.Duration(rapid.Int64().Draw(t, "min"))
		most := time.Duration(rapid.Int64().Draw(t, "max"))
		b := New(least, most)
		for range 70 { // doubling int64 overflows after 63
			d := b.Next()
			if d < 0 || d >= max(least, most, 1) {
				t.Fatalf("delay %d outside [0, %d)", d, max(least, most, 1))
			}
		}
	})
}

func TestWaitSleepsForTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := withRandom(time.Second, time.Minute, highest)
		began := time.Now()
		for range 3 {
			require.NoError(t, b.Wait(t.Context()))
		}
		require.Equal(t, 7*time.Second-3, time.Since(began))
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopped) })

		began := time.Now()
		b := withRandom(time.Hour, time.Hour, highest)
		require.ErrorIs(t, b.Wait(ctx), stopped)
		require.Equal(t, time.Second, time.Since(began))
	})
}

// 8 to 512 ms against a server that refuses every attempt at once: the mean
// number of attempts in two seconds is a property of the two bounds.
func TestAttemptsAgainstARefusingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const runs = 200
		total := 0
		for range runs {
			b := New(8*time.Millisecond, 512*time.Millisecond)
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); total++ {
				b.Lasted(0)
				require.NoError(t, b.Wait(t.Context()))
			}
		}
		mean := float64(total) / runs
		t.Logf("%.1f attempts in 2 s", mean)
		require.Less(t, mean, 16.0)
	})
}
