package pubsub_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

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
