package pubsub

import (
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub/match"
)

// Stats is what a server has done and holds. Counts are since the server was
// made or reset.
type Stats struct {
	Since    time.Time // when the server was made or reset
	Sequence uint64    // of the last publication accepted

	Published uint64 // publications dispatched
	Matched   uint64 // pairs of publication and matching subscription
	Dropped   uint64 // of these, those that a full buffer cost
	Delivered uint64 // the others, put into a buffer, but for those that wait for room now
	Cut       uint64 // subscriptions ended because they were too slow

	OverBudget uint64 // subscriptions ended because their regular expressions took too long

	// QueryFailures is how often user-written queries failed. Failures is the
	// part of those that are subscribed to now.
	QueryFailures uint64

	PublishRate float64 // publications a second, over the last ten full seconds
	MatchRate   float64 // pairs a second, the same

	// Asking is how long observers and user-written queries have had the
	// publication in hand; 0: they have none. All others wait for them.
	Asking time.Duration

	Clients       int
	Queued        int // publications accepted, not dispatched
	QueueCapacity int
	Index         match.Stats // of the queries that are *query.Query

	Subscriptions []SubscriptionStats // in no particular order
	Failures      []QueryFailures     // of user-written queries that failed and are subscribed to
}

// SubscriptionStats is what one subscription has received and holds. Matched
// is always the sum of Delivered, Dropped and Depth, and of one message if a
// delivery waits for room.
type SubscriptionStats struct {
	ID       uint64
	ClientID string
	Query    string
	Overflow Overflow

	Depth     int // messages in the buffer
	Capacity  int
	Matched   uint64
	Delivered uint64 // handed to a reader
	Dropped   uint64
	Oldest    time.Duration // age of the first message in the buffer; 0 if there is none or Out is in use

	// Waiting is how long a delivery has waited for room in the buffer, under
	// Block; 0: none waits. All later publications wait for that.
	Waiting time.Duration
}

// QueryFailures says how often a user-written query returned an error or
// panicked.
type QueryFailures struct {
	ClientID string
	Query    string
	Failures uint64
}

// Stats returns what the server has done and holds now. It looks at the
// subscriptions in steps, and publications go on meanwhile: each line is
// consistent, the whole need not be.
func (s *Server) Stats() Stats {
	now := time.Now()
	stats := s.busStats(now)
	stats.Queued, stats.QueueCapacity = s.queue.len(), s.queue.capacity
	lines, failures := make([]SubscriptionStats, 0, step), make([]QueryFailures, 0, step)
	for i, more := 0, true; more; {
		lines, failures = lines[:0], failures[:0]
		s.mu.Lock()
		i, more = s.registry.slots.walk(i, step, func(sub *Subscription) {
			lines = append(lines, sub.statsAt(now))
			if n := sub.topic.failures.Load(); n > 0 {
				failures = append(failures, QueryFailures{sub.client.id, sub.topic.text, n})
			}
		})
		s.mu.Unlock()
		stats.Subscriptions = append(stats.Subscriptions, lines...) // all of it moves when it grows
		stats.Failures = append(stats.Failures, failures...)
	}
	return stats
}

func (s *Server) busStats(now time.Time) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	published, matched := s.totals.recent.rates(now.UnixNano())
	asking := time.Duration(0)
	if len(s.full.blocked) == 0 {
		asking = s.waited(now)
	}
	return Stats{
		Since:      s.totals.since,
		Sequence:   s.turn.look().sequence(),
		Published:  s.totals.publications,
		Matched:    s.totals.matched,
		Dropped:    s.totals.dropped,
		Delivered:  s.totals.matched - s.totals.dropped - s.totals.waiting,
		Cut:        s.totals.cut,
		OverBudget: s.totals.overBudget,

		QueryFailures: s.totals.failures.Load(),

		PublishRate: published,
		MatchRate:   matched,
		Asking:      asking,
		Clients:     len(s.registry.clients),
		Index:       s.index.Stats(),
	}
}

// statsAt returns the line of one subscription. The caller holds the server's
// mu.
func (s *Subscription) statsAt(now time.Time) SubscriptionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := SubscriptionStats{
		ID:       s.id,
		ClientID: s.client.id,
		Query:    s.topic.text,
		Overflow: s.overflow,
		Capacity: int(s.capacity),
		Matched:  s.matched,
		Dropped:  s.dropped,
	}
	waits := uint64(0)       // 1: a delivery waits for room
	at := s.cursor.at.Load() // before pos, which may only be later then
	if pos, ok := s.cursor.position(); ok {
		tail := s.topic.log.tail.Load()
		stats.Matched += tail
		stats.Depth = int(min(tail-pos, uint64(s.capacity)))
		waits = tail - pos - uint64(stats.Depth)
		if pos < tail {
			stats.Oldest = ageOf(at.holding(pos).message(pos).at, now)
		}
	} else {
		stats.Depth = s.depthLocked()
		if m := s.backlog.peek(); m != nil {
			stats.Oldest = ageOf(m.at, now)
		}
		if l := s.inlet.Load(); l != nil && stats.Depth > 0 {
			stats.Oldest = ageOf(l.at, now)
		}
		if s.pending == waitsToBeFed {
			waits = 1
		}
	}
	stats.Delivered = stats.Matched - stats.Dropped - uint64(stats.Depth) - waits
	if h := s.handover; h != nil {
		h.through = h.through || stats.Delivered < h.delivered
		if h.through {
			stats.Delivered, waits = stats.Delivered+1, 0
		}
		h.delivered = stats.Delivered
	}
	if waits > 0 {
		stats.Waiting = s.topic.server.waited(now)
	}
	return stats
}

// ageOf returns how old a message is that came at some time: 0 if that was after
// now was read, or if it was published with a time to come.
func ageOf(at int64, now time.Time) time.Duration { return max(now.Sub(time.Unix(0, at)), 0) }

// totals counts for the whole server. It is guarded by the server's mu, but for
// failures.
type totals struct {
	since        time.Time
	publications uint64
	matched      uint64
	dropped      uint64
	cut          uint64
	waiting      uint64 // of those that matched: they wait for room
	overBudget   uint64
	failures     atomic.Uint64
	recent       meter
}

func (t *totals) published(now int64, members int, f *fullness) {
	t.publications++
	t.matched += uint64(members)
	t.dropped += uint64(f.dropped)
	t.waiting += uint64(len(f.blocked))
	t.recent.add(now, uint64(members))
}

// A meter counts per second, for the seconds just past.
type meter struct {
	begin   int64 // of the second that is counted, Unix time in nanoseconds
	slot    int64 // where it is counted
	second  int64 // the latest there was
	started int64
	counts  [meterSeconds + 1]struct{ publications, matched uint64 } // by second, modulo
}

const meterSeconds = 10

func (m *meter) add(now int64, matched uint64) {
	if uint64(now-m.begin) >= uint64(time.Second) { // also if the clock stepped back
		m.advance(now / int64(time.Second))
	}
	c := &m.counts[m.slot]
	c.publications++
	c.matched += matched
}

// advance begins to count another second, and clears those between it and the
// latest there was.
func (m *meter) advance(second int64) {
	n := int64(len(m.counts))
	if m.started == 0 {
		m.started, m.second = second, second-1
	}
	for s := max(m.second+1, second-n+1); s <= second; s++ {
		m.counts[s%n] = struct{ publications, matched uint64 }{}
	}
	m.second = max(m.second, second)
	m.begin, m.slot = second*int64(time.Second), second%n
}

// rates returns the means over the last full seconds there were.
func (m *meter) rates(now int64) (published, matched float64) {
	second, n := now/int64(time.Second), int64(len(m.counts))
	from := max(second-meterSeconds, m.started)
	if m.started == 0 || from >= second {
		return 0, 0
	}
	for s := from; s < second && s <= m.second; s++ {
		published += float64(m.counts[s%n].publications)
		matched += float64(m.counts[s%n].matched)
	}
	seconds := float64(second - from)
	return published / seconds, matched / seconds
}
