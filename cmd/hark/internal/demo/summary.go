package demo

import (
	"fmt"
	"strings"

	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
)

// summary tells how it went, for a view taken after the server stopped.
func summary(v View) string {
	var text strings.Builder
	tell := func(what, format string, args ...any) {
		fmt.Fprintf(&text, "  %-9s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&text, "In %s:\n", figure.Seconds(v.Elapsed))
	tell("published", "%s publications, up to block %s (%s)", figure.Grouped(v.Published), figure.Grouped(uint64(v.Height)),
		figure.PerSecond(float64(v.Published)/max(v.Elapsed.Seconds(), 1e-3)))
	tell("matched", "%s times, by the queries of %d subscribers", figure.Grouped(v.Matched), len(v.Rows))
	tell("delivered", "%s of them", figure.Grouped(v.Delivered))
	tell("dropped", "%s, for %s", figure.Grouped(v.Dropped), droppers(v.Rows))
	for _, r := range v.Rows {
		if r.Cut != "" {
			tell("cut", "%s, %s", r.Name, r.Cut)
		}
	}
	tell("latency", "p50 %s, p99 %s from publish to reader, for those who keep up", figure.Short(v.P50), figure.Short(v.P99))
	return text.String()
}

// droppers names the subscribers that messages were dropped for.
func droppers(rows []Row) string {
	var names []string
	for _, r := range rows {
		if r.Dropped > 0 || r.Cut != "" {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, " and ")
}
