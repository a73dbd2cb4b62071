package pubsub_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// The policies, and what a subscription with room for 3 has after 0 … 5 were
// published.
var overflows = []struct {
	policy  pubsub.Overflow
	left    []int
	dropped uint64
	reason  error // once the time of Block is over
}{
	{pubsub.Cancel, count(0, 3), 1, pubsub.ErrOutOfCapacity},
	{pubsub.DropOldest, count(3, 3), 3, nil},
	{pubsub.DropNewest, count(0, 3), 3, nil},
	{pubsub.Block, count(0, 3), 1, pubsub.ErrOutOfCapacity},
}

// With any number of subscribers of one query, and whatever they read with,
// each one overflows at the very message that does not fit.
func TestOverflowIsExactToTheMessage(t *testing.T) {
	readings := map[string]reading{"Next": byNext, "NextBatch": byBatch, "Messages": byMessages, "Out": byOut}
	for _, n := range []int{1, 10, 10_000} {
		for _, o := range overflows {
			for name, read := range readings {
				t.Run(fmt.Sprintf("subscribers=%d/%v/%s", n, o.policy, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						server := newServer(t, pubsub.BufferCapacity(10))
						subs := subscribeMany(t, server, n, o.policy, name == "Out")
						publishN(t, server, 0, 3)
						require.Equal(t, n, server.NumClients(), "three fit")
						publishN(t, server, 3, 3)
						time.Sleep(time.Hour)
						synctest.Wait()

						stats := server.Stats()
						require.EqualValues(t, uint64(n)*o.dropped, stats.Dropped)
						if o.reason != nil {
							require.Zero(t, stats.Clients)
							require.EqualValues(t, n, stats.Cut)
						}
						require.NoError(t, server.Stop())
						for _, sub := range subs {
							auditOverflow(t, sub, read, o.left, o.dropped, o.reason)
						}
					})
				})
			}
		}
	}
}

func subscribeMany(t *testing.T, server *pubsub.Server, n int, policy pubsub.Overflow, open bool) []*pubsub.Subscription {
	subs := make([]*pubsub.Subscription, n)
	for i := range subs {
		args := pubsub.SubscribeArgs{ClientID: fmt.Sprint(i), Query: query.All, Capacity: 3, Overflow: policy}
		if policy == pubsub.Block {
			args.BlockTimeout = time.Minute
		}
		var err error
		subs[i], err = server.SubscribeWithArgs(ctx, args)
		require.NoError(t, err)
		if open {
			subs[i].Out()
		}
	}
	return subs
}

// auditOverflow is for 10,000 subscriptions: it compares before it requires.
func auditOverflow(t *testing.T, sub *pubsub.Subscription, read reading, left []int, dropped uint64, reason error) {
	t.Helper()
	if reason == nil {
		reason = pubsub.ErrServerStopped
	}
	i := 0
	ended := read(ctx, sub, func(m pubsub.Message) bool {
		if i >= len(left) || m.Data() != left[i] {
			require.Fail(t, "wrong message", "%v is message %d of %s", m.Data(), i, sub.ClientID())
		}
		i++
		return true
	})
	if i != len(left) || ended != reason || sub.Dropped() != dropped || sub.Err() != reason || !isClosed(sub.Canceled()) { // returned bare
		require.Fail(t, "wrong end", "of %s after %d messages: %v, %v, %d dropped", sub.ClientID(), i, ended, sub.Err(), sub.Dropped())
	}
}

// Of many subscribers of one query those are cut that are full, at the message
// that each of them has no room for; nobody else waits or loses a message.
func TestSlowSubscriberIsCanceled(t *testing.T) {
	server := newServer(t)
	slow := map[int]*pubsub.Subscription{}
	for capacity := 1; capacity <= 20; capacity++ {
		slow[capacity] = subscribe(t, server, fmt.Sprint("slow ", capacity), "", capacity, pubsub.Cancel)
	}
	swift := subscribe(t, server, "swift", "", 1, pubsub.Cancel)
	other := subscribe(t, server, "other", "a EXISTS", 1, pubsub.Cancel)

	for i := range 20 {
		publishN(t, server, i, 1)
		require.Equal(t, i, next(t, swift))
		for capacity, sub := range slow {
			if capacity > i {
				require.NoError(t, sub.Err(), "message %d fits", i)
				continue
			}
			require.Equal(t, pubsub.ErrOutOfCapacity, sub.Err(), "message %d does not fit into %d", i, capacity)
			require.Zero(t, server.NumClientSubscriptions(sub.ClientID()), "it is forgotten at once")
		}
	}
	for capacity := 1; capacity < 20; capacity++ {
		all, reason := rest(slow[capacity])
		require.Equal(t, count(0, capacity), all)
		require.Equal(t, pubsub.ErrOutOfCapacity, reason)
		require.EqualValues(t, 1, slow[capacity].Dropped())
	}
	require.Equal(t, count(0, 20), buffered(t, slow[20]))
	require.NoError(t, other.Err())
	require.NoError(t, swift.Err())
}

func TestClientThatWasCutCanSubscribeAgain(t *testing.T) {
	server := newServer(t)
	first := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	publishN(t, server, 0, 2)
	require.True(t, isClosed(first.Canceled()))
	require.Zero(t, server.NumClients())
	require.ErrorIs(t, server.Unsubscribe(ctx, "c", query.All), pubsub.ErrSubscriptionNotFound)
	require.ErrorIs(t, server.UnsubscribeAll(ctx, "c"), pubsub.ErrSubscriptionNotFound)

	second := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	publishN(t, server, 2, 1)
	require.Equal(t, 2, next(t, second))
	all, reason := rest(first)
	require.Equal(t, count(0, 1), all)
	require.Equal(t, pubsub.ErrOutOfCapacity, reason)
}

func TestCutIsLogged(t *testing.T) {
	var log bytes.Buffer
	server := newServer(t)
	server.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	subscribe(t, server, "snail", "a EXISTS", 1, pubsub.Cancel)
	publish(t, server, 1, "a", "1")
	require.NotContains(t, log.String(), "snail")
	publish(t, server, 2, "a", "1")
	require.NoError(t, server.Stop()) // waits for the logger
	require.Contains(t, log.String(), "snail")
	require.Contains(t, log.String(), "a EXISTS")
}

// A subscription that dropped messages and was read empty is as good as new.
func TestDroppingSubscriptionCatchesUp(t *testing.T) {
	for _, policy := range []pubsub.Overflow{pubsub.DropOldest, pubsub.DropNewest} {
		t.Run(policy.String(), func(t *testing.T) {
			server := newServer(t)
			sub := subscribe(t, server, "c", "", 100, policy)
			witness := subscribe(t, server, "witness", "", 1, pubsub.Cancel)
			at := 0
			dropped := 0
			for round := range 10 {
				n := 90 + 10*round
				for range n {
					publishN(t, server, at, 1)
					require.Equal(t, at, next(t, witness))
					at++
				}
				first, kept := at-n, min(n, 100)
				if policy == pubsub.DropOldest {
					first = at - kept
				}
				dropped += n - kept
				require.Equal(t, kept, sub.Len())
				require.Equal(t, count(first, kept), buffered(t, sub))
				require.EqualValues(t, dropped, sub.Dropped())
			}
		})
	}
}

// Reading some of a full buffer makes exactly that much room.
func TestRoomIsWhatWasRead(t *testing.T) {
	for _, policy := range []pubsub.Overflow{pubsub.Cancel, pubsub.DropOldest, pubsub.DropNewest} {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/out=%v", policy, open), func(t *testing.T) {
				server := newServer(t)
				sub := subscribe(t, server, "c", "", 7, policy)
				if open {
					sub.Out()
				}
				at := 0
				for round := range 100 {
					fit := 7 - sub.Len()
					publishN(t, server, at, fit)
					at += fit
					require.Zero(t, sub.Dropped())
					require.Equal(t, 7, sub.Len())
					for i := range round%7 + 1 {
						require.Equal(t, at-7+i, next(t, sub))
					}
				}
				publishN(t, server, at, 7-sub.Len())
				require.Zero(t, sub.Dropped())
				publishN(t, server, at, 1)
				require.EqualValues(t, 1, sub.Dropped())
			})
		}
	}
}

func TestOverflowHasAName(t *testing.T) {
	names := []string{"cancel", "drop-oldest", "drop-newest", "block", "unknown"}
	for i, name := range names {
		require.Equal(t, name, pubsub.Overflow(i).String())
	}
}

// With many subscriptions that are full at once, each overflows at its own
// message, by its own policy, and those that read keep all.
func TestManyFullBuffersOverflowEachByItself(t *testing.T) {
	const n = 60
	server := newServer(t)
	subs := make([]*pubsub.Subscription, n)
	capacity := func(i int) int { return 1 + i%4 }
	policy := func(i int) pubsub.Overflow { return pubsub.Overflow(i / 4 % 3) } // none blocks
	reads := func(i int) bool { return i%5 == 0 }
	for i := range subs {
		subs[i] = subscribe(t, server, fmt.Sprint(i), "", capacity(i), policy(i))
	}
	const sent = 9
	for m := range sent {
		publish(t, server, m)
		for i, sub := range subs {
			if reads(i) {
				require.Equal(t, m, next(t, sub), "subscription %d", i)
			}
		}
	}
	for i, sub := range subs {
		if reads(i) {
			require.Zero(t, sub.Dropped())
			require.Zero(t, sub.Len())
			continue
		}
		first, dropped := 0, sent-capacity(i)
		switch policy(i) {
		case pubsub.Cancel:
			require.Equal(t, pubsub.ErrOutOfCapacity, sub.Err())
			dropped = 1
		case pubsub.DropOldest:
			first = dropped
		}
		require.EqualValues(t, dropped, sub.Dropped(), "subscription %d", i)
		for j := range capacity(i) {
			require.Equal(t, first+j, next(t, sub), "subscription %d", i)
		}
	}
}
