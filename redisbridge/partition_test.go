package redisbridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

func routeByNumber(m pubsub.Message) string {
	for v := range m.Values("route") {
		return v
	}
	return ""
}

func TestOrderIsKeptPerRoutingKey(t *testing.T) {
	redis := redistest.Start(t)
	for _, mode := range []Mode{Live, Durable} {
		o := Options{Namespace: "routes", Mode: mode, Partitions: 8, Route: routeByNumber}
		a, b, got := joinTwo(t, redis, o)
		const n, keys = 4000, 10
		for i := range n {
			require.NoError(t, a.Publish(within(t, patience), i, map[string][]string{"route": {string(rune('a' + i%keys))}}))
		}
		numbers := got.await(t, func(got []int) bool { return len(got) == n })
		next := map[int]int{}
		for _, i := range numbers {
			require.Equal(t, next[i%keys], i/keys, "key %d", i%keys)
			next[i%keys]++
		}
		require.Len(t, b.Cursor().positions, map[Mode]int{Durable: 8}[mode])
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}
