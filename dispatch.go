package pubsub

import (
	"context"
	"runtime"
	"sync"

	"github.com/harkbus/pubsub/service"
)

// How a publication gets from Publish to its subscriptions:
//
//	Publish ─▶ turnstile ── idle: the publisher has the pass ──▶ dispatch ─▶ leave
//	               │                                               │           │
//	               │ busy                             must wait: Block         │ something came
//	               ▼                                               ▼           ▼
//	             queue ──────────── take ──────────▶ the server's goroutine, dispatchQueued
//
// One goroutine at a time has the pass, and the turnstile numbers the
// publications, so there is one order whichever way they take.

// publish accepts m and returns its sequence.
func (s *Server) publish(ctx context.Context, m Message) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p, inline := s.turn.enter()
	if !inline {
		var err error
		if p, inline, err = s.queue.put(ctx, m); !inline {
			return p.sequence(), err
		}
	}
	m.seq = p.sequence()
	s.full.met, s.full.handed = false, 0
	s.dispatch(&m, s.clock.now(), 0)
	yield := s.queue.capacity == 0 && (s.full.met || s.full.handed == 1) // not for many
	if len(s.full.blocked) > 0 || !s.turn.leave(p) {
		s.handed <- struct{}{}
	}
	if yield {
		runtime.Gosched() // the reader runs now, not once this goroutine waits
	}
	return p.sequence(), nil
}

// dispatchQueued is the server's goroutine. Each time it is handed the pass it
// drains the queue; when the queue is closed it ends all subscriptions. If user
// code exits the goroutine another one takes over.
func (s *Server) dispatchQueued(stopping <-chan struct{}, ended chan<- struct{}) {
	over := false
	defer func() {
		if over {
			close(ended)
		} else {
			go s.dispatchQueued(stopping, ended) // ask has handed on the pass
		}
	}()
	for closed := false; !closed; {
		<-s.handed
		closed = s.drain(stopping)
	}
	s.endAll()
	s.waker.stop()
	over = true
}

// drain finishes what the pass came with and dispatches what is queued until
// there is nothing left, and tells whether the queue is closed. If it is not,
// the pass has been given back.
func (s *Server) drain(stopping <-chan struct{}) (closed bool) {
	s.finishBlocked(stopping)
	for {
		s.dispatchBatch(stopping) // the rest of one, if user code cut it short
		if s.batch, closed = s.queue.take(); len(s.batch) == 0 {
			return closed
		}
	}
}

// dispatchBatch dispatches s.batch in groups. The caller has the pass.
func (s *Server) dispatchBatch(stopping <-chan struct{}) {
	for now := s.clock.now(); len(s.batch) > 0; {
		group := s.batch[:min(groupSize, len(s.batch))]
		s.queue.letIn()
		s.matchAhead(group)
		for i := range group {
			s.batch = s.batch[1:]
			s.queue.begin(len(s.batch))
			s.dispatch(&group[i], now, i)
			group[i] = Message{} // not to keep what was published
			if len(s.full.blocked) > 0 {
				s.queue.letIn()
				s.finishBlocked(stopping)
				now = s.clock.now()
			}
		}
		s.ahead.Reset() // not to keep topics
	}
}

// matchAhead lets the index find the topics of a group of queued publications
// together, which with many queries takes half the time. Every subscription
// that is to get one of them is in the index by now, since it was made before
// they were accepted; a topic that goes meanwhile is empty. The caller has the
// pass.
func (s *Server) matchAhead(group []Message) {
	if len(group) == 1 {
		return
	}
	s.events = s.events[:0]
	for i := range group {
		s.events = append(s.events, group[i].events)
	}
	s.mu.LockFirst()
	s.index.FindBatch(s.events, &s.ahead)
	s.mu.Unlock()
	clear(s.events)
}

// groupSize is how many publications are matched together.
const groupSize = 16

// found returns the topics of publication i of a group, or of m, if it was not
// matched ahead, and those that only regular expressions can decide. The caller
// holds s.mu.
func (s *Server) found(m *Message, i int) (matched, undecided []*topic) {
	if i < s.ahead.Len() {
		return s.ahead.Of(i), s.ahead.Undecided(i)
	}
	s.hits, s.open = s.index.Find(m.events, s.hits[:0], s.open[:0])
	return s.hits, s.open
}

// dispatch gives a publication, number i of its group, to the observers, and
// then to all matching subscriptions that have room. It leaves those that must
// be waited for in s.full.blocked. The caller has the pass.
func (s *Server) dispatch(m *Message, now int64, i int) {
	if m.at == 0 {
		m.at = now
	}
	s.mu.LockFirst()
	for s.latent.begin(m.seq) {
		s.mu.Unlock() // in bounded steps
		s.mu.LockFirst()
	}
	if s.observers.any() || s.scan.Len() > 0 {
		since := now
		if s.ahead.Len() > 0 { // now is when the batch was taken
			since = s.clock.now()
		}
		s.beginWait(since)
		s.mu.Unlock() // user code may subscribe and unsubscribe
		s.queue.letIn()
		s.ask(m, now, i)
		s.mu.LockFirst()
		s.watch.since = 0
	}
	s.distributeAndUnlock(m, now, i)
}

// distributeAndUnlock is dispatch from when observers and user-written queries
// have been asked. It releases s.mu, which the caller holds.
func (s *Server) distributeAndUnlock(m *Message, now int64, i int) {
	matched, undecided := s.found(m, i)
	if len(undecided) > 0 {
		s.decide(m, undecided)
	}
	members := s.deliver(m, matched) + s.deliver(m, s.expressions.matched) + s.deliver(m, s.scans)
	s.endOver()
	if len(s.full.cut) > 0 {
		s.cutOverfull()
	}
	s.totals.published(now, members, &s.full)
	s.finished = m.seq
	if len(s.full.blocked) > 0 {
		s.beginWait(s.clock.now())
	}
	s.mu.Unlock()

	clear(s.hits)
	clear(s.open)
	clear(s.scans)
	s.scans = s.scans[:0]
	s.settle(m)
}

// deliver gives m to the subscriptions of the topics and returns how many
// there are, in steps of some topics. All of one topic get it in one step: who
// changes from the log to being fed in between would miss it. The caller holds
// s.mu and has the pass.
func (s *Server) deliver(m *Message, topics []*topic) (members int) {
	for i, t := range topics {
		if i%deliverStep == deliverStep-1 {
			s.mu.Unlock()
			s.mu.LockFirst()
		}
		members += t.members()
		t.deliver(m, &s.full)
	}
	return members
}

// deliverStep is how many topics are delivered to while s.mu is held, which takes
// some microseconds for each that has one subscription.
const deliverStep = 4 * step

// cutOverfull ends the subscriptions that a publication did not fit, in bounded
// steps. It leaves those in s.full.cut that nobody else has ended in between.
// The caller holds s.mu and has the pass.
func (s *Server) cutOverfull() {
	cut := s.full.cut[:0]
	for i, sub := range s.full.cut {
		if i%step == step-1 {
			s.mu.Unlock()
			s.mu.LockFirst()
		}
		if s.registry.slots.get(sub.id) == sub {
			s.remove(sub, ErrOutOfCapacity)
			s.totals.cut++
			cut = append(cut, sub)
		}
	}
	clear(s.full.cut[len(cut):])
	s.full.cut = cut
}

// settle does what the delivery of m left to do without s.mu.
func (s *Server) settle(m *Message) {
	f := &s.full
	for _, t := range f.wake {
		s.waker.wake(t)
	}
	for _, sub := range f.cut {
		s.tellCut(sub)
	}
	s.tellOver()
	s.expressions.clear()
	f.clear()
	if len(f.blocked) > 0 {
		f.pending = *m
	}
}

// finishBlocked waits for room for the message that a delivery left pending,
// in all subscriptions at once. The caller has the pass and no lock.
func (s *Server) finishBlocked(stopping <-chan struct{}) {
	blocked := s.full.blocked
	if len(blocked) == 0 {
		return
	}
	var others sync.WaitGroup
	for _, sub := range blocked[1:] {
		others.Go(func() { s.handOver(sub, stopping) })
	}
	s.handOver(blocked[0], stopping)
	others.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	clear(blocked)
	s.full.blocked, s.full.pending = blocked[:0], Message{}
	s.watch.since = 0
}

// handOver waits for room for the pending message in one subscription and
// cuts it if that takes too long.
func (s *Server) handOver(sub *Subscription, stopping <-chan struct{}) {
	taken := sub.handOver(&s.full.pending, stopping)
	s.mu.Lock()
	cut := !taken && s.giveUp(sub, stopping)
	s.totals.waiting--
	sub.expect(waitsNoMore)
	s.mu.Unlock()
	if cut {
		s.tellCut(sub)
	}
}

// giveUp drops the pending message of a subscription, unless there is room for
// it at the last moment. It cuts the subscription if its time is over, that
// is, if it has not ended and the server is not stopping. The caller holds
// s.mu.
func (s *Server) giveUp(sub *Subscription, stopping <-chan struct{}) (cut bool) {
	sub.topic.feed(sub)
	if taken, _, _ := sub.tryPending(&s.full.pending); taken {
		return false
	}
	s.totals.dropped++
	sub.drop()
	select {
	case <-stopping:
		return false
	default:
	}
	if sub.Err() != nil {
		return false
	}
	s.remove(sub, ErrOutOfCapacity)
	s.totals.cut++
	return true
}

func (s *Server) tellCut(sub *Subscription) {
	s.reports.add(service.Logger.Info, "pubsub: slow subscriber cut",
		"client", sub.ClientID(), "query", sub.topic.text, "capacity", sub.capacity, "overflow", sub.overflow.String())
}

// endAll ends every subscription of a stopped server.
func (s *Server) endAll() {
	for i, more := 0, true; more; {
		s.mu.Lock()
		i, more = s.registry.slots.walk(i, step, func(sub *Subscription) { s.remove(sub, ErrServerStopped) })
		s.mu.Unlock()
	}
}
