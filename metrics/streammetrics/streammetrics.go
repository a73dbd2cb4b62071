// Package streammetrics has the Prometheus collector of a stream server.
//
//	registry.MustRegister(metrics.NewBus(bus), streammetrics.New(server))
//
// It is a package of its own so that users of package metrics do not link the
// server and what it speaks WebSocket with.
package streammetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkbus/pubsub/metrics/internal/metric"
	"github.com/harkbus/pubsub/stream"
)

var (
	connections   = metric.Gauge("hark_stream_connections", "WebSocket and SSE connections.")
	clients       = metric.Gauge("hark_stream_subscribing_clients", "Connections with a JSON-RPC or SSE subscription.")
	topics        = metric.Gauge("hark_stream_topics", "Topics with at least one client.")
	queuedBytes   = metric.Gauge("hark_stream_queued_bytes", "Bytes queued for all connections.")
	expressions   = metric.Gauge("hark_stream_expression_instructions", "Instructions of the regular expressions of all subscriptions.")
	overBudget    = metric.Counter("hark_stream_over_budget_total", "Subscriptions and requests ended because their regular expressions took too long.")
	requests      = metric.Counter("hark_stream_requests_total", "JSON-RPC requests.")
	encodings     = metric.Counter("hark_stream_encodings_total", "Payloads encoded: one for each publication and form.")
	frames        = metric.Counter("hark_stream_frames_total", "WebSocket frames, and pieces of event streams, written.")
	writes        = metric.Counter("hark_stream_writes_total", "Writes that the frames went out in.")
	bytes         = metric.Counter("hark_stream_bytes_total", "Bytes written to WebSockets and event streams.")
	stalls        = metric.Counter("hark_stream_stalls_total", "Connections ended because the peer did not read.")
	refusals      = metric.Counter("hark_stream_refusals_total", "What was refused, but for what limit_refusals counts.", "reason")
	uncompressed  = metric.Counter("hark_stream_uncompressed_total", "Messages that were sent as they are because all compressors were busy.")
	noticesSent   = metric.Counter("hark_stream_webhook_sent_total", "Notices that the webhook took.")
	noticesLost   = metric.Counter("hark_stream_webhook_lost_total", "Notices that did not fit, or that the webhook did not take.")
	limitUsed     = metric.Gauge("hark_stream_limit_used", "How much of a limit is used.", "limit")
	limitMost     = metric.Gauge("hark_stream_limit_max", "How much of it there is for all together.", "limit")
	limitRefusals = metric.Counter("hark_stream_limit_refusals_total", "Refusals because a limit was reached: by all together, by one address or by one identity.", "limit", "by")
	eventsDropped = metric.Counter("hark_stream_topic_events_dropped_total", "Events of topics that nobody took.")
)

// A Collector collects what one stream server has done and holds.
type Collector struct{ server *stream.Server }

var _ prometheus.Collector = (*Collector)(nil)

// New returns the collector of a stream server.
func New(server *stream.Server) *Collector { return &Collector{server} }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	metric.Describe(to, connections, clients, topics, queuedBytes, expressions, overBudget, requests, encodings, frames, writes, bytes, stalls, refusals, uncompressed, noticesSent, noticesLost, limitUsed, limitMost, limitRefusals, eventsDropped)
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	stats := c.server.Stats()
	connections.Send(to, float64(stats.Connections))
	clients.Send(to, float64(stats.Clients))
	topics.Send(to, float64(stats.Topics))
	queuedBytes.Send(to, float64(stats.Queued))
	expressions.Send(to, float64(stats.Expressions))
	overBudget.Send(to, float64(stats.OverBudget))
	requests.Send(to, float64(stats.Requests))
	encodings.Send(to, float64(stats.Encodings))
	frames.Send(to, float64(stats.Frames))
	writes.Send(to, float64(stats.Writes))
	bytes.Send(to, float64(stats.Bytes))
	stalls.Send(to, float64(stats.Stalls))
	for _, r := range stats.Refusals {
		refusals.Send(to, float64(r.Count), r.Reason)
	}
	uncompressed.Send(to, float64(stats.Uncompressed))
	noticesSent.Send(to, float64(stats.WebhookSent))
	noticesLost.Send(to, float64(stats.WebhookLost))
	for _, l := range stats.Limits {
		limitUsed.Send(to, float64(l.Used), l.Name)
		limitMost.Send(to, float64(l.Max), l.Name)
		limitRefusals.Send(to, float64(l.RefusedTotal), l.Name, "all")
		limitRefusals.Send(to, float64(l.RefusedAddress), l.Name, "address")
		limitRefusals.Send(to, float64(l.RefusedIdentity), l.Name, "identity")
	}
	eventsDropped.Send(to, float64(stats.EventsDropped))
}
