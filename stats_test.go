package pubsub_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// line returns the stats of one client's only subscription.
func line(t *testing.T, server *pubsub.Server, client string) pubsub.SubscriptionStats {
	t.Helper()
	for _, s := range server.Stats().Subscriptions {
		if s.ClientID == client {
			require.LessOrEqual(t, s.Delivered+s.Dropped+uint64(s.Depth), s.Matched)
			return s
		}
	}
	require.Fail(t, "no such client", client)
	return pubsub.SubscriptionStats{}
}

func TestStatsOfASubscription(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("out=%v", open), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				sub := subscribe(t, server, "c", "a = 1", 3, pubsub.DropOldest)
				if open {
					sub.Out()
				}
				want := pubsub.SubscriptionStats{
					ID: sub.ID(), ClientID: "c", Query: "a = 1", Overflow: pubsub.DropOldest, Capacity: 3,
				}
				require.Equal(t, want, line(t, server, "c"))

				publish(t, server, 0, "a", "1")
				publish(t, server, 1, "a", "2") // does not match
				time.Sleep(time.Minute)
				publish(t, server, 2, "a", "1")
				time.Sleep(time.Minute)
				want.Matched, want.Depth, want.Oldest = 2, 2, 2*time.Minute
				if open {
					want.Oldest = 0 // nobody can look into a channel
				}
				require.Equal(t, want, line(t, server, "c"))

				require.Equal(t, 0, next(t, sub))
				want.Depth, want.Delivered = 1, 1
				if !open {
					want.Oldest = time.Minute
				}
				require.Equal(t, want, line(t, server, "c"))

				for i := range 4 {
					publish(t, server, i, "a", "1")
				}
				want.Matched, want.Depth, want.Dropped, want.Oldest = 6, 3, 2, 0
				require.Equal(t, want, line(t, server, "c"))
				time.Sleep(time.Second)
				if !open {
					want.Oldest = time.Second
				}
				require.Equal(t, want, line(t, server, "c"))
			})
		})
	}
}

// Matched is what was delivered, dropped, and is in the buffer, and one more
// while a delivery waits for room.
func TestStatsCountAMessageThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, sub := blocked(t, 2, 0)
		s := line(t, server, "blocked")
		require.Equal(t, []uint64{3, 0, 0, 2}, []uint64{s.Matched, s.Delivered, s.Dropped, uint64(s.Depth)})
		require.Equal(t, 1, next(t, sub))
		synctest.Wait()
		s = line(t, server, "blocked")
		require.Equal(t, []uint64{3, 1, 0, 2}, []uint64{s.Matched, s.Delivered, s.Dropped, uint64(s.Depth)})
		publishN(t, server, 4, 1)
		synctest.Wait()
		sub.Out()
		synctest.Wait()
		s = line(t, server, "blocked")
		require.Equal(t, []uint64{4, 1, 0, 2}, []uint64{s.Matched, s.Delivered, s.Dropped, uint64(s.Depth)})
	})
}

// A bridge may publish with the time of a clock that is fast.
func TestAgeIsNeverNegative(t *testing.T) {
	server := newServer(t)
	subscribe(t, server, "c", "", 1, pubsub.Cancel)
	_, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{Time: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.Zero(t, server.Stats().Subscriptions[0].Oldest)
}

func TestStatsOfTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(7))
		begin := time.Now()
		subscribe(t, server, "a", "a = 1", 1, pubsub.Cancel)
		subscribe(t, server, "b", "a = 1", 1, pubsub.DropNewest)
		subscribe(t, server, "b", "b = 1", 1, pubsub.Cancel)
		unbuffered, err := server.SubscribeUnbuffered(ctx, "c", query.MustParse("c = 1"))
		require.NoError(t, err)
		publish(t, server, 1, "a", "1")
		publish(t, server, 2, "a", "1") // cuts a, drops one of b
		publish(t, server, 3, "a", "2")
		publish(t, server, 4, "c", "1") // waits
		publish(t, server, 5, "a", "1") // is queued
		synctest.Wait()

		stats := server.Stats()
		require.True(t, begin.Equal(stats.Since))
		stats.Since, stats.Subscriptions = time.Time{}, nil
		require.Equal(t, 3, stats.Index.Queries)
		stats.Index.Queries = 0
		stats.Index = pubsub.Stats{}.Index
		require.Equal(t, pubsub.Stats{
			Sequence: 5, Published: 4, Matched: 5, Dropped: 2, Delivered: 2, Cut: 1,
			Clients: 2, Queued: 1, QueueCapacity: 7,
		}, stats)
		require.Equal(t, 4, next(t, unbuffered))
	})
}

// What waits for room has not been delivered, and what a query failed at is not
// forgotten with the query.
func TestTotalsNeverFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		totals := func() [4]uint64 {
			synctest.Wait()
			stats := server.Stats()
			return [4]uint64{stats.Matched, stats.Delivered, stats.Dropped, stats.QueryFailures}
		}
		read, err := server.SubscribeUnbuffered(ctx, "read", query.All)
		require.NoError(t, err)
		left, err := server.SubscribeUnbuffered(ctx, "left", query.All)
		require.NoError(t, err)
		fails := queryFunc{"fails", func(map[string][]string) (bool, error) { return false, errors.New("no idea") }}
		_, err = server.Subscribe(ctx, "fails", fails)
		require.NoError(t, err)

		publish(t, server, 1)
		require.Equal(t, [4]uint64{2, 0, 0, 1}, totals())
		require.NoError(t, server.UnsubscribeID(ctx, left.ID()))
		require.Equal(t, [4]uint64{2, 0, 1, 1}, totals())
		require.Equal(t, 1, next(t, read))
		require.Equal(t, [4]uint64{2, 1, 1, 1}, totals())
		require.NoError(t, server.Unsubscribe(ctx, "fails", fails))
		require.Empty(t, server.Stats().Failures)
		require.Equal(t, [4]uint64{2, 1, 1, 1}, totals())

		require.NoError(t, server.Stop())
		require.NoError(t, server.Reset())
		require.Zero(t, totals())
	})
}

func TestRatesAreOfTheLastFullSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		rates := func() [2]float64 {
			stats := server.Stats()
			return [2]float64{stats.PublishRate, stats.MatchRate}
		}
		for i := range 2 {
			_, err := server.Subscribe(ctx, fmt.Sprint(i), query.All, 1000)
			require.NoError(t, err)
		}
		require.Equal(t, [2]float64{0, 0}, rates())
		publishN(t, server, 0, 30)
		require.Equal(t, [2]float64{0, 0}, rates(), "there is no full second yet")
		time.Sleep(time.Second)
		require.Equal(t, [2]float64{30, 60}, rates())
		publishN(t, server, 0, 10)
		time.Sleep(time.Second)
		require.Equal(t, [2]float64{20, 40}, rates())
		time.Sleep(3 * time.Second)
		require.Equal(t, [2]float64{8, 16}, rates())
		publishN(t, server, 0, 5)
		time.Sleep(5 * time.Second)
		require.Equal(t, [2]float64{4.5, 9}, rates(), "ten seconds at most")
		time.Sleep(time.Second)
		require.Equal(t, [2]float64{1.5, 3}, rates())
		time.Sleep(time.Minute)
		require.Equal(t, [2]float64{0, 0}, rates())
		publishN(t, server, 0, 20)
		time.Sleep(time.Second)
		require.Equal(t, [2]float64{2, 4}, rates())
	})
}

// The totals are the sums of the lines, as long as nobody leaves.
func TestTotalsAreSums(t *testing.T) {
	server := newServer(t)
	for i := range 300 {
		subscribe(t, server, fmt.Sprint(i%50), fmt.Sprintf("a > %d", i), i%20+1, []pubsub.Overflow{pubsub.DropOldest, pubsub.DropNewest}[i%2])
	}
	for i := range 100 {
		publish(t, server, i, "a", fmt.Sprint(i*3))
	}
	stats := server.Stats()
	var matched, dropped, rest uint64
	seen := map[uint64]bool{}
	for _, s := range stats.Subscriptions {
		require.False(t, seen[s.ID])
		seen[s.ID] = true
		matched += s.Matched
		dropped += s.Dropped
		rest += s.Delivered + uint64(s.Depth)
	}
	require.Len(t, stats.Subscriptions, 300)
	require.Equal(t, 50, stats.Clients)
	require.Equal(t, stats.Matched, matched)
	require.Equal(t, stats.Dropped, dropped)
	require.Equal(t, stats.Delivered, rest)
}

// What a line says was delivered never becomes less, and is never more than
// readers have asked for, whichever moment of a delivery that waits it shows.
func TestDeliveredNeverGoesBack(t *testing.T) {
	for _, open := range []bool{false, true} {
		for _, capacity := range []int{1, 2} {
			t.Run(fmt.Sprintf("out=%v/capacity=%d", open, capacity), func(t *testing.T) {
				server := newServer(t, pubsub.BufferCapacity(100))
				sub := subscribeBlock(t, server, "c", capacity, 0)
				if open {
					sub.Out()
				}
				const n = 2000
				var asked atomic.Uint64
				read := make(chan struct{})
				go func() {
					defer close(read)
					for i := range n {
						asked.Add(1)
						if m, err := sub.Next(ctx); err != nil || m.Data() != i {
							panic(fmt.Sprint(i, m, err))
						}
					}
				}()
				go func() {
					for i := range n {
						if err := server.Publish(ctx, i); err != nil {
							panic(err)
						}
					}
				}()
				last := uint64(0)
				for !isClosed(read) {
					s := line(t, server, "c")
					require.LessOrEqual(t, last, s.Delivered)
					require.LessOrEqual(t, s.Delivered, asked.Load())
					last = s.Delivered
				}
				require.EqualValues(t, n, line(t, server, "c").Delivered)
			})
		}
	}
}
