package stream

import (
	"slices"
	"time"
)

// Stats is what a server has done and holds. Counts are since it was made.
type Stats struct {
	Connections int `json:"connections"` // open now
	Clients     int `json:"clients"`     // of these, with a JSON-RPC or SSE subscription
	Topics      int `json:"topics"`      // with at least one client

	Requests  uint64 `json:"requests"`  // JSON-RPC requests
	Encodings uint64 `json:"encodings"` // payloads encoded, one for each publication and form
	Frames    uint64 `json:"frames"`    // written
	Writes    uint64 `json:"writes"`    // that the frames were written in
	Bytes     uint64 `json:"bytes"`     // written
	Stalls    uint64 `json:"stalls"`    // connections ended because the peer did not read
	Queued    int64  `json:"queued"`    // bytes queued for all connections now

	Expressions int64  `json:"expressions"` // instructions of the regular expressions of all subscriptions now
	OverBudget  uint64 `json:"over_budget"` // subscriptions and requests ended because their regular expressions took too long

	Refusals []RefusalStats `json:"refusals"` // but for those of limits
	Limits   []LimitStats   `json:"limits"`

	Uncompressed uint64 `json:"uncompressed"` // messages that found all compressors busy

	WebhookSent uint64 `json:"webhook_sent"` // notices
	WebhookLost uint64 `json:"webhook_lost"` // that did not fit, or could not be delivered

	EventsDropped uint64 `json:"events_dropped"` // that did not fit into SubscriptionOptions.Events
}

// LimitStats is one limit, how much of it is used, and how often it refused.
type LimitStats struct {
	Name            string `json:"name"`
	Used            int64  `json:"used"`
	Max             int64  `json:"max"`              // in total
	RefusedTotal    uint64 `json:"refused_total"`    // the limit was reached by all together
	RefusedAddress  uint64 `json:"refused_address"`  // by one address
	RefusedIdentity uint64 `json:"refused_identity"` // by one identity
}

func (s *Server) limitStats() []LimitStats {
	all := make([]LimitStats, 0, limitNames)
	s.quotas.each(func(name string, q *quota) {
		all = append(all, LimitStats{
			Name: name, Used: q.held(), Max: q.total,
			RefusedTotal: q.refusals[ofAll].Load(), RefusedAddress: q.refusals[ofAddress].Load(), RefusedIdentity: q.refusals[ofIdentity].Load(),
		})
	})
	h := &s.held
	if h.limit == 0 {
		return all
	}
	return append(all, LimitStats{Name: "held_bytes", Used: h.used(s), Max: h.limit, RefusedTotal: h.ended.Load()})
}

// limitNames is how many limits Stats has.
const limitNames = 9

// Stats returns what the server has done and holds now. It takes time linear in
// the connections, and memory for the limits and reasons alone.
func (s *Server) Stats() Stats {
	return Stats{
		Connections:   int(s.quotas.connections.held()),
		Clients:       int(s.clients.Load()),
		Topics:        s.topics.len(),
		Requests:      s.requests.Load(),
		Encodings:     s.encodings.made.Load(),
		Frames:        s.writes.frames.Load(),
		Writes:        s.writes.writes.Load(),
		Bytes:         s.writes.bytes.Load(),
		Stalls:        s.writes.stalls.Load(),
		Queued:        s.queued.used.Load(),
		Expressions:   s.expressions.used.Load(),
		OverBudget:    s.expressions.ended.Load(),
		Refusals:      s.refusals.stats(),
		Limits:        s.limitStats(),
		Uncompressed:  s.compressors.busy.Load(),
		WebhookSent:   s.webhook.sent.Load(),
		WebhookLost:   s.webhook.lost.Load(),
		EventsDropped: s.eventsDropped.Load(),
	}
}

// SubscriptionStats is one subscription as an admin sees it.
type SubscriptionStats struct {
	ID        uint64        `json:"id"`     // for ending it
	Client    string        `json:"client"` // its name on the bus
	Identity  string        `json:"identity,omitempty"`
	Remote    string        `json:"remote,omitempty"` // IP address
	Query     string        `json:"query"`            // as the client sent it, or, of others, as the bus knows it
	Overflow  string        `json:"overflow"`
	Depth     int           `json:"depth"`
	Capacity  int           `json:"capacity"`
	Matched   uint64        `json:"matched"`
	Delivered uint64        `json:"delivered"`
	Dropped   uint64        `json:"dropped"`
	Oldest    time.Duration `json:"oldest"` // age of the oldest message that waits, in nanoseconds
}

// Subscriptions returns all subscriptions of the bus, the slowest first: those
// whose buffer is fullest. ID is that of the bus.
func (s *Server) Subscriptions() []SubscriptionStats {
	subscriptions := s.bus.Stats().Subscriptions
	all := make([]SubscriptionStats, 0, len(subscriptions))
	for _, b := range subscriptions {
		line := SubscriptionStats{
			ID: b.ID, Client: b.ClientID, Query: b.Query, Overflow: b.Overflow.String(), Depth: b.Depth, Capacity: b.Capacity,
			Matched: b.Matched, Delivered: b.Delivered, Dropped: b.Dropped, Oldest: b.Oldest,
		}
		if o := s.outlet(b.ClientID); o != nil {
			line.Identity, line.Remote, line.Overflow = o.conn.visit.identity().Name, o.conn.visit.ip, string(o.overflow)
			if o.query != "" {
				line.Query = o.query
			}
		}
		all = append(all, line)
	}
	slices.SortFunc(all, func(a, b SubscriptionStats) int {
		if d := b.Depth*max(a.Capacity, 1) - a.Depth*max(b.Capacity, 1); d != 0 {
			return d
		}
		return int(a.ID) - int(b.ID)
	})
	return all
}

// outlet returns the outlet with a name on the bus, nil if somebody else has
// it.
func (s *Server) outlet(client string) *outlet {
	o, _ := s.outlets.Load(client)
	named, _ := o.(*outlet)
	return named
}

// EndSubscription ends the subscription that has an ID on the bus; its client
// is notified why, whatever it speaks. It returns pubsub.ErrSubscriptionNotFound if there is none.
func (s *Server) EndSubscription(id uint64, reason string) error {
	for _, o := range s.outlets.Range {
		if live := o.(*outlet).live.Load(); live != nil && live.ID() == id {
			o.(*outlet).end(ending{closePolicyViolation, reason})
			return nil
		}
	}
	return s.bus.UnsubscribeID(s.ctx, id)
}
