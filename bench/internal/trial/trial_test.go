package trial_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

// sleeper takes a fixed time for each operation, and every third sample twice
// that.
func sleeper(name string, each time.Duration, turns *[]string) trial.Contender {
	samples := 0
	return trial.Contender{Name: name, Sample: func(n int) (float64, error) {
		*turns = append(*turns, name)
		if samples++; samples%3 == 0 {
			n *= 2
		}
		time.Sleep(time.Duration(n) * each)
		return float64(each) * float64(1+samples%3/2), nil
	}}
}

func TestContendersTakeTurnsInShortSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns []string
		plan := trial.Plan{Sample: 4 * time.Millisecond, Rounds: 6, Budget: time.Minute}
		r, err := trial.Run(plan, sleeper("a", time.Microsecond, &turns), sleeper("b", time.Millisecond, &turns))
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "b", "a", "a", "b", "b", "a", "a", "b", "b", "a"}, turns[len(turns)-12:])
		require.InDelta(t, 4000, r[0].N, 400)
		require.InDelta(t, 4, r[1].N, 1)
		require.Equal(t, 1e3, r[0].Min())
		require.Equal(t, 1e6, r[1].Median())
	})
}

func TestTrialKeepsItsBudgetButHasSomeRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns []string
		plan := trial.Plan{Sample: time.Millisecond, Rounds: 100, Budget: time.Second}
		r, err := trial.Run(plan, sleeper("slow", time.Second, &turns))
		require.NoError(t, err)
		require.Len(t, r[0].Samples, trial.MinRounds)
	})
}

func TestTrialEndsWithTheFirstMistake(t *testing.T) {
	broken := errors.New("lost an item")
	_, err := trial.Run(trial.Plan{Rounds: 3}, trial.Contender{Name: "bus", Sample: func(int) (float64, error) { return 0, broken }})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "bus: ")
}

func TestSpreadIsTheLargerOverTheSmaller(t *testing.T) {
	a, b := &trial.Result{Samples: []float64{10, 10, 10}}, &trial.Result{Samples: []float64{10, 20, 5}}
	require.Equal(t, 2.0, trial.Spread(a, b))
}
