package redisbridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

func TestSecondBridgeToOneBusIsRefused(t *testing.T) {
	redis := redistest.Start(t)
	server := startServer(t)
	for _, mode := range []Mode{Live, Durable} { // which are two buses
		o := Options{Redis: optionOf(redis.Addr), Namespace: "twice", Mode: mode}
		first := attach(t, server, o)
		second := o
		second.ReceiveOnly = true
		_, err := Attach(server, second)
		require.ErrorIs(t, err, ErrAttached)
		require.ErrorContains(t, err, `"twice" in mode `+mode.String())

		attach(t, startServer(t), o)
		other := o
		other.Namespace = "other"
		attach(t, server, other)

		require.NoError(t, first.Close())
		attach(t, server, o)
	}
}

// Redis has many addresses, and one namespace may be in two.
func TestSecondBridgeByAnotherAddressEnds(t *testing.T) {
	redis, elsewhere := redistest.Start(t), redistest.Start(t)
	for _, mode := range []Mode{Live, Durable} {
		o := Options{Namespace: "twice", Mode: mode}
		first := join(t, redis, o).awaitReady(t)
		o.Redis = optionOf(elsewhere.Addr)
		apart := attach(t, first.server, o)
		require.NoError(t, apart.Ready(within(t, patience)))
		o.Redis = optionOf(redis.Addr)
		second := attach(t, first.server, o)
		select {
		case <-second.Done():
			require.ErrorIs(t, second.Err(), ErrAttached)
		case <-within(t, patience).Done():
			t.Fatal("it goes on")
		}
		require.NoError(t, first.Err())
		require.NoError(t, apart.Err())

		got := join(t, redis, Options{Namespace: "twice", Mode: mode}).awaitReady(t).collect()
		first.number(t, 0)
		first.number(t, 1)
		requireInOrder(t, 0, 2, got.await(t, has(1)))
	}
}

// Whoever came second ends, also if it was the first to reach Redis; and what has
// ended is in nobody's way.
func TestBridgeThatWasThereFirstStays(t *testing.T) {
	redis := redistest.Start(t)
	proxy := redistest.StartProxy(t, redis.Addr)
	proxy.Refuse(t, true)
	server := startServer(t)
	first := attach(t, server, Options{Redis: optionOf(proxy.Addr), Namespace: "order"})
	second := attach(t, server, Options{Redis: optionOf(redis.Addr), Namespace: "order"})
	require.NoError(t, second.Ready(within(t, patience)))
	proxy.Refuse(t, false)
	require.NoError(t, first.Ready(within(t, patience)))
	select {
	case <-second.Done():
		require.ErrorIs(t, second.Err(), ErrAttached)
	case <-within(t, patience).Done():
		t.Fatal("both go on")
	}

	o := Options{Redis: optionOf(redis.Addr), Namespace: "order", Partitions: 2, ReceiveOnly: true}
	wrong := attach(t, server, o)
	<-wrong.Done()
	attach(t, server, o)
	require.NoError(t, first.Close())
	require.NoError(t, server.Stop())
	eventually(t, "nothing is kept", func() bool {
		attached.mu.Lock()
		defer attached.mu.Unlock()
		return len(attached.of[server]) == 0
	})
}
