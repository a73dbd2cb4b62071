package bridgemetrics_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/metrics/bridgemetrics"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/redisbridge"
)

const patience = 30 * time.Second

// join returns a server with a bridge, and its registry.
func join(t *testing.T, o redisbridge.Options) (*pubsub.Server, *redisbridge.Bridge, *prometheus.Registry) {
	t.Helper()
	server := pubsub.NewServer(pubsub.BufferCapacity(1))
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Stop() })
	bridge, err := redisbridge.Attach(server, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bridge.Close() })
	require.NoError(t, bridge.Ready(t.Context()))
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(bridgemetrics.New(bridge))
	return server, bridge, registry
}

// values returns all samples by name.
func values(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	all := make(map[string]float64)
	for _, f := range families {
		m := f.GetMetric()[0]
		all[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return all
}

// What a reader that is held up does not read shows, and what comes back to its
// sender proves delivery.
func TestLagAndHeartbeatAreMetrics(t *testing.T) {
	redis := redistest.Start(t)
	o := redisbridge.Options{Redis: redis.Option(), Namespace: "metrics", Mode: redisbridge.Durable}
	_, sender, sent := join(t, o)
	o.InboxBytes = 1
	server, _, received := join(t, o)
	sub, err := server.SubscribeWithArgs(t.Context(), pubsub.SubscribeArgs{ClientID: "held up", Query: query.All, Capacity: 1, Overflow: pubsub.Block})
	require.NoError(t, err)

	const publications = 50
	for range publications {
		require.NoError(t, sender.Publish(t.Context(), make([]byte, 32<<10), nil)) // a frame each
	}
	require.NoError(t, sender.Flush(t.Context()))
	require.Eventually(t, func() bool {
		all := values(t, received)
		return all["hark_bridge_lag_frames"] > 1 && all["hark_bridge_lag_seconds"] > 0
	}, patience, 10*time.Millisecond)
	for range publications {
		_, err := sub.Next(t.Context())
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		all := values(t, received)
		lag, known := all["hark_bridge_lag_frames"]
		return known && lag == 0 && all["hark_bridge_lag_seconds"] == 0 && all["hark_bridge_received_publications_total"] == publications
	}, patience, 10*time.Millisecond)

	require.Eventually(t, func() bool { return values(t, sent)["hark_bridge_heartbeat_timestamp_seconds"] > 1e9 }, patience, 10*time.Millisecond)
	all := values(t, sent)
	require.Equal(t, 1.0, all["hark_bridge_connected"])
	require.EqualValues(t, publications, all["hark_bridge_sent_publications_total"])
	require.EqualValues(t, publications, all["hark_bridge_accepted_publications_total"])
	require.Contains(t, all, "hark_bridge_heartbeat_round_trip_seconds")
}
