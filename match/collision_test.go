package match

// In package match, to make conditions share a tag of the table, which happens
// by chance only to one in thousands.

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

// colliding returns two texts whose conditions on the keys a and b have the
// same tag in the root of c.
func colliding(c *core) (textOfA, textOfB string) { return collidingIn(c, c.root, c.root, "b") }

// collidingIn is colliding with the key a in one node and another in a second.
func collidingIn(c *core, inA, inB *node, other string) (textOfA, textOfB string) {
	a, b := c.keyOf("a"), c.keyOf(other)
	tags := make(map[uint32]string)
	for i := 0; ; i++ {
		text := fmt.Sprint("v", i)
		tags[uint32(c.hash(inA, byText, a, text, 0, 0)>>32)] = text
		if found, ok := tags[uint32(c.hash(inB, byText, b, text, 0, 0)>>32)]; ok {
			return found, text
		}
	}
}

func TestConditionsThatShareATagAreToldApart(t *testing.T) {
	x := New[string]()
	c := &x.core
	inA, inB := colliding(c)
	q := func(key, text string) *query.Query { return query.MustParse(fmt.Sprintf("%s = '%s'", key, text)) }
	events := func(key, text string) map[string][]string { return map[string][]string{key: {text}} }

	var ids []ID
	for i := range 2 * few {
		ids = append(ids, x.Add(q("other", fmt.Sprint(i)), "other"))
	}
	for size := 1; size <= 40; size++ { // as a single entry, a list, and a node
		ids = append(ids, x.Add(q("a", inA), "a"), x.Add(q("b", inB), "b"))
		a, b := x.Match(events("a", inA), nil), x.Match(events("b", inB), nil)
		require.Len(t, a, size)
		require.NotContains(t, a, "b")
		require.Len(t, b, size)
		require.NotContains(t, b, "a")
		require.Empty(t, x.Match(events("a", inB), nil))
	}
	for _, id := range ids {
		require.True(t, x.Remove(id))
	}
	requireEmpty(t, c)
}

func TestConditionsOfTwoNodesThatShareATagAreToldApart(t *testing.T) {
	for _, other := range []string{"a", "b"} {
		t.Run(other, func(t *testing.T) { testSharedTagOfTwoNodes(t, other) })
	}
}

func testSharedTagOfTwoNodes(t *testing.T, other string) {
	x := New[string]()
	c := &x.core
	var ids []ID
	add := func(count int, v, format string, args ...any) {
		for i := range count {
			ids = append(ids, x.Add(query.MustParse(fmt.Sprintf(format, args...)+fmt.Sprintf(" AND NOT z = %d", i)), v))
		}
	}
	add(longList+2, "filler", "top = 'x'") // makes a node
	top := x.core.keyOf("top")
	below := *c.nodes.at(c.table.find(c.hash(c.root, byText, top, "x", 0, 0)).value())
	require.Equal(t, c.root, below.parent)
	inA, inB := collidingIn(c, c.root, below, other)
	add(100, "b", "%s = '%s'", other, inB) // so that queries with both are filed by top first
	add(longList-5, "both", "top = 'x' AND %s = '%s'", other, inB)
	add(longList+5, "a", "a = '%s'", inA) // splits what they share
	add(longList+5, "both", "top = 'x' AND %s = '%s'", other, inB)

	found := x.Match(map[string][]string{"top": {"x"}, other: {inB}}, nil)
	require.Len(t, found, longList+2+100+2*longList)
	require.NotContains(t, found, "a")
	require.Len(t, x.Match(map[string][]string{"a": {inA}}, nil), longList+5)
	for _, id := range ids {
		require.True(t, x.Remove(id))
	}
	requireEmpty(t, c)
}

// Whatever the key and whatever the text, the hash is the same here, since
// mixed takes this one to 0.
func TestTextsThatShareOneHashAreToldApart(t *testing.T) {
	for seed := range soak.Rounds(t, 2) {
		random := rand.New(rand.NewPCG(seed, 0))
		m := newModel()
		m.index = newWith[int](func(string) uint64 { return 0xd6e8feb86659fd93 })
		require.Zero(t, m.index.core.hash(m.index.core.root, byText, 0, "x", 0, 0))
		for range 400 {
			m.add(t, wideQuery(random))
			if len(m.live) > 200 {
				m.remove(t, random.IntN(len(m.live)))
			}
			m.match(t, wideEvents(random))
		}
		m.drain(t)
	}
}

// The same text under another key is another condition.
func TestOneTextUnderTwoKeysOfOneHash(t *testing.T) {
	x := newWith[string](func(string) uint64 { return 0xd6e8feb86659fd93 })
	for range few {
		x.Add(query.MustParse("a = 'text'"), "a")
		x.Add(query.MustParse("b = 'text'"), "b")
	}
	require.NotContains(t, x.Match(map[string][]string{"a": {"text"}}, nil), "b")
	require.Len(t, x.Match(map[string][]string{"b": {"text"}}, nil), few)
	require.Len(t, x.Match(map[string][]string{"a": {"text"}, "b": {"text"}}, nil), 2*few)
}
