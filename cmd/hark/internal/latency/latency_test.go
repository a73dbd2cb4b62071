package latency_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/cmd/hark/internal/latency"
)

func TestBinsBeginAtOneTwoAndFive(t *testing.T) {
	var h latency.Histogram
	require.Empty(t, h.Bins())
	for _, d := range []time.Duration{30, 40, 110 * time.Microsecond, 300 * time.Microsecond} {
		h.Record(d)
	}
	bins := h.Bins()
	require.Equal(t, latency.Bin{Low: 20, High: 50, Count: 2}, bins[0])
	require.Equal(t, latency.Bin{Low: 200 * time.Microsecond, High: 500 * time.Microsecond, Count: 1}, bins[len(bins)-1])
	for i, b := range bins[1:] {
		require.Equal(t, bins[i].High, b.Low)
	}
	require.Len(t, bins, 13)
}

func TestQuantilesAreExactToAHundredth(t *testing.T) {
	var h, other latency.Histogram
	require.Zero(t, h.Quantile(50))
	for i := range 1000 {
		to := &h
		if i%2 == 0 {
			to = &other
		}
		to.Record(time.Duration(i+1) * time.Microsecond)
	}
	h.Add(&other)
	h.Add(new(latency.Histogram))
	require.EqualValues(t, 1000, h.Count())
	require.InEpsilon(t, 500*time.Microsecond, h.Quantile(50), 0.01)
	require.InEpsilon(t, 990*time.Microsecond, h.Quantile(99), 0.01)
}

func TestTimesOutOfRangeCountAtItsEnds(t *testing.T) {
	var h latency.Histogram
	h.Record(-time.Second)
	h.Record(time.Hour)
	require.EqualValues(t, 2, h.Count())
	require.InEpsilon(t, latency.Longest, h.Quantile(100), 0.01)
}
