package pubsub

import "time"

// What became of a message that was offered to a fed subscription.
type verdict uint8

const (
	taken    verdict = iota
	met              // taken by a reader that waited for it at the channel of Out
	handed           // taken by a reader that waited for it at the inlet
	dropped          // it, or an older one for it, by the policy
	overfull         // dropped, and the subscription is to be cut
	mustWait         // the delivery waits for room
)

// fullness collects what a publication leaves to do once it has been given to
// all subscriptions with room. Its slices are reused. It belongs to the
// goroutine that has the pass.
type fullness struct {
	dropped int
	met     bool // a reader that waited at the channel of Out has it
	handed  int  // how many have it that waited at an inlet
	cut     []*Subscription
	wake    []*topic // with readers that wait for the log

	blocked []*Subscription // changes under the server's mu
	pending Message         // what they must be given
}

func (f *fullness) add(sub *Subscription, v verdict) {
	switch v {
	case met:
		f.met = true
	case handed:
		f.handed++
	case dropped:
		f.dropped++
	case overfull:
		f.dropped++
		f.cut = append(f.cut, sub)
	case mustWait:
		f.blocked = append(f.blocked, sub)
	}
}

// clear makes f ready for the next publication, but for who is blocked.
func (f *fullness) clear() {
	clear(f.cut)
	clear(f.wake)
	f.dropped, f.cut, f.wake = 0, f.cut[:0], f.wake[:0]
}

// mayRejoin tells whether a subscription that is fed through no channel can read
// the log again.
func (s *Subscription) mayRejoin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backlog.len() == 0
}

// offer gives m to a fed subscription, or does what the policy says. The
// caller holds the server's mu, so that Out is not called meanwhile and the
// subscription does not end.
func (s *Subscription) offer(m *Message) verdict {
	s.matched++
	if c := s.channel(); c != nil {
		if v, ok := s.send(c, m); ok {
			return v
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.takeLocked(m) {
		return taken
	}
	switch s.overflow {
	case Block:
		s.pending = waitsToBeFed
		return mustWait
	case DropOldest:
		if !s.dropOldestLocked() {
			s.takeLocked(m)
			return taken // a reader made room
		}
		s.takeLocked(m)
		s.dropped++
		return dropped
	case DropNewest:
		s.dropped++
		return dropped
	default:
		s.dropped++
		return overfull
	}
}

// send sends m through the channel that feeds the subscription, unless that is
// full. The caller holds the server's mu, or the subscription has no inlet.
func (s *Subscription) send(c chan<- Message, m *Message) (v verdict, ok bool) {
	l := s.inlet.Load()
	select {
	case c <- *m:
	default:
		return 0, false
	}
	switch {
	case len(c) > 0:
		if l != nil {
			l.at = m.at
		}
		return taken, true
	case l != nil:
		return handed, true
	}
	return met, true
}

// takeLocked puts m where a reader finds it, if there is room.
func (s *Subscription) takeLocked(m *Message) bool {
	switch c := s.channel(); {
	case s.err != nil:
		return false
	case c != nil:
		_, ok := s.send(c, m)
		return ok
	case s.backlog.len() < int(s.capacity):
		if s.backlog == nil {
			s.backlog = new(backlog)
		}
		s.backlog.push(m)
		s.wake()
		return true
	}
	return false
}

// dropOldestLocked makes room for one message. It drops none if a reader has
// made room meanwhile.
func (s *Subscription) dropOldestLocked() bool {
	c := s.channel()
	if c == nil {
		s.backlog.pop()
		return true
	}
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A pending tells where the message of a delivery that waits for room is.
type pending uint8

const (
	waitsNoMore  pending = iota // in the buffer, or read already; or nothing waits
	waitsOnLog                  // in the log, one too far from the cursor
	waitsToBeFed                // with the dispatcher
)

// A handover is a delivery that waits for room in one subscription.
type handover struct {
	look chan struct{} // capacity 1: room, a reader, a channel or the end came up
	over chan struct{} // closed when the delivery no longer waits
	// Guarded by the mu of the subscription.
	reason    error  // the subscription is to end with the delivery
	delivered uint64 // as Stats has said it last
	through   bool   // Stats has seen that the channel has the message
}

// notify tells the delivery, if there is one, to look again. The caller holds
// the subscription's mu.
func (h *handover) notify() {
	if h == nil {
		return
	}
	select {
	case h.look <- struct{}{}:
	default:
	}
}

// expect says where the message of a waiting delivery is. The caller has the
// pass and holds the server's mu.
func (s *Subscription) expect(p pending) {
	s.mu.Lock()
	s.pending = p
	s.cursor.await(p == waitsOnLog)
	s.mu.Unlock()
}

// madeRoom says, after the cursor has moved, that there is room in the log.
func (s *Subscription) madeRoom() {
	s.mu.Lock()
	s.handover.notify()
	s.mu.Unlock()
}

// awaitHandover returns once no delivery can add a message any more to a
// subscription that has ended. The caller holds no lock.
func (s *Subscription) awaitHandover() {
	s.mu.Lock()
	h := s.handover
	s.mu.Unlock()
	if h != nil {
		<-h.over
	}
}

// handOver waits until m is in the buffer of the subscription, has been read,
// or will not be. The caller has the pass and settles what is left pending.
func (s *Subscription) handOver(m *Message, stop <-chan struct{}) (taken bool) {
	h := &handover{look: make(chan struct{}, 1), over: make(chan struct{})}
	s.mu.Lock()
	s.handover = h
	s.mu.Unlock()

	taken = s.waitForRoom(m, h, stop)

	s.mu.Lock()
	s.handover = nil
	if taken {
		s.pending = waitsNoMore
	}
	if h.reason != nil {
		s.endLocked(h.reason)
	}
	s.mu.Unlock()
	close(h.over)
	return taken
}

func (s *Subscription) waitForRoom(m *Message, h *handover, stop <-chan struct{}) (taken bool) {
	var deadline <-chan time.Time
	if s.timeout > 0 {
		timer := time.NewTimer(s.timeout)
		defer timer.Stop()
		deadline = timer.C
	}
	for {
		taken, ended, out := s.tryPending(m)
		if taken || ended {
			return taken
		}
		select {
		case out <- *m: // never while out is nil
			return true
		case <-h.look:
		case <-deadline:
			return false
		case <-stop:
			return false
		}
	}
}

// tryPending looks whether m is in the buffer now, and puts it there if it is
// not in the log. If that takes a channel to be ready, it returns the channel.
func (s *Subscription) tryPending(m *Message) (taken, ended bool, out chan<- Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handover != nil && s.handover.reason != nil {
		return false, true, nil
	}
	switch s.pending {
	case waitsOnLog:
		pos, _ := s.cursor.position()
		taken = s.topic.log.tail.Load()-pos <= uint64(s.capacity)
	case waitsToBeFed:
		if taken = s.takeLocked(m); taken {
			s.pending = waitsNoMore
		}
		out = s.out.get()
	default:
		taken = true
	}
	return taken, s.err != nil, out
}
