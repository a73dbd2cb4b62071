package match_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

var million = flag.Bool("million", false, "also measure with 1,000,000 queries")

// sizes returns how many queries benchmarks hold.
func sizes() []int {
	if *million {
		return []int{1_000, 100_000, 1_000_000}
	}
	return []int{1_000, 100_000}
}

const prebuilt = 16_384 // events, so that they do not stay in the processor's cache

// filled returns an index with the queries of a workload, the position of each
// as its value.
func filled(tb testing.TB, w workload.Workload, n int) (*match.Index[int], []match.ID) {
	tb.Helper()
	x := match.New[int]()
	ids := make([]match.ID, n)
	for i := range ids {
		q, err := query.New(w.Query(i, n))
		if err != nil {
			tb.Fatal(err)
		}
		ids[i] = x.Add(q, i)
	}
	return x, ids
}

func BenchmarkMatch(b *testing.B) {
	for _, w := range workload.Workloads {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("%s/queries=%d", w.Name, n), func(b *testing.B) {
				x, _ := filled(b, w, n)
				events := w.Events(prebuilt, n, 1)
				b.Run("one", func(b *testing.B) { benchmarkMatch(b, x, events) })
				b.Run("batch=32", func(b *testing.B) { benchmarkBatch(b, x, events) })
			})
		}
	}
}

func benchmarkMatch(b *testing.B, x *match.Index[int], events []map[string][]string) {
	b.ReportAllocs()
	var found []int
	before := x.Stats()
	for i := 0; b.Loop(); i++ {
		found = x.Match(events[i%len(events)], found[:0])
	}
	report(b, before, x.Stats())
}

func benchmarkBatch(b *testing.B, x *match.Index[int], events []map[string][]string) {
	b.ReportAllocs()
	var batch match.Batch[int]
	before := x.Stats()
	const size = 32
	for i := 0; b.Loop(); i++ {
		if i%size == 0 {
			begin := i % len(events)
			x.MatchBatch(events[begin:begin+size], &batch)
		}
	}
	report(b, before, x.Stats())
}

// report adds counters of work, which repeat where times do not.
func report(b *testing.B, before, after match.Stats) {
	per := func(n uint64, name string) {
		b.ReportMetric(float64(n)/float64(max(1, after.Events-before.Events)), name)
	}
	per(after.Candidates-before.Candidates, "candidates/op")
	per(after.Matches-before.Matches, "matches/op")
	per(after.Visited-before.Visited, "visited/op")
	per(after.Probes-before.Probes, "probes/op")
}
