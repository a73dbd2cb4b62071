package pubsub

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// In the package, because a buffer seldom grows this way from outside: a ring
// and a heap are what a slice is, slowly.

func TestRingIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var model []Message
		for range rapid.IntRange(0, 20).Draw(t, "begins with") {
			model = append(model, Message{seq: uint64(1 + len(model))})
		}
		r := ringOf(slices.Clone(model))
		if r == nil {
			r = new(ring)
		}
		for _, push := range rapid.SliceOf(rapid.Bool()).Draw(t, "pushes") {
			if push {
				m := Message{seq: uint64(1000 + len(model))}
				r.push(&m)
				model = append(model, m)
			} else if len(model) > 0 {
				require.Equal(t, model[0], *r.front())
				require.Equal(t, model[0], r.pop())
				model = model[1:]
			}
			require.Equal(t, len(model), r.len())
			held := slices.DeleteFunc(slices.Clone(r.buf), func(m Message) bool { return m.seq == 0 })
			require.LessOrEqual(t, len(held), len(model), "it holds nothing that was read")
		}
	})
}

func TestDueHeapHasTheFirstAtTheTop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h dueHeap
		at := map[*Subscription]uint64{} // the model
		var subs []*Subscription
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			n := rapid.Uint64Range(0, 50).Draw(t, "at")
			act := rapid.IntRange(0, 3).Draw(t, "act")
			if len(subs) == 0 || act < 2 {
				sub := &Subscription{}
				subs = append(subs, sub)
				at[sub] = n
				h.add(sub, n)
			} else {
				i := rapid.IntRange(0, len(subs)-1).Draw(t, "which")
				sub := subs[i]
				if act == 2 {
					at[sub] += n
					h.postpone(sub, at[sub])
				} else {
					h.remove(sub)
					require.Equal(t, nowhere, sub.place.list)
					delete(at, sub)
					subs = slices.Delete(subs, i, i+1)
				}
			}
			require.Len(t, h, len(at))
			for i, d := range h {
				require.Equal(t, at[d.sub], d.at)
				require.EqualValues(t, i, d.sub.place.index)
			}
			requireHeap(t, h)
		}
	})
}

// The one that takes the place of the removed one may belong further up:
//
//	     1                     1
//	  9     2      ─▶       4     2
//	(10) 11 3  4          9  11  3
func TestDueHeapIsInOrderAfterAnyRemoval(t *testing.T) {
	for removed := range 7 {
		var h dueHeap
		for _, at := range []uint64{1, 9, 2, 10, 11, 3, 4} {
			h.add(&Subscription{}, at)
		}
		h.remove(h[removed].sub)
		requireHeap(t, h)
		for last := uint64(0); len(h) > 0; h.remove(h[0].sub) {
			require.GreaterOrEqual(t, h[0].at, last, "the first of those left is at the top")
			last = h[0].at
		}
	}
}

// requireHeap requires that nobody is above one that is due earlier.
func requireHeap(t require.TestingT, h dueHeap) {
	for i := 1; i < len(h); i++ {
		require.GreaterOrEqual(t, h[i].at, h[(i-1)/2].at, "place %d", i)
	}
}
