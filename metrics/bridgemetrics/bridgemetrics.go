// Package bridgemetrics has the Prometheus collector of a bridge to Redis.
//
//	registry.MustRegister(metrics.NewBus(bus), bridgemetrics.New(bridge))
//
// It is a package of its own so that users of package metrics do not link the
// bridge and the Redis client.
package bridgemetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkbus/pubsub/metrics/internal/metric"
	"github.com/harkbus/pubsub/redisbridge"
)

var (
	connected  = metric.Gauge("hark_bridge_connected", "1 if Redis has answered and nothing fails now.")
	accepted   = metric.Counter("hark_bridge_accepted_publications_total", "Publications that the outbox took.")
	dropped    = metric.Counter("hark_bridge_dropped_publications_total", "Publications that the outbox did not take, or dropped again.")
	sent       = metric.Counter("hark_bridge_sent_publications_total", "Publications acknowledged by Redis.")
	received   = metric.Counter("hark_bridge_received_publications_total", "Publications received from other processes.")
	queued     = metric.Gauge("hark_bridge_queued_publications", "Publications in outboxes.")
	gaps       = metric.Counter("hark_bridge_gaps_total", "Gaps in what other processes sent.")
	lost       = metric.Counter("hark_bridge_lost_publications_total", "Publications in gaps whose count is known.")
	reconnects = metric.Counter("hark_bridge_reconnects_total", "Connections to Redis made again.")
	lagFrames  = metric.Gauge("hark_bridge_lag_frames", "Frames in Redis that were not read yet; absent while unknown.")
	lagSeconds = metric.Gauge("hark_bridge_lag_seconds", "Age of the oldest frame in Redis that was not read yet.")
	heartbeat  = metric.Gauge("hark_bridge_heartbeat_timestamp_seconds", "When a frame of this process came back last; absent before.")
	roundTrip  = metric.Gauge("hark_bridge_heartbeat_round_trip_seconds", "How long that frame took; absent before.")
)

// A Collector collects what one bridge has done and holds.
type Collector struct{ bridge *redisbridge.Bridge }

var _ prometheus.Collector = (*Collector)(nil)

// New returns the collector of a bridge.
func New(bridge *redisbridge.Bridge) *Collector { return &Collector{bridge} }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	metric.Describe(to, connected, accepted, dropped, sent, received, queued, gaps, lost, reconnects, lagFrames, lagSeconds, heartbeat, roundTrip)
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := c.bridge.Stats()
	up := 0.0
	if s.Connected {
		up = 1
	}
	connected.Send(to, up)
	accepted.Send(to, float64(s.Accepted))
	dropped.Send(to, float64(s.Dropped))
	sent.Send(to, float64(s.SentEvents))
	received.Send(to, float64(s.Received))
	queued.Send(to, float64(s.Queued))
	gaps.Send(to, float64(s.Gaps))
	lost.Send(to, float64(s.Lost))
	reconnects.Send(to, float64(s.Reconnects))
	if s.Lag.Entries != redisbridge.Unknown {
		lagFrames.Send(to, float64(s.Lag.Entries))
	}
	lagSeconds.Send(to, s.Lag.Time.Seconds())
	if !s.Heartbeat.At.IsZero() {
		heartbeat.Send(to, float64(s.Heartbeat.At.UnixMilli())/1000)
		roundTrip.Send(to, s.Heartbeat.Took.Seconds())
	}
}
