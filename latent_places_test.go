package pubsub

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// In-package: where subscriptions wait shows in nothing but time and memory.

// Whatever comes, ends and begins, those that wait stay in their order and know
// their places, and what was removed takes no more places than they do, but for
// what a sweep has still to do.
func TestPlacesOfThoseThatWaitToBegin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := latent{first: rapid.SampledFrom([]uint32{0, 1<<31 - 5, 1<<32 - 5}).Draw(t, "first")} // places wrap around
		topic := newTopic(NewServer(), nil, "", indexed)
		want := make([]*Subscription, 0)
		sequence := uint64(0)
		check := func() {
			got := make([]*Subscription, 0, len(want))
			nils := 0
			for i, sub := range l.subs {
				if sub == nil {
					nils++
					continue
				}
				require.Equal(t, i, int(uint32(sub.place.index)-l.first))
				got = append(got, sub)
			}
			require.Equal(t, want, got)
			require.Equal(t, nils, l.gone)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					sub := &Subscription{topic: topic, capacity: 1, after: sequence}
					l.add(sub)
					want = append(want, sub)
				}
				sequence++
			},
			"remove": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					if len(want) == 0 {
						return
					}
					i := rapid.IntRange(0, len(want)-1).Draw(t, "i")
					l.remove(want[i])
					want = append(want[:i:i], want[i+1:]...)
				}
			},
			"begin": func(t *rapid.T) {
				until := rapid.Uint64Range(0, sequence).Draw(t, "until")
				for l.begin(until) {
				}
				for len(want) > 0 && want[0].after < until {
					want = want[1:]
				}
			},
			"": func(*rapid.T) { check() },
		})
	})
}

// Subscriptions that wait for their turn cost a publication nothing: what begins
// with it is taken out of the way, and not one of the others is moved.
func TestWaitingToBeginCostsNoLookAtTheOthers(t *testing.T) {
	const n = 1000
	var l latent
	topic := newTopic(NewServer(), nil, "", indexed)
	for sequence := range uint64(n) {
		l.add(&Subscription{topic: topic, capacity: 1, after: sequence})
	}
	for sequence := range uint64(n) {
		waiting := l.subs[1:]
		require.False(t, l.begin(sequence+1))
		if len(waiting) > 0 {
			require.Same(t, &waiting[0], &l.subs[0], "what waits stays where it is")
		}
		for i, sub := range waiting {
			require.Equal(t, i, int(uint32(sub.place.index)-l.first), "its place needs no renumbering")
		}
	}
	require.Empty(t, l.subs)
}

// Those that come and go before the first one begins take no memory with them,
// in whatever order they go, and no step looks at all of them.
func TestPlacesOfThoseThatEndedAreUsedAgain(t *testing.T) {
	var l latent
	topic := newTopic(NewServer(), nil, "", indexed)
	l.add(&Subscription{topic: topic}) // waits in front of all
	previous := &Subscription{topic: topic}
	l.add(previous)
	for range 100_000 {
		next := &Subscription{topic: topic}
		l.add(next)
		l.remove(previous)
		previous = next
		require.Less(t, len(l.subs), 20)
	}
}
