package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkbus/pubsub/stream"
)

var (
	streamConnections   = gauge("hark_stream_connections", "WebSocket and SSE connections.")
	streamClients       = gauge("hark_stream_subscribing_clients", "Connections with a JSON-RPC or SSE subscription.")
	streamTopics        = gauge("hark_stream_topics", "Topics with at least one client.")
	streamQueuedBytes   = gauge("hark_stream_queued_bytes", "Bytes queued for all connections.")
	streamRequests      = counter("hark_stream_requests_total", "JSON-RPC requests.")
	streamEncodings     = counter("hark_stream_encodings_total", "Payloads encoded: one for each publication and form.")
	streamFrames        = counter("hark_stream_frames_total", "WebSocket frames written.")
	streamWrites        = counter("hark_stream_writes_total", "Writes that the frames went out in.")
	streamBytes         = counter("hark_stream_bytes_total", "Bytes written to WebSockets.")
	streamStalls        = counter("hark_stream_stalls_total", "Connections ended because the peer did not read.")
	streamEventsDropped = counter("hark_stream_topic_events_dropped_total", "Events of topics that nobody took.")
)

// Stream collects what one stream server has done and holds.
type Stream struct{ server *stream.Server }

var _ prometheus.Collector = (*Stream)(nil)

// NewStream returns the collector of a stream server.
func NewStream(server *stream.Server) *Stream { return &Stream{server} }

// Describe implements prometheus.Collector.
func (s *Stream) Describe(to chan<- *prometheus.Desc) {
	for _, m := range []metric{
		streamConnections, streamClients, streamTopics, streamQueuedBytes, streamRequests, streamEncodings, streamFrames,
		streamWrites, streamBytes, streamStalls, streamEventsDropped,
	} {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (s *Stream) Collect(to chan<- prometheus.Metric) {
	stats := s.server.Stats()
	streamConnections.send(to, float64(stats.Connections))
	streamClients.send(to, float64(stats.Clients))
	streamTopics.send(to, float64(stats.Topics))
	streamQueuedBytes.send(to, float64(stats.Queued))
	streamRequests.send(to, float64(stats.Requests))
	streamEncodings.send(to, float64(stats.Encodings))
	streamFrames.send(to, float64(stats.Frames))
	streamWrites.send(to, float64(stats.Writes))
	streamBytes.send(to, float64(stats.Bytes))
	streamStalls.send(to, float64(stats.Stalls))
	streamEventsDropped.send(to, float64(stats.EventsDropped))
}
