package match

// In package match, to bring a slot near the end of its generations without
// four billion queries.

import (
	"math"
	"testing"

	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

func TestNoIDIsGivenTwiceWhenGenerationsRunOut(t *testing.T) {
	for name, stays := range map[string]bool{"beside another query": true, "in an index that empties": false} {
		t.Run(name, func(t *testing.T) {
			x := New[int]()
			given := make(map[ID]bool)
			add := func(v int) ID {
				id := x.Add(query.MustParse("a = 1"), v)
				require.NotZero(t, id)
				require.False(t, given[id], "%x was given before", id)
				given[id] = true
				return id
			}
			if stays {
				add(-1)
			}
			id := add(0)
			slot := uint32(id)
			generations := x.core.slots.at(slot)
			generations.generation, x.core.last = math.MaxUint32-3, math.MaxUint32-3
			id = ID(generations.generation)<<32 | ID(slot)
			for i := range 10 {
				require.True(t, x.Remove(id))
				require.False(t, x.Remove(id))
				old := id
				id = add(i)
				require.False(t, x.Remove(old), "an ID is good once")
				require.Contains(t, x.Match(map[string][]string{"a": {"1"}}, nil), i)
			}
			for given := range given {
				require.Equal(t, given == id || stays && uint32(given) == 0, x.Remove(given))
			}
			require.Zero(t, x.Len())
		})
	}
}

func TestAddOfNilLeavesTheIndexAsItWas(t *testing.T) {
	x, l := New[int](), NewLoop[int](nil)
	for i := range 2 * few {
		x.Add(query.MustParse("a = 1"), i)
		require.Panics(t, func() { x.Add(nil, -1) })
		l.Add(query.MustParse("a = 1"), i)
		require.Panics(t, func() { l.Add(nil, -1) })
	}
	events := map[string][]string{"a": {"1"}}
	require.Len(t, x.Match(events, nil), 2*few)
	require.Len(t, l.Match(events, nil), 2*few)
	require.Equal(t, 2*few, x.Len())
	require.Equal(t, 2*few, l.Len())
}
