package match_test

// Whatever queries are thrown at the index, the work that it does is bounded.
// These tests count work, which repeats on every machine, not time.

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

// work is what an index did per event.
type work struct{ candidates, matches, visited, probes float64 }

// workOf matches events and returns the work done.
func workOf(x *match.Index[int], events ...map[string][]string) work {
	before := x.Stats()
	for _, e := range events {
		x.Match(e, nil)
	}
	after, n := x.Stats(), float64(len(events))
	return work{
		candidates: float64(after.Candidates-before.Candidates) / n,
		matches:    float64(after.Matches-before.Matches) / n,
		visited:    float64(after.Visited-before.Visited) / n,
		probes:     float64(after.Probes-before.Probes) / n,
	}
}

// indexOf returns an index of the queries, and fails if adding one moves more
// entries than an Add may.
func indexOf(t *testing.T, texts ...string) (*match.Index[int], []match.ID) {
	t.Helper()
	x := match.NewFixed[int]()
	ids := make([]match.ID, len(texts))
	for i, text := range texts {
		q, err := query.New(text)
		require.NoError(t, err)
		before := x.Stats().Moved
		ids[i] = x.Add(q, i)
		require.LessOrEqual(t, x.Stats().Moved-before, uint64(mostMoved), "adding %s", text)
	}
	return x, ids
}

// removeAll takes all queries out, in random order.
func removeAll(t *testing.T, x *match.Index[int], ids []match.ID) {
	t.Helper()
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(len(ids)) {
		before := x.Stats().Moved
		require.True(t, x.Remove(ids[i]))
		require.LessOrEqual(t, x.Stats().Moved-before, uint64(mostMoved))
	}
}

const mostMoved = 1024

func repeat(n int, text func(i int) string) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = text(i)
	}
	return texts
}

// TestWorkFollowsMatchesNotQueries is the gate on all workloads: how many
// queries there are does not show.
func TestWorkFollowsMatchesNotQueries(t *testing.T) {
	most := map[string]work{ // beside the matches
		"equality": {candidates: 0.1, visited: 1, probes: 4},
		"ranges":   {candidates: 2, visited: 10},
		"mixed":    {candidates: 1, visited: 1, probes: 10},
		"contains": {candidates: 0.1, visited: 1, probes: 3},
		"hot":      {candidates: 16, visited: 2, probes: 6},
		"sqrt":     {candidates: 16, visited: 4, probes: 10},
		"corner":   {candidates: 2, visited: 20},
	}
	for _, w := range workload.Workloads {
		for _, n := range []int{1000, 20_000 / raceFactor} {
			t.Run(fmt.Sprintf("%s/%d", w.Name, n), func(t *testing.T) {
				x, ids := indexOf(t, w.Queries(n)...)
				did := workOf(x, w.Events(500, n, 1)...)
				t.Logf("%+v, %d bytes a query", did, x.Stats().Bytes/n)
				require.LessOrEqual(t, did.candidates-did.matches, most[w.Name].candidates)
				require.LessOrEqual(t, did.visited, most[w.Name].visited)
				require.LessOrEqual(t, did.probes, most[w.Name].probes)
				removeAll(t, x, ids)
			})
		}
	}
}

func TestBytesPerQueryAreBounded(t *testing.T) {
	most := map[string]int{
		"equality": 260, "ranges": 220, "mixed": 230, "contains": 160, "hot": 230, "sqrt": 270, "corner": 220,
	}
	const n = 50_000 // with the race detector, too: of few a table takes more for each
	for _, w := range workload.Workloads {
		x, _ := indexOf(t, w.Queries(n)...)
		require.LessOrEqual(t, x.Stats().Bytes/n, most[w.Name], w.Name)
	}
}

func TestMatchTakesNoMemory(t *testing.T) {
	for _, w := range workload.Workloads {
		const n = 5000
		x, _ := indexOf(t, w.Queries(n)...)
		events := w.Events(64, n, 1)
		found := make([]int, 0, 1000)
		var batch match.Batch[int]
		for _, e := range events {
			found = x.Match(e, found[:0])
		}
		x.MatchBatch(events, &batch)
		i := 0
		require.Zero(t, testing.AllocsPerRun(200, func() {
			found = x.Match(events[i%len(events)], found[:0])
			i++
		}), w.Name)
		require.Zero(t, testing.AllocsPerRun(20, func() { x.MatchBatch(events, &batch) }), w.Name)
	}
}

func TestFewQueriesAreTriedWithoutTheIndex(t *testing.T) {
	x, ids := indexOf(t, repeat(9, func(i int) string { return fmt.Sprintf("a = %d", i) })...)
	event := map[string][]string{"a": {"3"}}
	require.Equal(t, work{candidates: 1, matches: 1, visited: 1, probes: 1}, workOf(x, event))
	x.Remove(ids[0])
	require.Equal(t, work{candidates: 8, matches: 1}, workOf(x, event))
}

func TestHotPredicateSplitsItself(t *testing.T) {
	x, ids := indexOf(t, repeat(5000, func(i int) string {
		return fmt.Sprintf("tm.event = 'Tx' AND b > %d AND b < %d", i, i+2)
	})...)
	did := workOf(x, map[string][]string{"tm.event": {"Tx"}, "b": {"100.5"}})
	require.Equal(t, 2.0, did.matches)
	require.LessOrEqual(t, did.candidates, 4.0)
	require.LessOrEqual(t, did.visited, 10.0)
	require.Zero(t, workOf(x, map[string][]string{"tm.event": {"Vote"}, "b": {"100"}}).candidates)

	grown := x.Stats()
	require.Greater(t, grown.Nodes, 1)
	removeAll(t, x, ids)
	empty := match.New[int]().Stats()
	require.Equal(t, 1, x.Stats().Nodes)
	require.Less(t, x.Stats().Bytes-empty.Bytes, (grown.Bytes-empty.Bytes)/3, "the memory is given back")

	for i := range 5000 {
		x.Add(query.MustParse(fmt.Sprintf("tm.event = 'Tx' AND b > %d AND b < %d", i, i+2)), i)
	}
	require.InDelta(t, grown.Bytes, x.Stats().Bytes, float64(grown.Bytes)/10, "and used again")
	require.Equal(t, grown.Nodes, x.Stats().Nodes)
}

func TestHotConditionWithoutAnyOtherIsTriedOnce(t *testing.T) {
	x, ids := indexOf(t, repeat(3000, func(i int) string { return fmt.Sprintf("a = 'hot' AND b != %d", i) })...)
	require.Equal(t, 1500.0, workOf(x,
		map[string][]string{"a": {"hot", "hot", "hot"}, "b": {"x"}},
		map[string][]string{"a": {"cold"}, "b": {"x"}},
	).candidates)
	removeAll(t, x, ids)
}

func TestAlternativesDoNotMultiply(t *testing.T) {
	some := func(key string, i int) string {
		return fmt.Sprintf("%s IN (%d, 1, 2, 3, 4, 5, 6, 7)", key, i+10)
	}
	texts := repeat(400, func(i int) string {
		return "z = 'hot' AND " + some("a", i) + " AND " + some("b", i) + " AND " + some("c", i) + " AND " + some("d", i)
	})
	x, ids := indexOf(t, texts...)
	require.Less(t, x.Stats().Bytes/len(texts), 8000)
	event := map[string][]string{"z": {"hot"}, "a": {"11"}, "b": {"1"}, "c": {"2"}, "d": {"3"}}
	did := workOf(x, event)
	require.Equal(t, 1.0, did.matches)
	require.LessOrEqual(t, did.candidates, 400.0)
	removeAll(t, x, ids)
}

func TestManyAlternativesBesideAHotCondition(t *testing.T) {
	x, ids := indexOf(t, repeat(3000, func(i int) string {
		var operands []string
		for k := range 20 {
			operands = append(operands, fmt.Sprint(i*20+k))
		}
		return fmt.Sprintf("a = 'hot' AND b IN (%s)", strings.Join(operands, ", "))
	})...)
	did := workOf(x, map[string][]string{"a": {"hot"}, "b": {"30007"}})
	require.Equal(t, 1.0, did.matches)
	require.LessOrEqual(t, did.candidates, 50.0)
	removeAll(t, x, ids)
}

func TestNotIsTriedOnEveryEvent(t *testing.T) {
	x, ids := indexOf(t, repeat(1000, func(i int) string { return fmt.Sprintf("NOT a = %d", i) })...)
	require.Equal(t, 1000, x.Stats().Residual)
	require.Equal(t, work{candidates: 1000, matches: 999, visited: 1}, workOf(x, map[string][]string{"a": {"5"}}))
	removeAll(t, x, ids)
	require.Zero(t, x.Stats().Residual)
}

func TestNotBesideAConditionCostsNothing(t *testing.T) {
	x, _ := indexOf(t, repeat(1000, func(i int) string { return fmt.Sprintf("a = %d AND NOT b = 1", i) })...)
	require.Equal(t, 1.0, workOf(x, map[string][]string{"a": {"5"}}).candidates)
}

func TestOneByteContains(t *testing.T) {
	x, ids := indexOf(t, repeat(5000, func(i int) string {
		return fmt.Sprintf("a CONTAINS '%c' AND b = %d", 'a'+i%26, i)
	})...)
	did := workOf(x, map[string][]string{"a": {strings.Repeat("abc", 1000)}, "b": {"26"}})
	require.Equal(t, 1.0, did.matches)
	require.LessOrEqual(t, did.candidates, 16.0, "the other condition is the rarer one")
	removeAll(t, x, ids)

	x, _ = indexOf(t, repeat(26, func(i int) string { return fmt.Sprintf("a CONTAINS '%c'", 'a'+i) })...)
	did = workOf(x, map[string][]string{"a": {strings.Repeat("abc", 1000)}})
	require.Equal(t, work{candidates: 3, matches: 3, visited: 1, probes: 3}, did)
}

func TestLongValueIsReadOnce(t *testing.T) {
	texts := repeat(20_000/raceFactor, func(i int) string { return fmt.Sprintf("a CONTAINS 'needle-%d-%d'", i*7919, i) })
	x, ids := indexOf(t, texts...)
	random := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(' ' + random.IntN(95))
	}
	did := workOf(x, map[string][]string{"a": {string(noise) + "needle-7919-1"}})
	require.Equal(t, 1.0, did.matches)
	require.LessOrEqual(t, did.probes, float64(len(noise))/50, "the sieve keeps the table out of it")
	require.LessOrEqual(t, did.candidates, 100.0)

	did = workOf(x, map[string][]string{"a": {strings.Repeat("needle-7919-1 ", 1<<16)}})
	require.Equal(t, 1.0, did.matches)
	require.LessOrEqual(t, did.probes, 1000.0, "a gram is not looked up again and again")
	removeAll(t, x, ids)
}

func TestRegularExpressionsAreFoundByALiteral(t *testing.T) {
	x, ids := indexOf(t, repeat(100_000/raceFactor, func(i int) string {
		return fmt.Sprintf("a MATCHES '^[a-z]*-%d-(x|y)'", i)
	})...)
	did := workOf(x, map[string][]string{"a": {"item-777-x"}}, map[string][]string{"b": {"item-777-x"}})
	require.Equal(t, 0.5, did.matches)
	require.LessOrEqual(t, did.candidates, 50.0)
	require.Zero(t, x.Stats().Residual)
	removeAll(t, x, ids)
}

func TestRegularExpressionsWithoutALiteralAreTriedWhereTheirKeyIs(t *testing.T) {
	x, _ := indexOf(t, repeat(1000, func(i int) string { return fmt.Sprintf("a MATCHES '[a-z]{%d}[0-9]{%d}'", i%40+1, i/40+1) })...)
	require.Equal(t, 1000.0, workOf(x, map[string][]string{"a": {"item"}}).candidates)
	require.Zero(t, workOf(x, map[string][]string{"b": {"item"}}).candidates)
}

// TestRangesInAnyOrderOfInsertion fills range trees in the orders that are
// worst for a tree.
func TestRangesInAnyOrderOfInsertion(t *testing.T) {
	const n = 20_000 / raceFactor
	orders := map[string][]int{"random": rand.New(rand.NewPCG(1, 1)).Perm(n)}
	for i := range n {
		orders["ascending"] = append(orders["ascending"], i)
		orders["descending"] = append(orders["descending"], n-i)
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			x, ids := indexOf(t, repeat(n, func(i int) string {
				return fmt.Sprintf("a >= %d AND a < %d", order[i], order[i]+3)
			})...)
			var events []map[string][]string
			for i := range 200 {
				events = append(events, map[string][]string{"a": {fmt.Sprint(10 + i*97%(n-20))}})
			}
			did := workOf(x, events...)
			require.Equal(t, 3.0, did.matches)
			require.LessOrEqual(t, did.candidates, 4.0)
			require.LessOrEqual(t, did.visited, 12.0)
			removeAll(t, x, ids)
		})
	}
}

func TestRangesOfFourKeys(t *testing.T) {
	const n = 10_000 / raceFactor
	random := rand.New(rand.NewPCG(1, 1))
	x, ids := indexOf(t, repeat(n, func(int) string {
		var terms []string
		for _, key := range []string{"a", "b", "c", "d"} {
			low := random.IntN(1000)
			terms = append(terms, fmt.Sprintf("%s > %d AND %s < %d", key, low, key, low+300))
		}
		return strings.Join(terms, " AND ")
	})...)
	did := workOf(x, map[string][]string{"a": {"500"}, "b": {"400"}, "c": {"600"}, "d": {"300"}})
	require.LessOrEqual(t, did.candidates, did.matches+5)
	require.LessOrEqual(t, did.visited, 500.0)
	removeAll(t, x, ids)
}

func TestEveryQueryHasItsOwnKey(t *testing.T) {
	const n = 5000
	x, ids := indexOf(t, repeat(n, func(i int) string {
		return pickText(i, fmt.Sprintf("k%d.x = 'v'", i), fmt.Sprintf("k%d EXISTS", i), fmt.Sprintf("k%d.x > 5 AND k%d.y > 5", i, i))
	})...)
	event := map[string][]string{"k0.x": {"v"}, "k1.z": nil, "k2.x": {"7"}, "k2.y": {"8"}, "k3.x": nil, "k4": {"z"}, "other": {"v"}}
	did := workOf(x, event)
	require.Equal(t, 4.0, did.matches)
	require.LessOrEqual(t, did.probes, 10.0, "the keys of the event are looked up, not those of the index")
	removeAll(t, x, ids)
}

func pickText(i int, from ...string) string { return from[i%len(from)] }

func TestUnusualEventLeavesNoMemoryBehind(t *testing.T) {
	x, ids := indexOf(t, repeat(100, func(i int) string { return fmt.Sprintf("a = %d OR a = 'x%d' OR a > %d", i, i, 1_000_000+i) })...)
	values := repeat(100_000, func(i int) string { return fmt.Sprint(i) })
	require.Len(t, x.Match(map[string][]string{"a": values}, nil), 100)
	require.Len(t, x.Match(map[string][]string{"a": {"5", "x7"}}, nil), 2)
	removeAll(t, x, ids)
}

func TestManyCombinationsOfKeysShareTrees(t *testing.T) {
	x, ids := indexOf(t, repeat(2000, func(i int) string { return fmt.Sprintf("a > 5 AND k%d < %d", i, i) })...)
	did := workOf(x, map[string][]string{"a": {"7"}, "k1500": {"3"}})
	require.Equal(t, 1.0, did.matches)
	removeAll(t, x, ids)
}

func TestSameQueryManyTimes(t *testing.T) {
	x, ids := indexOf(t, repeat(5000, func(int) string { return "a = 1 AND b CONTAINS 'text' AND c > 5" })...)
	require.Equal(t, 5000.0, workOf(x, map[string][]string{"a": {"1"}, "b": {"a text"}, "c": {"6"}}).matches)
	removeAll(t, x, ids)
}

func TestQueryTooLargeForABlock(t *testing.T) {
	var operands []string
	for i := range 10_000 {
		operands = append(operands, fmt.Sprintf("'%d'", i))
	}
	large, err := query.Limits{Length: 1 << 20, Operands: 1 << 20}.New("a IN (" + strings.Join(operands, ", ") + ")")
	require.NoError(t, err)
	x, ids := indexOf(t, repeat(20, func(i int) string { return fmt.Sprintf("a = '%d'", i) })...)
	id := x.Add(large, 100)
	require.Equal(t, []int{100, 7}, x.Match(map[string][]string{"a": {"7"}}, nil))
	require.Empty(t, x.Match(map[string][]string{"a": {"x"}}, nil))
	require.Equal(t, 1, x.Stats().Residual)
	e, ok := x.Explain(map[string][]string{"a": {"7"}}, id)
	require.True(t, ok)
	require.True(t, e.Matched)
	require.True(t, x.Remove(id))
	removeAll(t, x, ids)
}

func TestBatchLooksUpTheKeysOfEachEvent(t *testing.T) {
	x, ids := indexOf(t, repeat(200, func(i int) string { return fmt.Sprintf("k%d = %d", i, i) })...)
	var events []map[string][]string
	for i := range 40 {
		events = append(events, map[string][]string{fmt.Sprint("k", 5*i): {"no", fmt.Sprint(5 * i)}})
	}
	var batch match.Batch[int]
	x.MatchBatch(events, &batch)
	for i := range events {
		require.Len(t, batch.Of(i), 1, "event %d", i)
	}
	removeAll(t, x, ids)
}
