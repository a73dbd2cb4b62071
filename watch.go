package pubsub

import (
	"time"

	"github.com/harkbus/pubsub/service"
)

// A watch says who keeps the bus waiting for longer than longWait: the
// subscriptions that a message waits for room in, or user code. It costs those
// who are quicker next to nothing, since its timer is set at most once in
// longWait. It is guarded by the server's mu.
type watch struct {
	since int64 // when the wait under way began, Unix time in nanoseconds; 0: there is none
	told  int64 // since of the last wait that was reported
	timer *time.Timer
	armed bool
}

const longWait = time.Second

// beginWait says that the bus waits from now on. The caller holds s.mu.
func (s *Server) beginWait(now int64) {
	w := &s.watch
	w.since = now
	switch {
	case w.armed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(longWait, s.lookAtWait)
	default:
		w.timer.Reset(longWait)
	}
	w.armed = true
}

// lookAtWait reports a wait that has become long.
func (s *Server) lookAtWait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.watch
	waited := s.waited(time.Now())
	switch {
	case w.since == 0:
		w.armed = false
		return
	case waited < longWait:
		w.timer.Reset(longWait - waited)
		return
	case w.told != w.since:
		w.told = w.since
		s.tellWait(waited)
	}
	w.timer.Reset(longWait)
}

// waited returns how long the wait under way has lasted, 0 if there is none.
// The caller holds s.mu.
func (s *Server) waited(now time.Time) time.Duration {
	if s.watch.since == 0 {
		return 0
	}
	return max(now.Sub(time.Unix(0, s.watch.since)), 0)
}

// tellWait names who keeps the bus waiting. The caller holds s.mu.
func (s *Server) tellWait(waited time.Duration) {
	if len(s.full.blocked) == 0 {
		s.reports.add(service.Logger.Error, "pubsub: the bus waits for an observer or a user-written query to return",
			"waited", waited.String())
	}
	for _, sub := range s.full.blocked {
		if sub.isAwaited() {
			s.reports.add(service.Logger.Error, "pubsub: the bus waits for a subscriber to read",
				"client", sub.ClientID(), "query", sub.topic.text, "capacity", sub.capacity, "waited", waited.String())
		}
	}
}

// isAwaited tells whether a delivery waits for room in the subscription.
func (s *Subscription) isAwaited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != waitsNoMore
}
