package language

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBothAgreeOnTheWorkloads(t *testing.T) {
	for _, w := range workloads {
		values := 0
		for _, v := range w.match {
			values += len(v)
		}
		require.Len(t, w.match, 10)
		require.Equal(t, 14, values)
		for _, m := range []matcher{parseOurs(w.text), parseTheirs(w.text)} {
			require.True(t, matches(m, w.match), w.text)
			require.False(t, matches(m, w.mismatch), w.text)
		}
	}
}

// Memory repeats well enough for a test.
func TestMemoryIsWithinTheBars(t *testing.T) {
	for _, c := range Contests() {
		ours, allocs := Memory(c.Ours)
		theirs, _ := Memory(c.Theirs)
		if c.Parse {
			require.GreaterOrEqual(t, theirs, 3*ours, c.Name)
		} else {
			require.Zero(t, allocs, c.Name)
		}
	}
}
