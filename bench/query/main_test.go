package main

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

// Time is for `go run ./query`; memory repeats well enough for a test.
func TestMemoryIsWithinTheBars(t *testing.T) {
	for _, c := range contests() {
		ours, allocs := memory(c.ours)
		theirs, _ := memory(c.theirs)
		require.GreaterOrEqual(t, float64(theirs), c.bars.bytes*float64(ours), c.name)
		if c.bars.bytes == 0 {
			require.Zero(t, allocs, c.name)
		}
	}
}

func BenchmarkQuery(b *testing.B) {
	for _, c := range contests() {
		for name, run := range map[string]func(){"hark": c.ours, "cometbft": c.theirs} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					run()
				}
			})
		}
	}
}
