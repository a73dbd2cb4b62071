package load

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
	"github.com/harkbus/pubsub/cmd/hark/internal/latency"
)

// A Result is what a run found.
type Result struct {
	Options
	Subscribing time.Duration
	Bytes       int // that one subscription takes, idle
	Publishing  time.Duration

	Published uint64
	Matched   uint64 // pairs of publication and subscription
	Delivered uint64 // of these, read
	Dropped   uint64 // of these, lost because a buffer was full
	Cut       uint64 // subscriptions ended because their buffer was full

	Latency latency.Histogram // from before Publish until read
}

// report sums up when all is over, and checks that nothing is missing.
func (r *run) report() (*Result, error) {
	stats, result := r.server.Stats(), &r.result
	result.Published, result.Delivered = r.published.Load(), r.received.Load()
	result.Matched, result.Dropped, result.Cut = stats.Matched, stats.Dropped, stats.Cut
	for i := range r.latencies {
		result.Latency.Add(&r.latencies[i])
	}
	if result.Delivered+result.Dropped != result.Matched {
		return nil, fmt.Errorf("%d messages matched, but %d were read and %d dropped: this is a fault of the bus",
			result.Matched, result.Delivered, result.Dropped)
	}
	return result, nil
}

// Write writes the summary, with a histogram of latencies.
func (r *Result) Write(w io.Writer) error {
	var text strings.Builder
	tell := func(what, format string, args ...any) {
		fmt.Fprintf(&text, "%-11s %s\n", what, fmt.Sprintf(format, args...))
	}
	count := func(n uint64) string { return figure.Grouped(n) }
	tell("workload", "%s: %s", r.Workload.Name, r.Workload.About)
	tell("subscribed", "%s queries in %s (%s), %s bytes each with the index, without the query",
		count(uint64(r.Subs)), figure.Short(r.Subscribing), rate(float64(r.Subs)/r.Subscribing.Seconds()), count(uint64(max(r.Bytes, 0))))
	tell("published", "%s in %s (%s)", count(r.Published), figure.Seconds(r.Publishing), rate(float64(r.Published)/r.Publishing.Seconds()))
	tell("matched", "%s, %.3g a publication", count(r.Matched), float64(r.Matched)/float64(max(r.Published, 1)))
	tell("delivered", "%s (%s)", count(r.Delivered), rate(float64(r.Delivered)/r.Publishing.Seconds()))
	tell("dropped", "%s, and %s subscriptions cut", count(r.Dropped), count(r.Cut))
	r.writeLatency(&text)
	_, err := io.WriteString(w, text.String())
	return err
}

func (r *Result) writeLatency(text *strings.Builder) {
	total := r.Latency.Count()
	if total == 0 {
		return
	}
	var quantiles []string
	for _, percent := range []float64{50, 90, 99, 99.9, 100} {
		quantiles = append(quantiles, fmt.Sprintf("p%g %s", percent, figure.Short(r.Latency.Quantile(percent))))
	}
	fmt.Fprintf(text, "%-11s %s\n\n", "latency", strings.Join(quantiles, "  "))
	bins := r.Latency.Bins()
	most := int64(0)
	for _, b := range bins {
		most = max(most, b.Count)
	}
	for _, b := range bins {
		fmt.Fprintf(text, "%8s – %-8s %s %6.2f %%\n", b.Low, b.High, figure.Bar(float64(b.Count), float64(most), 40),
			100*float64(b.Count)/float64(total))
	}
}

func rate(perSecond float64) string { return figure.PerSecond(perSecond) }
