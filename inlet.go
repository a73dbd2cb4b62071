package pubsub

import (
	"context"
	"reflect"
	"slices"
)

// An inlet is the buffer of a subscription of capacity 1 that a reader has
// waited for: a channel, so that a message goes straight to a reader that waits.
// Such a reader is woken for each message, and this is what costs least:
//
//	dispatcher ──m──▶ c ──▶ Next
//	                  ▲
//	                close: the end, Out, or the context that it is watched for
//
// A receive costs half of a select that looks at a context too. So the end of
// the context that readers wait with again and again closes the channel, and
// they look for the next one; those with another context select.
//
// The inlet of a subscription changes under the server's mu.
type inlet struct {
	c     chan Message
	at    int64           // time of the last message that was sent; guarded by the server's mu
	until <-chan struct{} // Done of the context whose end closes c; nil: there is none
	stop  func() bool     // of the watch for that

	// The context that a reader selected with last; guarded by the subscription's mu.
	last  <-chan struct{}
	times int // in a row
}

// familiar is how many times in a row a context is waited with before its end is
// watched for.
const familiar = 4

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

// closeInlet lets go of those who wait at the inlet. The caller holds the
// server's mu, and has seen to it that they find something else.
func (s *Subscription) closeInlet(l *inlet) {
	close(l.c)
	if l.stop != nil {
		s.topic.server.watches.Go(func() { l.stop() }) // it may wait for the context's lock
	}
}

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

// ends tells whether a receive ends when a context with that Done does.
func (l *inlet) ends(done <-chan struct{}) bool { return done == nil || done == l.until }

// receive waits at the inlet for a message until ctx is done. It fails, and not
// only then, if the inlet is closed.
func (s *Subscription) receive(ctx context.Context, l *inlet, done <-chan struct{}) (m Message, ok bool) {
	if l.ends(done) {
		m, ok = <-l.c
		return m, ok
	}
	select {
	case m, ok = <-l.c:
		return m, ok
	default:
	}
	if s.isFamiliar(l, done) && isStandard(ctx) {
		s.watch(ctx, l, done)
	}
	select {
	case m, ok = <-l.c:
	case <-done:
	}
	return m, ok
}

// isFamiliar counts how many times in a row a context has been waited with, and
// tells whether its end is worth being watched for.
func (s *Subscription) isFamiliar(l *inlet, done <-chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.last != done {
		l.last, l.times = done, 0
	}
	l.times++
	return l.until == nil && l.times >= familiar
}

// isStandard tells whether watching for the end of ctx calls no code but that of
// the standard library.
func isStandard(ctx context.Context) bool { return slices.Contains(standard[:], reflect.TypeOf(ctx)) }

var standard = func() [2]reflect.Type {
	canceled, cancel := context.WithCancel(context.Background())
	defer cancel()
	timed, cancel := context.WithTimeout(canceled, 0)
	defer cancel()
	return [...]reflect.Type{reflect.TypeOf(canceled), reflect.TypeOf(timed)}
}()

// watch has the end of ctx close the inlet, if it is still that of the
// subscription: readers who load it from now on need not look at ctx.
func (s *Subscription) watch(ctx context.Context, old *inlet, done <-chan struct{}) {
	l := &inlet{c: old.c, until: done}
	if !s.changeInlet(old, func() {
		l.at = old.at
		s.inlet.Store(l)
	}) {
		return
	}
	stop := context.AfterFunc(ctx, func() { s.contextEnded(done) }) // at once, if ctx has ended
	if !s.changeInlet(l, func() { l.stop = stop }) {
		stop()
	}
}

// changeInlet makes a change with the server's mu held, unless the inlet is no
// longer that of the subscription, or closed.
func (s *Subscription) changeInlet(l *inlet, change func()) bool {
	server := s.topic.server
	server.mu.Lock()
	defer server.mu.Unlock()
	if s.inlet.Load() != l || s.Err() != nil {
		return false
	}
	change()
	return true
}

// contextEnded closes the inlet that is watched for a context, which has ended,
// and makes another one for readers with other contexts.
func (s *Subscription) contextEnded(done <-chan struct{}) {
	server := s.topic.server
	server.mu.Lock()
	defer server.mu.Unlock()
	s.mu.Lock() // Len sees no message on the way
	defer s.mu.Unlock()
	old := s.inlet.Load()
	if old == nil || old.until != done || s.err != nil {
		return
	}
	l := &inlet{c: make(chan Message, s.capacity), at: old.at}
	old.pour(l.c)
	s.inlet.Store(l)
	close(old.c)
}
