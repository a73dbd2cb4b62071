package match

// In package match, since it also looks at what the index is made of.

import (
	"slices"
	"testing"

	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A model does to an index and to the plain loop the same, and compares them.
type model struct {
	index    *Index[int]
	loop     *Loop[int]
	live     []modelQuery
	names    int
	queries  map[string]*query.Query
	expected []int
}

type modelQuery struct {
	name          int
	text          string
	inIndex, loop ID
}

func newModel() *model {
	return &model{index: New[int](), loop: NewLoop[int](nil), queries: make(map[string]*query.Query)}
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
		name: m.names, text: text,
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

func (m *model) match(t require.TestingT, events map[string][]string) {
	m.expected = m.loop.Match(events, m.expected[:0])
	got := m.index.Match(events, nil)
	slices.Sort(m.expected)
	slices.Sort(got)
	if slices.Equal(m.expected, got) {
		return
	}
	for _, q := range m.live {
		if slices.Contains(m.expected, q.name) != slices.Contains(got, q.name) {
			require.FailNowf(t, "index and loop differ", "query %s\nevents %q\nin index %v, in loop %v", q.text, events,
				slices.Contains(got, q.name), slices.Contains(m.expected, q.name))
		}
	}
	require.Equal(t, m.expected, got, "a value came twice")
}

// drain removes all queries and requires that nothing is left of them.
func (m *model) drain(t require.TestingT) {
	for len(m.live) > 0 {
		m.remove(t, len(m.live)/2)
	}
	requireEmpty(t, &m.index.core)
}

// requireEmpty fails if the index holds anything that queries left.
func requireEmpty(t require.TestingT, c *core) {
	require.Zero(t, c.live.n)
	require.Empty(t, c.keys.numbers)
	for chunk, info := range c.slab.infos {
		require.Zero(t, info.used, "blocks in chunk %d", chunk)
	}
	require.Len(t, c.table.dir, 1)
	require.Zero(t, c.table.dir[0].used)
	require.Zero(t, c.grams.dir[0].used)
	require.Equal(t, bloom{}, *c.grams.blooms[0])
	require.Equal(t, 1, len(c.nodes)-len(c.freeNodes))
	require.Equal(t, len(c.trees), len(c.freeTrees))
	require.Empty(t, c.root.fields)
	require.Zero(t, c.root.total)
	require.Zero(t, c.root.heaped)
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
			for range choose(6) {
				m.match(t, randomEvents(choose))
			}
		}
		m.drain(t)
	})
}
