//go:build !race

package match_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// mostWork is how much of it one event of a workload may take, whatever the
// number of queries.
var mostWork = map[string]struct{ candidates, visited, probes float64 }{
	"equality": {1.5, 1, 4},
	"ranges":   {13, 12, 1},
	"mixed":    {4, 1, 9},
	"contains": {1.5, 1, 3},
	"hot":      {25, 1, 5},
	"sqrt":     {6, 4, 10},
	"corner":   {10, 30, 1},
}

// TestWorkFollowsTheMatches is the gate on all workloads with many queries.
func TestWorkFollowsTheMatches(t *testing.T) {
	const n, count = 100_000, 1000
	for _, w := range workload.Workloads {
		t.Run(w.Name, func(t *testing.T) {
			index, ids := match.NewFixed[int](), make([]match.ID, n)
			worst := uint64(0)
			moves := func(change func()) {
				before := index.Stats().Moved
				change()
				worst = max(worst, index.Stats().Moved-before)
			}
			for i, text := range w.Queries(n) {
				q := query.MustParse(text)
				moves(func() { ids[i] = index.Add(q, i) })
			}

			before := index.Stats()
			var found []int
			for _, e := range w.Events(count, n, 1) {
				found = index.Match(e, found[:0])
			}
			after, most := index.Stats(), mostWork[w.Name]
			require.LessOrEqual(t, float64(after.Candidates-before.Candidates)/count, most.candidates, "candidates of an event")
			require.LessOrEqual(t, float64(after.Visited-before.Visited)/count, most.visited, "nodes an event visits")
			require.LessOrEqual(t, float64(after.Probes-before.Probes)/count, most.probes, "look-ups of an event")

			for _, id := range ids {
				moves(func() { index.Remove(id) })
			}
			require.LessOrEqual(t, worst, uint64(mostMoved), "entries moved by one Add or Remove")
		})
	}
}
