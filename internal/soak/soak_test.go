package soak

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRoundsAreTheSameEveryTime(t *testing.T) {
	t.Setenv(Variable, "")
	require.Equal(t, []uint64{0, 1, 2}, slices.Collect(Rounds(t, 3)))
}

func TestRoundsGoOnForTheDuration(t *testing.T) {
	t.Setenv(Variable, "10m")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var rounds []uint64
		for round := range Rounds(t, 3) {
			rounds = append(rounds, round)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 10*time.Minute, time.Since(began))
		for i, round := range rounds {
			require.Equal(t, rounds[0]+uint64(i), round)
		}
	})
}

func TestOneRoundAgain(t *testing.T) {
	t.Setenv(Variable, "@42")
	require.Equal(t, []uint64{42}, slices.Collect(Rounds(t, 3)))
}

func TestSoakingEndsWithAFailure(t *testing.T) {
	t.Setenv(Variable, "10m")
	failing := &failed{TB: t}
	rounds := 0
	for range Rounds(failing, 3) {
		rounds++
	}
	require.Equal(t, 1, rounds)
	failing.cleanup()
	require.Len(t, failing.logged, 2)
	require.Contains(t, failing.logged[1], "the last round again: %s=@%d")
}

// failed is a test that has failed.
type failed struct {
	testing.TB
	cleanup func()
	logged  []string
}

func (f *failed) Failed() bool                 { return true }
func (f *failed) Cleanup(do func())            { f.cleanup = do }
func (f *failed) Logf(format string, _ ...any) { f.logged = append(f.logged, format) }

func TestSoakingForNoTimeAtAllIsAnError(t *testing.T) {
	for _, value := range []string{"ten minutes", "@x"} {
		t.Setenv(Variable, value)
		fatal := &fatal{TB: t}
		func() {
			defer func() { _ = recover() }()
			Rounds(fatal, 3)
		}()
		require.True(t, fatal.called, value)
	}
}

// fatal is a test that takes note of its end.
type fatal struct {
	testing.TB
	called bool
}

func (f *fatal) Fatalf(string, ...any) {
	f.called = true
	panic("ended")
}
