package pubsub_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

func TestObserversSeeEveryPublicationInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		var seen []string
		var sequences []uint64
		server.Observe(func(m pubsub.Message) {
			seen = append(seen, "first")
			sequences = append(sequences, m.Sequence())
		})
		removeSecond := server.Observe(func(pubsub.Message) { seen = append(seen, "second") })
		server.Observe(func(pubsub.Message) { seen = append(seen, "third") })

		publish(t, server, 1, "a", "1") // matches nothing
		require.Equal(t, []string{"first", "second", "third"}, seen)
		removeSecond()
		removeSecond()
		seen = nil
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		publishN(t, server, 2, 3) // one inline, two queued
		synctest.Wait()
		require.Equal(t, []string{"first", "third"}, seen)
		for i := range 3 {
			require.Equal(t, 2+i, next(t, sub))
		}
		synctest.Wait()
		require.Equal(t, []uint64{1, 2, 3, 4}, sequences)
	})
}

func TestObserverSeesItBeforeSubscribers(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	server.Observe(func(m pubsub.Message) {
		require.Equal(t, 1, m.Data())
		require.Zero(t, sub.Len())
		require.NotZero(t, m.Time())
		require.Equal(t, map[string][]string{"a": {"1"}}, m.Events())
	})
	publish(t, server, 1, "a", "1")
	require.Equal(t, 1, sub.Len())
}

func TestObserverThatPanicsIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log records
		server := newServer(t)
		server.SetLogger(&log)
		sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
		seen := 0
		server.Observe(func(pubsub.Message) { panic("out of order") })
		server.Observe(func(pubsub.Message) { seen++ })
		server.Observe(nil)
		publishN(t, server, 1, 2)
		require.Equal(t, 2, seen)
		require.Equal(t, 2, sub.Len())
		synctest.Wait()
		require.Equal(t, 4, log.with("error: pubsub: observer panicked"), "nil too")
		require.Equal(t, 2, log.with("out of order"))
	})
}

func TestHooksMaySubscribeAndUnsubscribe(t *testing.T) {
	server := newServer(t, pubsub.BufferCapacity(10))
	old := subscribe(t, server, "old", "", 10, pubsub.Cancel)
	blocking := subscribeBlock(t, server, "blocking", 1, 0)
	var made *pubsub.Subscription
	var remove func()
	remove = server.Observe(func(m pubsub.Message) {
		if m.Sequence() != 2 {
			return
		}
		var err error
		made, err = server.Subscribe(ctx, "made", query.All, 10)
		require.NoError(t, err)
		require.NoError(t, server.Unsubscribe(ctx, "old", query.All))
		require.NoError(t, server.UnsubscribeID(ctx, blocking.ID()))
		require.Len(t, server.Stats().Subscriptions, 1)
		server.Observe(func(pubsub.Message) {})
		remove()
	})
	publishN(t, server, 1, 3)
	require.Equal(t, []int{3}, buffered(t, made), "it begins after the publication that it was made in")
	all, reason := rest(old)
	require.Equal(t, []int{1}, all, "the publication that it was removed in does not reach it")
	require.Equal(t, pubsub.ErrUnsubscribed, reason)
	require.Equal(t, []int{1}, buffered(t, blocking))
}

// An observer sees every publication that is accepted while it is there.
func TestObserversComeAndGo(t *testing.T) {
	server := newServer(t)
	const all = 2000
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for begun := uint64(0); begun < all; {
				var mu sync.Mutex // a publication under way may reach one that was removed
				var seen []uint64
				before := server.Stats().Sequence
				remove := server.Observe(func(m pubsub.Message) {
					mu.Lock()
					defer mu.Unlock()
					seen = append(seen, m.Sequence())
				})
				begun = server.Stats().Sequence
				for server.Stats().Published < min(begun+5, all) {
				}
				remove()
				mu.Lock()
				auditObserver(t, seen, before, begun, all)
				mu.Unlock()
			}
		})
	}
	publishN(t, server, 0, all)
	wg.Wait()
}

// auditObserver is for one that came after the publication before, and was
// there when the next after begun was accepted.
func auditObserver(t *testing.T, seen []uint64, before, begun, all uint64) {
	if begun+5 <= all {
		require.GreaterOrEqual(t, len(seen), 5)
	}
	for i, seq := range seen {
		require.Equal(t, seen[0]+uint64(i), seq, "no gap")
	}
	if len(seen) > 0 {
		require.GreaterOrEqual(t, seen[0], before)
		require.LessOrEqual(t, seen[0], begun+1)
	}
}

// Publications that were queued are matched in groups, before any of the group
// is dispatched.
func TestSubscriptionsComeAndGoWhileTheQueueIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, at = 40, 5 // more than two groups; in the first
		server := pubsub.NewServer(pubsub.BufferCapacity(n))
		goes := subscribe(t, server, "c", "a = 1", n+1, pubsub.Cancel)
		stays := subscribe(t, server, "stays", "a >= 1", n+1, pubsub.Cancel)
		for i := range n {
			publish(t, server, i+1, "a", "1")
		}
		var gone, refused error
		var comes *pubsub.Subscription
		server.Observe(func(m pubsub.Message) {
			if m.Sequence() == at {
				gone = server.UnsubscribeID(ctx, goes.ID())
				comes, refused = server.Subscribe(ctx, "c", parse("a = 1"), n+1)
			}
		})
		require.NoError(t, server.Start())
		synctest.Wait()
		require.NoError(t, gone)
		require.NoError(t, refused)
		publish(t, server, n+1, "a", "1")
		require.NoError(t, server.Stop())

		for sub, want := range map[*pubsub.Subscription][]int{
			goes: count(1, at-1), comes: count(n+1, 1), stays: count(1, n+1),
		} {
			got, _ := rest(sub)
			require.Equal(t, want, got)
		}
	})
}
