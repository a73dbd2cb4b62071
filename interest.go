package pubsub

import "github.com/harkbus/pubsub/query"

// What a bridge between servers needs to know besides the publications.

// CameWith tells whether the message was published by PublishWithArgs with
// this very Origin, not one that is only equal. It lets a bridge know its own
// publications, and costs a comparison of pointers.
func (m Message) CameWith(o *Origin) bool { return o != nil && m.origin == o }

// Sequence returns the number of the last publication accepted, 0 before the
// first.
func (s *Server) Sequence() uint64 { return s.turn.look().sequence() }

// SubscriptionChanges returns a number that grows with every subscription that
// is made or ends. It is for those who watch Interests: they need to look again
// only when it has grown.
func (s *Server) SubscriptionChanges() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changesLocked()
}

// changesLocked counts a birth once and an end once. The caller holds s.mu.
func (s *Server) changesLocked() uint64 {
	return 2*s.registry.births - uint64(s.registry.slots.live)
}

// Interests returns the distinct queries that are subscribed to now, in no
// particular order, and SubscriptionChanges at that moment. It is not whole,
// and the queries are nil, if there are more than limit or if a subscription
// has a query that is no *query.Query, whose matches nobody else can know.
func (s *Server) Interests(limit int) (queries []*query.Query, changes uint64, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes = s.changesLocked()
	if s.scan.Len() > 0 || len(s.registry.topics) > limit {
		return nil, changes, false
	}
	queries = make([]*query.Query, 0, len(s.registry.topics))
	for _, t := range s.registry.topics {
		queries = append(queries, t.query.(*query.Query))
	}
	return queries, changes, true
}
