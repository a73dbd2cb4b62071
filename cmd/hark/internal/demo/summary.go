package demo

import (
	"fmt"
	"strings"
)

// summary tells how it went, for a view taken after the server stopped.
func summary(v View) string {
	var text strings.Builder
	tell := func(what, format string, args ...any) {
		fmt.Fprintf(&text, "  %-9s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&text, "In %s:\n", seconds(v.Elapsed))
	tell("published", "%s publications, up to block %s (%s)", grouped(v.Published), grouped(uint64(v.Height)),
		perSecond(float64(v.Published)/max(v.Elapsed.Seconds(), 1e-3)))
	tell("matched", "%s times, by the queries of %d subscribers", grouped(v.Matched), len(v.Rows))
	tell("delivered", "%s of them", grouped(v.Delivered))
	tell("dropped", "%s, for %s", grouped(v.Dropped), droppers(v.Rows))
	for _, r := range v.Rows {
		if r.Cut != "" {
			tell("cut", "%s, %s", r.Name, r.Cut)
		}
	}
	tell("latency", "p50 %s, p99 %s from publish to reader, for those who keep up", short(v.P50), short(v.P99))
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
