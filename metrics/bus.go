package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/metrics/internal/metric"
)

var (
	busPublications  = metric.Counter("hark_bus_publications_total", "Publications dispatched.")
	busMatches       = metric.Counter("hark_bus_matches_total", "Pairs of publication and matching subscription.")
	busDeliveries    = metric.Counter("hark_bus_deliveries_total", "Matches put into a buffer or handed to a reader.")
	busDrops         = metric.Counter("hark_bus_drops_total", "Matches that a full buffer cost.")
	busCuts          = metric.Counter("hark_bus_cuts_total", "Subscriptions ended because they were too slow.")
	busOverBudget    = metric.Counter("hark_bus_over_budget_total", "Subscriptions ended because their regular expressions took too long.")
	busFailures      = metric.Counter("hark_bus_query_failures_total", "How often user-written queries failed to decide a publication.")
	busClients       = metric.Gauge("hark_bus_clients", "Clients with a subscription.")
	busSubscriptions = metric.Gauge("hark_bus_subscriptions", "Subscriptions, by overflow policy.", "overflow")
	busQueued        = metric.Gauge("hark_bus_queued", "Publications accepted and not dispatched.")
	busQueueCapacity = metric.Gauge("hark_bus_queue_capacity", "Publications that may be accepted and not dispatched.")
	busDepth         = metric.Gauge("hark_bus_buffered_messages", "Messages in the buffers of all subscriptions.")
	busFullest       = metric.Gauge("hark_bus_fullest_buffer_ratio", "Depth of the fullest buffer as a part of its capacity.")
	busOldest        = metric.Gauge("hark_bus_oldest_message_seconds", "Age of the oldest message in any buffer.")
	busWait          = metric.Gauge("hark_bus_wait_seconds", "How long the bus has waited for a reader under Block, or for an observer or a user-written query.")
	indexQueries     = metric.Gauge("hark_index_queries", "Distinct queries in the index.")
	indexResidual    = metric.Gauge("hark_index_residual_queries", "Queries without a condition to find them by: every event is tried on them.")
	indexBytes       = metric.Gauge("hark_index_bytes", "Memory of the index, without the queries themselves.")
	indexEvents      = metric.Counter("hark_index_events_total", "Events matched by the index.")
	indexCandidates  = metric.Counter("hark_index_candidates_total", "Queries that an event was tried on.")
	indexUndecided   = metric.Counter("hark_index_undecided_total", "Candidates that it took regular expressions to decide.")
	indexMatches     = metric.Counter("hark_index_matches_total", "Candidates that matched.")
)

// Bus collects what one bus has done and holds.
type Bus struct{ server *pubsub.Server }

var _ prometheus.Collector = (*Bus)(nil)

// NewBus returns the collector of a bus.
func NewBus(server *pubsub.Server) *Bus { return &Bus{server} }

// Describe implements prometheus.Collector.
func (b *Bus) Describe(to chan<- *prometheus.Desc) {
	metric.Describe(to,
		busPublications, busMatches, busDeliveries, busDrops, busCuts, busOverBudget, busFailures, busClients, busSubscriptions,
		busQueued, busQueueCapacity, busDepth, busFullest, busOldest, busWait,
		indexQueries, indexResidual, indexBytes, indexEvents, indexCandidates, indexUndecided, indexMatches,
	)
}

// Collect implements prometheus.Collector.
func (b *Bus) Collect(to chan<- prometheus.Metric) {
	s := b.server.Stats()
	busPublications.Send(to, float64(s.Published))
	busMatches.Send(to, float64(s.Matched))
	busDeliveries.Send(to, float64(s.Delivered))
	busDrops.Send(to, float64(s.Dropped))
	busCuts.Send(to, float64(s.Cut))
	busOverBudget.Send(to, float64(s.OverBudget))
	busFailures.Send(to, float64(s.QueryFailures))
	busClients.Send(to, float64(s.Clients))
	busQueued.Send(to, float64(s.Queued))
	busQueueCapacity.Send(to, float64(s.QueueCapacity))
	indexQueries.Send(to, float64(s.Index.Queries))
	indexResidual.Send(to, float64(s.Index.Residual))
	indexBytes.Send(to, float64(s.Index.Bytes))
	indexEvents.Send(to, float64(s.Index.Events))
	indexCandidates.Send(to, float64(s.Index.Candidates))
	indexUndecided.Send(to, float64(s.Index.Undecided))
	indexMatches.Send(to, float64(s.Index.Matches))
	busWait.Send(to, wait(s).Seconds())
	collectSubscriptions(to, s.Subscriptions)
}

func wait(s pubsub.Stats) time.Duration {
	longest := s.Asking
	for _, sub := range s.Subscriptions {
		longest = max(longest, sub.Waiting)
	}
	return longest
}

func collectSubscriptions(to chan<- prometheus.Metric, all []pubsub.SubscriptionStats) {
	byPolicy := map[pubsub.Overflow]int{pubsub.Cancel: 0, pubsub.DropOldest: 0, pubsub.DropNewest: 0, pubsub.Block: 0}
	var depth, fullest, oldest float64
	for _, sub := range all {
		byPolicy[sub.Overflow]++
		depth += float64(sub.Depth)
		fullest = max(fullest, float64(sub.Depth)/float64(max(sub.Capacity, 1)))
		oldest = max(oldest, sub.Oldest.Seconds())
	}
	for policy, n := range byPolicy {
		busSubscriptions.Send(to, float64(n), policy.String())
	}
	busDepth.Send(to, depth)
	busFullest.Send(to, fullest)
	busOldest.Send(to, oldest)
}
