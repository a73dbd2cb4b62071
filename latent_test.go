package pubsub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// Subscriptions that wait for their turn cost each publication what begins
// with it, and not what still waits: thirty times as many take about thirty times
// as long, where a look at all of them would take nine hundred times.
func TestWaitingToBeginCostsNoLookAtTheOthers(t *testing.T) {
	few, many := time.Hour, time.Hour
	for range 3 {
		few = min(few, startAfter(t, 1_000))
		many = min(many, startAfter(t, 30_000))
	}
	require.Less(t, many, 200*few)
}

// startAfter subscribes and publishes n times, one after the other, before the
// server is started, and returns how long that and the rest took.
func startAfter(t *testing.T, n int) time.Duration {
	queries := make([]*query.Query, n)
	for i := range queries {
		queries[i] = parse(fmt.Sprintf("a = %d", i))
	}
	begin := time.Now()
	server := pubsub.NewServer(pubsub.BufferCapacity(n))
	for _, q := range queries {
		_, err := server.Subscribe(ctx, "c", q)
		require.NoError(t, err)
		require.NoError(t, server.Publish(ctx, nil))
	}
	require.NoError(t, server.Start())
	require.NoError(t, server.Stop())
	return time.Since(begin)
}

// Those that end before they begin are in nobody's way, wherever they wait.
func TestSubscriptionsThatEndBeforeTheyBegin(t *testing.T) {
	const n = 500
	server := pubsub.NewServer(pubsub.BufferCapacity(3 * n))
	var subs []*pubsub.Subscription
	for i := range n {
		publish(t, server, i, "a", "1")
		subs = append(subs, subscribe(t, server, fmt.Sprint(i), "a = 1", n, pubsub.Cancel))
	}
	ended := func(i int) bool { return i < 100 || i%3 == 0 || i > 450 }
	for i, sub := range subs {
		if ended(i) {
			require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
		}
	}
	publish(t, server, n, "a", "1")
	require.NoError(t, server.Start())
	require.NoError(t, server.Stop())
	for i, sub := range subs {
		var want []int
		for m := i + 1; m <= n && !ended(i); m++ {
			want = append(want, m)
		}
		got, _ := rest(sub)
		require.ElementsMatch(t, want, got, "subscription %d", i)
	}
}
