package match_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// With few queries, which are all tried, and with many, which are looked up;
// one event at a time, and many.
func TestStatsCountWhatWasDone(t *testing.T) {
	for _, n := range []int{4, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			x := match.New[int]()
			for i := range n {
				x.Add(query.MustParse(fmt.Sprintf("a = 'v%d' OR b = 'v%d' OR c MATCHES '^w%d$'", i, i, i)), i)
			}
			require.Equal(t, n, x.Stats().Queries)
			events := []map[string][]string{
				{"a": {"v0", "v1"}, "b": {"v0"}}, // 0 and 1
				{"a": {"none"}},
				{"b": {"v2", "v2"}}, // 2
				{"c": {"w3"}},       // 3
			}
			for _, e := range events {
				x.Match(e, nil)
			}
			s := x.Stats()
			require.EqualValues(t, 4, s.Events)
			require.EqualValues(t, 4, s.Matches)
			require.GreaterOrEqual(t, s.Candidates, s.Matches)

			var batch match.Batch[int]
			x.MatchBatch(events, &batch)
			s = x.Stats()
			require.EqualValues(t, 8, s.Events)
			require.EqualValues(t, 8, s.Matches)
		})
	}
}

func TestRepeatedValueIsLookedAtOnce(t *testing.T) {
	x, ids := indexOf(t, repeat(1000, func(i int) string { return fmt.Sprintf("a = 'hot' AND b > %d AND c = 'v%d'", i, i) })...)
	once := workOf(x, map[string][]string{"a": {"hot"}, "b": {"2000"}, "c": {"v5"}})
	often := workOf(x, map[string][]string{"a": repeat(100, func(int) string { return "hot" }), "b": {"2000"}, "c": {"v5"}})
	require.Equal(t, 1.0, once.matches)
	require.Equal(t, once.visited, often.visited)
	require.Equal(t, once.candidates, often.candidates)
	removeAll(t, x, ids)
}
