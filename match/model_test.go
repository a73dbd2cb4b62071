package match

// In package match, since it also looks at what the index is made of.

import (
	"fmt"
	"slices"
	"testing"

	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A model does to an index and to the plain loop the same, and compares them.
type model struct {
	index *Index[int]
	batch Batch[int]
	loop  *Loop[int]
	live  []modelQuery
	names int
	found Batch[int] // by FindBatch
}

type modelQuery struct {
	query         *query.Query
	name          int
	text          string
	inIndex, loop ID
}

func newModel() *model {
	return &model{index: New[int](), loop: NewLoop[int](nil)}
}

func (m *model) add(t require.TestingT, text string) {
	q := query.All
	if text != "empty" {
		var err error
		if q, err = query.New(text); err != nil {
			return // an operator that does not take the operand, or too long
		}
	}
	m.names++
	m.live = append(m.live, modelQuery{
		name: m.names, text: text, query: q,
		inIndex: m.index.Add(q, m.names), loop: m.loop.Add(q, m.names),
	})
}

func (m *model) remove(t require.TestingT, i int) {
	q := m.live[i]
	require.True(t, m.index.Remove(q.inIndex))
	require.False(t, m.index.Remove(q.inIndex))
	require.True(t, m.loop.Remove(q.loop))
	m.live = slices.Delete(m.live, i, i+1)
}

// match compares what index and loop find for events, one by one and together.
func (m *model) match(t require.TestingT, events ...map[string][]string) {
	m.index.MatchBatch(events, &m.batch)
	require.Equal(t, len(events), m.batch.Len())
	for i, e := range events {
		expected := m.loop.Match(e, nil)
		m.compare(t, e, expected, m.index.Match(e, nil))
		m.compare(t, e, expected, slices.Clone(m.batch.Of(i)))
	}
	m.find(t, events...)
}

// find does the same by Find and FindBatch: what they leave undecided is
// decided here, and has a regular expression, or the event is heavy.
func (m *model) find(t require.TestingT, events ...map[string][]string) {
	queries := make(map[int]*query.Query)
	for _, q := range m.live {
		queries[q.name] = q.query
	}
	m.index.FindBatch(events, &m.found)
	require.LessOrEqual(t, m.found.Len(), len(events))
	require.Equal(t, len(events) > 0, m.found.Len() > 0)
	if !slices.ContainsFunc(events, isHeavy) {
		require.Equal(t, len(events), m.found.Len())
	}
	for i, e := range events {
		expected := m.loop.Match(e, nil)
		decide := func(found, undecided []int) []int {
			found = slices.Clone(found)
			for _, name := range undecided {
				require.True(t, queries[name].Instructions() > 0 || isHeavy(e))
				if ok, _ := queries[name].Matches(e); ok {
					found = append(found, name)
				}
			}
			return found
		}
		m.compare(t, e, expected, decide(m.index.Find(e, nil, nil)))
		if i < m.found.Len() {
			m.compare(t, e, slices.Clone(expected), decide(m.found.Of(i), m.found.Undecided(i)))
		}
	}
}

// isHeavy reports whether some key has values that are many or long.
func isHeavy(events map[string][]string) bool {
	for _, values := range events {
		if (&attribute{values: values}).weight() > light {
			return true
		}
	}
	return false
}

func (m *model) compare(t require.TestingT, events map[string][]string, expected, got []int) {
	slices.Sort(expected)
	slices.Sort(got)
	if slices.Equal(expected, got) {
		return
	}
	for _, q := range m.live {
		if slices.Contains(expected, q.name) != slices.Contains(got, q.name) {
			require.FailNowf(t, "index and loop differ", "query %s\nevents %q\nin index %v, in loop %v", q.text, events,
				slices.Contains(got, q.name), slices.Contains(expected, q.name))
		}
	}
	require.Equal(t, expected, got, "a value came twice")
}

// drain removes all queries and requires that nothing is left of them.
func (m *model) drain(t require.TestingT) {
	for len(m.live) > 0 {
		m.remove(t, len(m.live)/2)
	}
	requireEmpty(t, &m.index.core)
	requireLetGo(t, &m.index.core)
}

// requireEmpty fails if the index holds anything that queries left.
func requireEmpty(t require.TestingT, c *core) {
	require.Zero(t, c.live.n)
	require.Zero(t, c.keys.all.n)
	require.Zero(t, c.keys.table.dir[0].used)
	require.Zero(t, c.fields.all.n)
	require.Zero(t, c.fields.table.dir[0].used)
	for chunk, info := range c.slab.infos {
		require.Zero(t, info.used, "blocks in chunk %d", chunk)
	}
	require.Len(t, c.table.dir, 1)
	require.Zero(t, c.table.dir[0].used)
	require.Zero(t, c.grams.dir[0].used)
	require.Zero(t, c.grams.sieve.added)
	require.Equal(t, 1, c.nodes.n)
	require.Zero(t, c.trees.n)
	require.Zero(t, c.root.fields)
	require.Zero(t, c.root.total)
	require.Zero(t, c.root.pile.len)
	require.Zero(t, c.root.backlog.len)
	require.Zero(t, c.root.posted.len)
	require.Nil(t, c.root.below)
	require.Equal(t, tally{}, c.asked)
}

func TestIndexIsThePlainLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		m := newModel()
		for range rapid.IntRange(1, 12).Draw(t, "phases") {
			for range choose(60) {
				m.add(t, randomQuery(choose, choose(4)))
			}
			for range choose(20) {
				if len(m.live) > 0 {
					m.remove(t, choose(len(m.live)))
				}
			}
			events := make([]map[string][]string, choose(6))
			for i := range events {
				events[i] = randomEvents(choose)
			}
			m.match(t, events...)
		}
		m.drain(t)
	})
}

// requireLetGo fails if the index still holds something of an event.
func requireLetGo(t require.TestingT, c *core) {
	require.Nil(t, c.event.keys)
	require.Zero(t, c.event.digests)
	for _, chunk := range c.keys.all.chunks {
		for i := 0; chunk != nil && i < rosterSize; i++ {
			require.Nil(t, chunk.items[i].values)
		}
	}
	for _, taken := range c.taken[:cap(c.taken)] {
		require.Nil(t, taken.values)
	}
}

// What an event of unusual size took is given back with the next one.
func TestUnusualEventKeepsNoMemory(t *testing.T) {
	x := New[int]()
	for i := range 100 {
		x.Add(query.MustParse(fmt.Sprintf("a = %d OR a = 'x%d' OR a > %d OR a CONTAINS 'y'", i, i, 1_000_000+i)), i)
	}
	values := make([]string, 100_000)
	for i := range values {
		values[i] = fmt.Sprint("x", i)
	}
	for _, unusual := range []func(events map[string][]string){
		func(events map[string][]string) { x.Match(events, nil) },
		func(events map[string][]string) { x.MatchBatch([]map[string][]string{events, events}, new(Batch[int])) },
	} {
		unusual(map[string][]string{"a": values})
		unusual(map[string][]string{"a": {"5"}})
		c := &x.core
		for name, n := range map[string]int{
			"found": cap(c.found), "cues": cap(c.cues), "taken": cap(c.taken), "coordinates": cap(c.event.coordinates),
		} {
			require.LessOrEqual(t, n, 1<<14, name)
		}
	}
}

// FuzzIndexIsThePlainLoop lets the bytes of the fuzzer choose what to do.
func FuzzIndexIsThePlainLoop(f *testing.F) {
	f.Add([]byte("a few bytes are enough for some queries and an event"))
	f.Fuzz(func(t *testing.T, data []byte) {
		choose := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := int(data[0])
			data = data[1:]
			return b % n
		}
		m := newModel()
		for len(data) > 0 {
			switch choose(8) {
			case 0:
				m.match(t, randomEvents(choose), randomEvents(choose))
			case 1:
				if len(m.live) > 0 {
					m.remove(t, choose(len(m.live)))
				}
			case 2:
				for text := randomQuery(choose, 2); len(m.live) < 400 && choose(16) > 0; {
					m.add(t, text)
				}
			default:
				m.add(t, randomQuery(choose, choose(4)))
			}
		}
		m.match(t, randomEvents(choose))
		m.drain(t)
	})
}
