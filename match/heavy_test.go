package match

// In package match, to count the steps that heavy values take, and to have few
// of them suffice.

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// nodesOf returns an index of so many nodes, each of 17 queries that ask for one
// value of x and one of the conditions, and an event that comes through all of
// them.
func nodesOf(t *testing.T, nodes int, condition func(j int) string, values ...string) (m *model, event map[string][]string) {
	m = newModel()
	event = map[string][]string{"k": values}
	for i := range nodes {
		for j := range 17 {
			m.add(t, fmt.Sprintf("x = 'n%d' AND %s", i, condition(j)))
		}
		event["x"] = append(event["x"], fmt.Sprint("n", i))
	}
	require.GreaterOrEqual(t, m.index.Stats().Nodes, nodes/2)
	return m, event
}

// One value of 1 MB was searched again in each of 986 nodes: for 14 s.
func TestHeavyValuesAreReadOnceForAllNodes(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	random := rand.New(rand.NewPCG(1, 0))
	const size = 50_000
	long := make([]byte, size)
	for i := range long {
		long[i] = letters[random.IntN(len(letters))]
	}
	many := make([]string, size/50)
	for i := range many {
		many[i] = fmt.Sprint("value", i)
	}
	digits := strings.Repeat("7", size)
	for name, c := range map[string]struct {
		condition func(j int) string
		values    []string
		ways      int64 // in which the values are looked up
	}{
		"CONTAINS of one size":   {func(j int) string { return fmt.Sprintf("k CONTAINS 'needle%d'", j) }, []string{string(long)}, 1},
		"CONTAINS of all sizes":  {func(j int) string { return fmt.Sprintf("k CONTAINS '%s'", letters[j:j+1+j%9]) }, []string{string(long)}, 6},
		"MATCHES":                {func(j int) string { return fmt.Sprintf("k MATCHES 'needle%d[a-z]'", j) }, []string{string(long)}, 1},
		"= number":               {func(j int) string { return fmt.Sprintf("k = %d", 100+j) }, []string{digits}, 1},
		"= text":                 {func(j int) string { return fmt.Sprintf("k = 'v%d'", j) }, []string{digits}, 1},
		"= one of many":          {func(j int) string { return fmt.Sprintf("k = 'value%d'", 2*j) }, many, 1},
		"= DATE beside many":     {func(j int) string { return fmt.Sprintf("k = DATE 2013-05-%d", 10+j) }, many, 1},
		"STARTSWITH beside many": {func(j int) string { return fmt.Sprintf("k STARTSWITH 'value%d'", j) }, many, 2},
		"ENDSWITH beside many":   {func(j int) string { return fmt.Sprintf("k ENDSWITH 'x%d'", j) }, many, 2},
	} {
		t.Run(name, func(t *testing.T) {
			const nodes = 100
			m, event := nodesOf(t, nodes, c.condition, c.values...)
			core := &m.index.core
			core.allowance = size / 2
			before := core.stats
			m.index.Find(event, nil, nil)
			weight := (&attribute{values: c.values}).weight() + perLookup*int64(len(c.values))
			require.LessOrEqual(t, core.read, core.allowance+(c.ways+digestSizes)*weight+perEntry*17*nodes*2, "steps")
			require.LessOrEqual(t, core.stats.Candidates-before.Candidates, uint64(2*17*nodes))
			m.match(t, event)
			m.drain(t)
		})
	}
}

// Whether some value has a text is told by digests well enough that few queries
// are left to be decided.
func TestDigestsRuleOutWhatNoValueContains(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	value := make([]byte, 1<<16)
	for i := range value {
		value[i] = byte(random.IntN(256))
	}
	const nodes = 60
	m, event := nodesOf(t, nodes, func(j int) string { return fmt.Sprintf("k CONTAINS 'abc%05d%s'", j, strings.Repeat("z", j)) }, string(value))
	m.index.core.allowance = 0
	_, undecided := m.index.Find(event, nil, nil)
	require.LessOrEqual(t, len(undecided), rarely) // on piles, before there is a digest
	require.Positive(t, m.index.core.read)

	event["k"][0] += "abc00007zzzzzzz" // in all nodes
	matched, undecided := m.index.Find(event, nil, nil)
	require.NotEmpty(t, undecided)
	require.LessOrEqual(t, len(matched)+len(undecided), nodes+rarely)
	m.match(t, event)
}

// What digests take is bounded; without one, nothing is ruled out by it.
func TestDigestsTakeBoundedMemory(t *testing.T) {
	const keys = 40
	m := newModel()
	event := make(map[string][]string)
	value := strings.Repeat("abcdefgh", 1<<15)
	for i := range 20 {
		for key := range keys {
			m.add(t, fmt.Sprintf("x = 'n%d' AND k%d CONTAINS 'needle%d'", i%2, key, i))
		}
	}
	event["x"] = []string{"n0", "n1"}
	for key := range keys {
		event[fmt.Sprint("k", key)] = []string{value}
	}
	c := &m.index.core
	c.allowance = 0
	c.event.begin(event, 0)
	digests := 0
	for key := range keys {
		number, ok := c.find(fmt.Sprint("k", key))
		require.True(t, ok)
		for class := range digestSizes {
			if c.digest(c.attribute(number), class).words != nil {
				digests++
			}
		}
	}
	held := 0
	for _, d := range c.event.digests.all {
		held += len(d.words)
	}
	require.LessOrEqual(t, held, mostDigested+mostDigested/8)
	require.Less(t, digests, keys*digestSizes)
	c.end()
	m.match(t, event)
	m.drain(t)
}

// A value of 1 MB of few different letters had 12 million candidates for 15
// queries, each of which compared 3,000 bytes.
func TestWhatIsAllOverAValueIsTriedAFewTimes(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	values := make([]string, 5000)
	for i := range values {
		values[i] = long(40) + fmt.Sprint(i)
	}
	for name, c := range map[string]struct {
		condition string
		values    []string
	}{
		"CONTAINS":   {"k CONTAINS '%s'", []string{strings.Repeat(long(3000)+"b", 30)}},
		"MATCHES":    {"k MATCHES '%s[xy]'", []string{strings.Repeat(long(3000)+"b", 30)}},
		"STARTSWITH": {"k STARTSWITH '%s'", values},
		"light":      {"k CONTAINS 'b%s'", []string{long(240)}},
	} {
		t.Run(name, func(t *testing.T) {
			limits := query.Limits{Length: 1 << 16, Regexp: 1 << 16}
			x := New[int]()
			for j := range 15 {
				q, err := limits.New(fmt.Sprintf(c.condition+" AND x = 'n'", long(3500+j)))
				require.NoError(t, err)
				x.Add(q, j)
			}
			events := map[string][]string{"k": c.values, "x": {"n"}}
			x.Find(events, nil, nil)
			require.LessOrEqual(t, x.Stats().Candidates, uint64(allAtOnce/perMiss))
			x.core.allowance = 1000
			before := x.Stats().Candidates
			x.Find(events, nil, nil)
			require.LessOrEqual(t, x.Stats().Candidates-before, uint64(1000/perMiss+15))
		})
	}
}

// 100,000 queries that each took somewhat less than 1,024 steps took half a
// second together.
func TestSearchesOfAllQueriesTogetherAreBounded(t *testing.T) {
	m := newModel()
	const queries = 2000
	for i := range queries {
		m.add(t, fmt.Sprintf("NOT (k CONTAINS '%sb' OR j = '%d')", strings.Repeat("a", 69), i))
	}
	event := map[string][]string{"k": {strings.Repeat(strings.Repeat("a", 61)+"b", 64)}, "j": {"none"}} // no digest tells
	const steps = (62*64 + 16) / 4
	matched, undecided := m.index.Find(event, nil, nil)
	require.Len(t, matched, allAtOnce/steps)
	require.Len(t, undecided, queries-allAtOnce/steps)
	m.match(t, event, event)
	matched, undecided = m.index.Find(event, nil, nil)
	require.Len(t, matched, allAtOnce/steps, "the next event has as much")
	require.Len(t, undecided, queries-allAtOnce/steps)
}

// Without other nodes, what is filed by values is found whatever these cost: an
// event with long values does not end subscriptions that it matches.
func TestLongValueIsSearchedOnceWhateverItCosts(t *testing.T) {
	x := New[int]()
	const queries = 200
	for i := range queries {
		x.Add(query.MustParse(fmt.Sprintf("k CONTAINS 'needle%d.'", i)), i)
	}
	value := strings.Repeat("-", allAtOnce+1)
	for i := range queries {
		value += fmt.Sprintf("needle%d.", i)
	}
	matched, undecided := x.Find(map[string][]string{"k": {value}}, nil, nil)
	require.Len(t, matched, queries)
	require.Empty(t, undecided)
}

// 16 publications that are matched together would hold up others 16 times as long.
func TestBatchStopsBehindAnEventThatTakesLong(t *testing.T) {
	x := New[int]()
	for i := range 20 {
		x.Add(query.MustParse(fmt.Sprintf("k CONTAINS 'needle%d.'", i)), i)
	}
	light := map[string][]string{"k": {"needle3."}}
	heavy := map[string][]string{"k": {strings.Repeat("-", 2*allAtOnce) + "needle4."}}
	var b Batch[int]
	events := []map[string][]string{light, heavy, heavy, light}
	x.FindBatch(events, &b)
	require.Equal(t, 2, b.Len())
	require.Equal(t, []int{3}, b.Of(0))
	x.MatchBatch(events, &b)
	require.Equal(t, len(events), b.Len())
	require.Equal(t, []int{3}, b.Of(3))
	require.Equal(t, b.Of(1), b.Of(2))
}
