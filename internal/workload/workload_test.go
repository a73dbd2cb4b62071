package workload_test

import (
	"testing"

	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

func TestEventsMatchAsMuchAsTheWorkloadSays(t *testing.T) {
	const n, count = 1000, 200
	matches := map[string][2]float64{
		"equality": {1, 1}, "ranges": {9.5, 10}, "mixed": {3, 3}, "contains": {1, 1},
		"hot": {10, 10}, "sqrt": {1, 1}, "corner": {3, 8},
	}
	for _, w := range workload.Workloads {
		t.Run(w.Name, func(t *testing.T) {
			distinct := make(map[string]bool)
			var queries []*query.Query
			for _, text := range w.Queries(n) {
				q, err := query.New(text)
				require.NoError(t, err)
				queries = append(queries, q)
				distinct[text] = true
			}
			require.GreaterOrEqual(t, len(distinct), n*9/10)
			sum := 0
			for _, e := range w.Events(count, n, 1) {
				values := 0
				for _, v := range e {
					values += len(v)
				}
				require.Len(t, e, 10)
				require.Equal(t, 14, values)
				for _, q := range queries {
					if ok, _ := q.Matches(e); ok {
						sum++
					}
				}
			}
			mean := float64(sum) / count
			require.GreaterOrEqual(t, mean, matches[w.Name][0])
			require.LessOrEqual(t, mean, matches[w.Name][1])
		})
	}
}

func TestWorkloadIsFoundByName(t *testing.T) {
	w, ok := workload.Named("sqrt")
	require.True(t, ok)
	require.Equal(t, "sqrt", w.Name)
	_, ok = workload.Named("none")
	require.False(t, ok)
}
