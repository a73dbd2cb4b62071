package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkbus/pubsub/redisbridge"
)

var (
	bridgeConnected  = gauge("hark_bridge_connected", "1 if Redis has answered and nothing fails now.")
	bridgeAccepted   = counter("hark_bridge_accepted_publications_total", "Publications that the outbox took.")
	bridgeDropped    = counter("hark_bridge_dropped_publications_total", "Publications that the outbox did not take, or dropped again.")
	bridgeSent       = counter("hark_bridge_sent_publications_total", "Publications acknowledged by Redis.")
	bridgeReceived   = counter("hark_bridge_received_publications_total", "Publications received from other processes.")
	bridgeQueued     = gauge("hark_bridge_queued_publications", "Publications in outboxes.")
	bridgeGaps       = counter("hark_bridge_gaps_total", "Gaps in what other processes sent.")
	bridgeLost       = counter("hark_bridge_lost_publications_total", "Publications in gaps whose count is known.")
	bridgeReconnects = counter("hark_bridge_reconnects_total", "Connections to Redis made again.")
)

// Bridge collects what one bridge has done and holds.
type Bridge struct{ bridge *redisbridge.Bridge }

var _ prometheus.Collector = (*Bridge)(nil)

// NewBridge returns the collector of a bridge.
func NewBridge(bridge *redisbridge.Bridge) *Bridge { return &Bridge{bridge} }

// Describe implements prometheus.Collector.
func (b *Bridge) Describe(to chan<- *prometheus.Desc) {
	for _, m := range []metric{
		bridgeConnected, bridgeAccepted, bridgeDropped, bridgeSent, bridgeReceived, bridgeQueued, bridgeGaps, bridgeLost, bridgeReconnects,
	} {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (b *Bridge) Collect(to chan<- prometheus.Metric) {
	s := b.bridge.Stats()
	connected := 0.0
	if s.Connected {
		connected = 1
	}
	bridgeConnected.send(to, connected)
	bridgeAccepted.send(to, float64(s.Accepted))
	bridgeDropped.send(to, float64(s.Dropped))
	bridgeSent.send(to, float64(s.SentEvents))
	bridgeReceived.send(to, float64(s.Received))
	bridgeQueued.send(to, float64(s.Queued))
	bridgeGaps.send(to, float64(s.Gaps))
	bridgeLost.send(to, float64(s.Lost))
	bridgeReconnects.send(to, float64(s.Reconnects))
}
