package pubsub_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// subscribeBlock subscribes a client to everything with the policy Block.
func subscribeBlock(t testing.TB, server *pubsub.Server, client string, capacity int, timeout time.Duration) *pubsub.Subscription {
	t.Helper()
	sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
		ClientID: client, Query: query.All, Capacity: capacity, Overflow: pubsub.Block, BlockTimeout: timeout,
	})
	require.NoError(t, err)
	return sub
}

// blocked returns a server with room in its queue and a subscription to
// everything with Block, whose buffer is full of 1 … capacity; the next
// message waits for room.
func blocked(t testing.TB, capacity int, timeout time.Duration) (*pubsub.Server, *pubsub.Subscription) {
	t.Helper()
	server := newServer(t, pubsub.BufferCapacity(100))
	sub := subscribeBlock(t, server, "blocked", capacity, timeout)
	publishN(t, server, 1, capacity+1)
	synctest.Wait()
	require.Equal(t, capacity, sub.Len(), "what waits is not in the buffer")
	return server, sub
}

// A message goes first to all with room, and then to those who wait. Later
// publications wait with it.
func TestBlockedMessageGoesFirstToAllWithRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(100))
		first := subscribeBlock(t, server, "first", 1, 0)
		before := subscribe(t, server, "before", "", 10, pubsub.Cancel)
		second := subscribeBlock(t, server, "second", 2, 0)
		unbuffered, err := server.SubscribeUnbuffered(ctx, "unbuffered", query.All)
		require.NoError(t, err)
		after := subscribe(t, server, "after", "b EXISTS", 10, pubsub.Cancel)

		for i := range 4 {
			publish(t, server, i, "b", "1")
		}
		synctest.Wait()
		require.Equal(t, []int{1, 1, 1, 1}, []int{before.Len(), first.Len(), second.Len(), after.Len()})
		require.Equal(t, 0, next(t, unbuffered))
		synctest.Wait()
		require.Equal(t, []int{2, 1, 2, 2}, []int{before.Len(), first.Len(), second.Len(), after.Len()})
		require.Equal(t, 1, next(t, unbuffered)) // first still waits
		synctest.Wait()
		require.Equal(t, []int{2, 1, 2, 2}, []int{before.Len(), first.Len(), second.Len(), after.Len()})
		require.Equal(t, 0, next(t, first))
		synctest.Wait()
		require.Equal(t, []int{3, 1, 2, 3}, []int{before.Len(), first.Len(), second.Len(), after.Len()})
	})
}

// While a delivery waits, all other calls go through.
func TestNoLockIsHeldWhileADeliveryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, sub := blocked(t, 2, 0)
		other := subscribe(t, server, "other", "", 2, pubsub.Cancel)
		require.Equal(t, 2, server.NumClients())
		require.Equal(t, 1, server.NumClientSubscriptions("other"))
		require.Len(t, server.Stats().Subscriptions, 2)
		publishN(t, server, 10, 3)
		server.Observe(func(pubsub.Message) {})()
		require.NoError(t, server.Unsubscribe(ctx, "other", query.All))
		require.Equal(t, pubsub.ErrUnsubscribed, other.Err())
		require.Equal(t, 2, sub.Len())
		_, err := sub.Next(done)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, next(t, sub))
	})
}

func TestBlockWaitsForRoomAndLosesNothing(t *testing.T) {
	for name, read := range map[string]reading{"Next": byNext, "NextBatch": byBatch, "Messages": byMessages, "Out": byOut} {
		for _, capacity := range []int{0, 1, 5} {
			t.Run(fmt.Sprintf("%s/capacity=%d", name, capacity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t, pubsub.BufferCapacity(3))
					var sub *pubsub.Subscription
					if capacity > 0 {
						sub = subscribeBlock(t, server, "c", capacity, time.Second)
					} else {
						var err error
						sub, err = server.SubscribeUnbuffered(ctx, "c", query.All)
						require.NoError(t, err)
					}
					var wg sync.WaitGroup
					wg.Go(func() { publishN(t, server, 0, 100) })
					at := 0
					require.NoError(t, read(ctx, sub, func(m pubsub.Message) bool {
						require.Equal(t, at, m.Data())
						time.Sleep(time.Second / 4) // three of them, a batch, are less than the deadline
						at++
						return at < 100
					}))
					wg.Wait()
					require.Zero(t, sub.Dropped())
				})
			})
		}
	}
}

// The deadline is for each message anew, and cuts the subscription.
func TestBlockTimeoutCutsTheSubscription(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("out=%v", open), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, sub := blocked(t, 2, time.Second)
				if open {
					sub.Out()
				}
				publishN(t, server, 4, 3)
				for i := 1; i <= 3; i++ { // each in time for one more message
					time.Sleep(time.Second - 1)
					synctest.Wait()
					require.NoError(t, sub.Err())
					require.Equal(t, i, next(t, sub))
					synctest.Wait()
				}
				time.Sleep(time.Second - 1)
				synctest.Wait()
				require.NoError(t, sub.Err())
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				require.Equal(t, pubsub.ErrOutOfCapacity, sub.Err())
				require.True(t, isClosed(sub.Canceled()))
				require.Zero(t, server.NumClients())
				all, reason := rest(sub)
				require.Equal(t, []int{4, 5}, all)
				require.Equal(t, pubsub.ErrOutOfCapacity, reason)
				require.EqualValues(t, 1, sub.Dropped())
			})
		})
	}
}

// One that is cut for its time does not hurt the others that wait.
func TestBlockTimeoutsAreEachOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		short := subscribeBlock(t, server, "short", 1, time.Second)
		long := subscribeBlock(t, server, "long", 1, time.Minute)
		patient := subscribeBlock(t, server, "patient", 1, 0)
		publishN(t, server, 1, 3)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, pubsub.ErrOutOfCapacity, short.Err())
		require.Equal(t, pubsub.ErrOutOfCapacity, long.Err())
		require.NoError(t, patient.Err())
		require.Equal(t, 1, next(t, patient))
		require.Equal(t, 2, next(t, patient))
		require.Equal(t, 3, next(t, patient))
	})
}

func TestEndingReleasesTheWaitAtOnce(t *testing.T) {
	ends := map[string]func(*testing.T, *pubsub.Server, *pubsub.Subscription){
		"Unsubscribe": func(t *testing.T, server *pubsub.Server, _ *pubsub.Subscription) {
			require.NoError(t, server.Unsubscribe(ctx, "blocked", query.All))
		},
		"UnsubscribeID": func(t *testing.T, server *pubsub.Server, sub *pubsub.Subscription) {
			require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
		},
		"UnsubscribeAll": func(t *testing.T, server *pubsub.Server, _ *pubsub.Subscription) {
			require.NoError(t, server.UnsubscribeAll(ctx, "blocked"))
		},
	}
	for name, end := range ends {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/out=%v", name, open), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server, sub := blocked(t, 2, 0)
					if open {
						sub.Out()
						synctest.Wait()
					}
					begin := time.Now()
					end(t, server, sub)
					require.Equal(t, pubsub.ErrUnsubscribed, sub.Err())
					require.Zero(t, time.Since(begin))

					other := subscribe(t, server, "other", "", 1, pubsub.Cancel)
					publishN(t, server, 9, 1)
					require.Equal(t, 9, next(t, other))
					all, _ := rest(sub)
					require.Equal(t, []int{1, 2}, all, "nothing is added after the end")
					require.EqualValues(t, 1, sub.Dropped(), "what waited was dropped")
				})
			})
		}
	}
}

// The first call of Out moves what waits, wherever it waits.
func TestOutWhileADeliveryWaits(t *testing.T) {
	for _, unbuffered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unbuffered=%v", unbuffered), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, pubsub.BufferCapacity(10))
				sub := subscribeBlock(t, server, "c", 2, 0)
				if unbuffered {
					var err error
					sub, err = server.SubscribeUnbuffered(ctx, "u", query.All)
					require.NoError(t, err)
					require.NoError(t, server.UnsubscribeAll(ctx, "c"))
				}
				publishN(t, server, 1, 5)
				synctest.Wait()
				out := sub.Out()
				require.Equal(t, sub.Cap(), cap(out))
				for i := 1; i <= 5; i++ {
					require.Equal(t, i, (<-out).Data())
				}
				synctest.Wait()
				require.Empty(t, out)
				require.Zero(t, sub.Dropped())
			})
		})
	}
}

// A subscription without a buffer has no message that nobody has asked for.
func TestUnbufferedSubscriptionHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		require.Zero(t, sub.Cap())

		read := make(chan any, 1)
		go func() { read <- next(t, sub) }()
		synctest.Wait()
		publishN(t, server, 1, 1) // somebody waits for it
		require.Equal(t, 1, <-read)

		publishN(t, server, 2, 1) // nobody does
		synctest.Wait()
		require.Zero(t, sub.Len())
		line := server.Stats().Subscriptions[0]
		require.EqualValues(t, 2, line.Matched)
		require.EqualValues(t, 1, line.Delivered)

		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		m, err := sub.Next(brief)
		require.NoError(t, err)
		require.Equal(t, 2, m.Data())
		_, err = sub.Next(brief)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A reader of an unbuffered subscription that unsubscribes itself, while the
// next message waits for it, does not deadlock.
func TestUnbufferedReaderCanUnsubscribeItself(t *testing.T) {
	for _, open := range []bool{false, true} {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprintf("out=%v/all=%v", open, all), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t, pubsub.BufferCapacity(10))
					sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
					require.NoError(t, err)
					if open {
						sub.Out()
					}
					publishN(t, server, 1, 5)
					require.Equal(t, 1, next(t, sub))
					synctest.Wait()
					if all {
						require.NoError(t, server.UnsubscribeAll(ctx, "c"))
					} else {
						require.NoError(t, server.Unsubscribe(ctx, "c", query.All))
					}
					left, reason := rest(sub)
					require.Empty(t, left)
					require.Equal(t, pubsub.ErrUnsubscribed, reason)
					publishN(t, server, 6, 20) // nobody is in the way
				})
			})
		}
	}
}

// Unsubscribe returns after the delivery that was under way is over.
func TestUnsubscribeWaitsForTheHandOver(t *testing.T) {
	server := newServer(t, pubsub.BufferCapacity(4))
	for i := range 2000 {
		sub := subscribeBlock(t, server, "c", 1, 0)
		if i%2 == 0 {
			sub.Out()
		}
		publishN(t, server, 1, 3)
		var reader sync.WaitGroup
		if i%3 > 0 { // makes room meanwhile
			reader.Go(func() { sub.Next(ctx) })
		}
		require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
		dropped := sub.Dropped()
		reader.Wait()
		length := sub.Len()
		publishN(t, server, 4, 1) // goes through: all before it is over
		require.Equal(t, length, sub.Len())
		require.LessOrEqual(t, dropped, uint64(1))
	}
}

// A message that waited and one that comes later keep their order, whatever
// the reader does meanwhile.
func TestBlockedMessagesKeepTheirOrder(t *testing.T) {
	server := newServer(t, pubsub.BufferCapacity(7))
	for round := range 30 {
		sub := subscribeBlock(t, server, "c", 1+round%4, 0)
		var wg sync.WaitGroup
		wg.Go(func() { publishN(t, server, 0, 200) })
		for i := range 200 {
			if i == 100 {
				sub.Out()
			}
			require.Equal(t, i, next(t, sub))
		}
		wg.Wait()
		require.NoError(t, server.UnsubscribeAll(ctx, "c"))
	}
}

// Stats and the logger name the subscription that the bus waits for, once the
// wait is long, and each that holds the same message up.
func TestLongWaitNamesWhoHoldsTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log records
		server, sub := blocked(t, 2, 0)
		server.SetLogger(&log)
		unbuffered, err := server.SubscribeUnbuffered(ctx, "unbuffered", query.MustParse("a = 1"))
		require.NoError(t, err)
		said := func(client string) int {
			return log.with("error: pubsub: the bus waits for a subscriber to read client " + client)
		}
		waiting := func(client string) time.Duration { return line(t, server, client).Waiting }

		time.Sleep(999 * time.Millisecond)
		require.Zero(t, said("blocked"))
		require.Equal(t, 999*time.Millisecond, waiting("blocked"))
		require.Zero(t, waiting("unbuffered"))
		time.Sleep(time.Minute)
		require.Equal(t, 1, said("blocked"), "once for each wait")
		require.Equal(t, time.Minute+999*time.Millisecond, waiting("blocked"))
		require.Zero(t, server.Stats().Asking)

		require.Equal(t, 1, next(t, sub))
		synctest.Wait()
		require.Zero(t, waiting("blocked"))
		publish(t, server, 4, "a", "1") // for both
		time.Sleep(800 * time.Millisecond)
		require.Equal(t, 2, next(t, sub))
		time.Sleep(800 * time.Millisecond)
		require.Zero(t, waiting("blocked"))
		require.Equal(t, 1600*time.Millisecond, waiting("unbuffered"))
		require.Equal(t, 1, said("blocked"))
		require.Equal(t, 1, said("unbuffered"))
		require.Equal(t, 4, next(t, unbuffered))
		synctest.Wait()
		require.Zero(t, waiting("unbuffered"))

		// Many waits that are short are no long one.
		require.NoError(t, server.Unsubscribe(ctx, "unbuffered", unbuffered.Query()))
		for i := range 20 {
			publishN(t, server, i, 1)
			time.Sleep(900 * time.Millisecond)
			sub.Next(ctx)
		}
		time.Sleep(time.Minute)
		require.Equal(t, 1, said("blocked"))
	})
}

// What a reader that publishes under Block waits for, it waits for itself: the
// log and its context tell.
func TestReaderThatPublishesUnderBlockWaitsForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log records
		server := newServer(t)
		server.SetLogger(&log)
		sub := subscribeBlock(t, server, "echo", 1, 0)
		for i := range 2 {
			require.NoError(t, server.Publish(ctx, i)) // the second waits for room in the buffer
		}
		for m, err := range sub.Messages(ctx) {
			require.NoError(t, err)
			require.Equal(t, 0, m.Data())
			publishN(t, server, 2, 1) // it is dispatched, and waits for room
			soon, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			require.ErrorIs(t, server.Publish(soon, 3), context.DeadlineExceeded)
			break
		}
		require.Equal(t, 1, log.with("the bus waits for a subscriber to read client echo query"))
	})
}

// User code that holds the bus is named too: so is a publication from inside it
// that waits for room.
func TestLongWaitForUserCodeIsReported(t *testing.T) {
	for _, exits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log records
			server := newServer(t, pubsub.BufferCapacity(100))
			server.SetLogger(&log)
			sub := subscribe(t, server, "c", "", 200, pubsub.Cancel)
			server.Observe(func(m pubsub.Message) {
				if m.Data() == 0 {
					soon, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					for server.Publish(soon, 1) == nil {
					}
				}
				time.Sleep(100 * time.Millisecond)
				if exits {
					runtime.Goexit()
				}
			})
			go server.Publish(ctx, 0)
			time.Sleep(30 * time.Second)
			require.Equal(t, 30*time.Second, server.Stats().Asking)
			require.Zero(t, line(t, server, "c").Waiting)
			time.Sleep(time.Minute)
			require.Equal(t, 1, log.with("error: pubsub: the bus waits for an observer or a user-written query"))
			require.Equal(t, 101, sub.Len())
			require.Zero(t, server.Stats().Asking)
		})
	}
}
