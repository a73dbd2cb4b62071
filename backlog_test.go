package pubsub

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// In the package, because a buffer seldom grows this way from outside: a backlog
// and a heap are what a slice is, slowly.

func TestBacklogIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := new(backlog)
		var model []Message
		number := uint64(0)
		numbered := func(n int) (all []Message) {
			for range n {
				number++
				all = append(all, Message{seq: number})
			}
			return all
		}
		var given, kept [][]Message
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 70), 0, 4).Draw(t, "begins with runs of") {
			msgs, shared := numbered(n), rapid.Bool().Draw(t, "shared")
			if model = append(model, msgs...); shared {
				given, kept = append(given, msgs), append(kept, slices.Clone(msgs))
			}
			b.add(&run{msgs: msgs, shared: shared})
		}
		for _, n := range rapid.SliceOf(rapid.IntRange(-90, 90)).Draw(t, "pushes and pops") {
			if n > 0 {
				for _, m := range numbered(n) {
					b.push(&m)
					model = append(model, m)
				}
			}
			for ; n < 0 && len(model) > 0; n++ {
				require.Equal(t, model[0], *b.front())
				require.Equal(t, model[0], b.pop())
				model = model[1:]
			}
			require.Equal(t, len(model), b.len())
			require.Equal(t, len(model), held(b), "it holds what was not read, and nothing else")
		}
		require.Equal(t, kept, given, "it leaves what it shares as it is")
	})
}

// held returns how many messages a backlog refers to.
func held(b *backlog) (n int) {
	if b.spare != nil {
		n += held(&backlog{first: b.spare})
	}
	for r := b.first; r != nil; r = r.next {
		for _, m := range r.msgs {
			if m.seq > 0 {
				n++
			}
		}
	}
	return n
}

// One that drops all the time is in a steady state, at any capacity.
func TestBacklogReusesItsRuns(t *testing.T) {
	for _, n := range []int{1, 3, 10, 100, 1000} {
		b := new(backlog)
		for range n {
			b.push(&Message{})
		}
		require.Zero(t, testing.AllocsPerRun(3, func() {
			for range 5000 {
				b.push(&Message{})
				b.pop()
			}
		}), "of %d", n)
	}
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
