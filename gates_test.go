//go:build !race

package pubsub_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// The gates hold the work of a publication and of a subscription, where it is
// the same on every machine: allocations and bytes; the counters of the index
// are in match. The race detector allocates too and empties every sync.Pool, so
// they run without it: make gates. What depends on the machine is in
// docs/performance.md.

func TestPublishingAllocatesNothing(t *testing.T) {
	const n = 10_000
	for _, w := range workload.Workloads {
		t.Run(w.Name, func(t *testing.T) {
			server, index := newServer(t), match.New[*pubsub.Subscription]()
			for i, text := range w.Queries(n) {
				sub := subscribe(t, server, strconv.Itoa(i), text, 100, pubsub.Cancel)
				index.Add(sub.Query().(*query.Query), sub)
			}
			events := w.Events(64, n, 1)
			receivers := make([][]*pubsub.Subscription, len(events))
			for i, e := range events {
				receivers[i] = index.Match(e, nil)
			}
			requireNoAllocations(t, func(i int) {
				i %= len(events)
				require.NoError(t, server.PublishWithEvents(ctx, nil, events[i]))
				receive(t, receivers[i]...)
			})
		})
	}
}

func TestFanOutAllocatesNothing(t *testing.T) {
	server := newServer(t)
	var subs []*pubsub.Subscription
	for i := range 1000 {
		subs = append(subs, subscribe(t, server, strconv.Itoa(i), "", 100, pubsub.Cancel))
	}
	requireNoAllocations(t, func(int) {
		require.NoError(t, server.Publish(ctx, nil))
		receive(t, subs...)
	})
}

func TestWakingAReaderAllocatesNothing(t *testing.T) {
	for name, read := range map[string]func(ctx context.Context, sub *pubsub.Subscription, received chan<- error){
		"Next": func(ctx context.Context, sub *pubsub.Subscription, received chan<- error) {
			for {
				_, err := sub.Next(ctx)
				received <- err
				if err != nil {
					return
				}
			}
		},
		"Out": func(_ context.Context, sub *pubsub.Subscription, received chan<- error) {
			for {
				select {
				case <-sub.Out():
					received <- nil
				case <-sub.Canceled():
					received <- sub.Err()
					return
				}
			}
		},
	} {
		for _, capacity := range []int{1, 100} {
			t.Run(fmt.Sprintf("%s/capacity=%d", name, capacity), func(t *testing.T) { wakeWithoutAllocations(t, capacity, read) })
		}
	}
}

func wakeWithoutAllocations(t *testing.T, capacity int, read func(context.Context, *pubsub.Subscription, chan<- error)) {
	server, received := newServer(t), make(chan error)
	sub := subscribe(t, server, "reader", "", capacity, pubsub.Cancel)
	ctx, cancel := context.WithCancel(ctx) // a reader waits for its end too
	defer cancel()
	go read(ctx, sub, received)
	requireNoAllocations(t, func(int) {
		require.NoError(t, server.Publish(ctx, nil))
		require.NoError(t, <-received)
	})
	require.NoError(t, server.Stop())
	require.ErrorIs(t, <-received, pubsub.ErrServerStopped)
}

func TestDroppingAllocatesNothing(t *testing.T) {
	for _, policy := range []pubsub.Overflow{pubsub.DropOldest, pubsub.DropNewest} {
		t.Run(policy.String(), func(t *testing.T) {
			server := newServer(t)
			subscribe(t, server, "slow", "", 10, policy)
			requireNoAllocations(t, func(int) { require.NoError(t, server.Publish(ctx, nil)) })
		})
	}
}

// requireNoAllocations does something many times. What is allocated for many
// publications at once, such as the chunks of a log, counts as nothing here.
func requireNoAllocations(t *testing.T, do func(i int)) {
	t.Helper()
	i := 0
	once := func() {
		do(i)
		i++
	}
	for range 2000 { // until nothing grows any more
		once()
	}
	require.Zero(t, testing.AllocsPerRun(2000, once))
}

// A stream to a single reader leaves next to nothing for the collector: the room
// of what has been read is used again. Without that each message takes 48 bytes.
func TestStreamToOneReaderUsesItsRoomAgain(t *testing.T) {
	const n, window = 100_000, 500
	server := newServer(t)
	sub := subscribe(t, server, "reader", "", 2*window, pubsub.Cancel)
	batch := make([]pubsub.Message, window)
	stream := func(n int) {
		for range n / window {
			for range window {
				require.NoError(t, server.Publish(ctx, nil))
			}
			for left := window; left > 0; {
				n, err := sub.NextBatch(ctx, batch[:left])
				require.NoError(t, err)
				left -= n
			}
		}
	}
	stream(10 * window)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stream(n)
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/n, uint64(12), "bytes a message")
}

func receive(t *testing.T, subs ...*pubsub.Subscription) {
	for _, sub := range subs {
		if _, err := sub.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// What an idle subscription may take at any capacity, without its query and the
// name of its client, which are the caller's; and what a query that nobody else
// has adds to that, for its topic and its place in the index.
const (
	mostBytes      = 350
	mostTopicBytes = 450
)

func TestIdleSubscriptionIsSmall(t *testing.T) {
	const n = 100_000
	equality := workloadNamed(t, "equality")
	queries, clients := make([]*query.Query, n), make([]string, n)
	for i, text := range equality.Queries(n) {
		queries[i], clients[i] = query.MustParse(text), strconv.Itoa(i)
	}
	for _, c := range []struct {
		name     string
		capacity int
		most     int
		query    func(i int) *query.Query
	}{
		{"clients of one query", 1, mostBytes, func(int) *query.Query { return query.All }},
		{"clients of one query, large capacity", 1 << 20, mostBytes, func(int) *query.Query { return query.All }},
		{"distinct queries", 1, mostBytes + mostTopicBytes, func(i int) *query.Query { return queries[i] }},
		{"distinct queries, large capacity", 1 << 20, mostBytes + mostTopicBytes, func(i int) *query.Query { return queries[i] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := pubsub.NewServer()
			before := heap()
			for i := range n {
				_, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{ClientID: clients[i], Query: c.query(i), Capacity: c.capacity})
				if err != nil {
					t.Fatal(err)
				}
			}
			bytes := (heap() - before) / n
			t.Logf("%d bytes a subscription", bytes)
			require.LessOrEqual(t, bytes, c.most)
			runtime.KeepAlive(server)
		})
	}
	runtime.KeepAlive(clients)
	runtime.KeepAlive(queries)
}

// heap returns how many bytes are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
