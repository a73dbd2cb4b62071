package pubsub

// An inlet is the buffer of a subscription of capacity 1 that a reader has
// waited for: a channel, so that a message goes straight to a reader that waits.
// Such a reader is woken for each message, and this is what costs least:
//
//	dispatcher ──m──▶ c ──▶ Next
//	                  ▲
//	                close: the end, or Out
//
// The inlet of a subscription changes under the server's mu.
type inlet struct {
	c  chan Message
	at int64 // time of the last message that was sent; guarded by the server's mu
}

// maxInlets is how many subscriptions to a query get one. A delivery wakes their
// readers with the server's mu held; those of more wait for the log, and are
// woken without it.
const maxInlets = 1024

// direct tells whether the subscription may get an inlet when a reader waits. A
// delivery that waits for room might be sending when the channel is closed.
func (s *Subscription) direct() bool {
	return s.capacity == 1 && s.overflow != Block && (s.topic.feeds.Load() < maxInlets || s.inlet.Load() != nil)
}

// openInlet makes the inlet, with what is in the buffer, unless there is one. It
// fails if the subscription has ended, Out has been called, or others have all
// inlets that there may be.
func (s *Subscription) openInlet() bool {
	if s.Err() != nil { // Next may be called many times then
		return false
	}
	server := s.topic.server
	server.mu.Lock()
	defer server.mu.Unlock()
	if s.inlet.Load() == nil && s.topic.feeds.Load() >= maxInlets {
		return false
	}
	s.topic.feed(s)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.opened() {
		return false
	}
	if s.inlet.Load() != nil {
		return true
	}
	l := &inlet{c: make(chan Message, s.capacity)}
	if s.backlog.len() > 0 {
		m := s.backlog.pop()
		l.at = m.at
		l.c <- m
	}
	s.backlog = nil
	s.inlet.Store(l)
	return true
}

// closeInlet has those who wait at the inlet look for something else. There may be
// very many readers, so that is not done under the locks that the caller holds.
func (s *Subscription) closeInlet(l *inlet) {
	s.topic.server.closing.Go(func() { close(l.c) })
}

// holdsMessage tells whether there is an inlet with a message that nobody has
// read.
func (l *inlet) holdsMessage() bool { return l != nil && len(l.c) > 0 }

// pour moves what is in the inlet to another channel of its capacity. The caller
// holds the server's mu, so that nothing is sent meanwhile.
func (l *inlet) pour(to chan<- Message) {
	select {
	case m, open := <-l.c: // closed once the subscription has ended
		if open {
			to <- m
		}
	default:
	}
}

// receive waits at the inlet for a message until done is closed. It fails, and
// not only then, if the inlet is closed. A receive costs half of a select.
func (l *inlet) receive(done <-chan struct{}) (m Message, ok bool) {
	if done == nil {
		m, ok = <-l.c
		return m, ok
	}
	select {
	case m, ok = <-l.c:
		return m, ok
	default:
	}
	select {
	case m, ok = <-l.c:
	case <-done:
	}
	return m, ok
}
