package pubsub

import (
	"sync/atomic"
)

// How readers wait. A goroutine that finds nothing in Next becomes a sleeper of
// its subscription and waits for a token:
//
//	                   token (capacity 1)
//	sleeper ◀──────────┐
//	sleeper ◀──────────┤ subscription ◀── parked ── topic ◀── dispatcher
//	                   │ subscription ◀── next
//	sleeper ◀──────────┘ subscription ◀── next
//
// A token says: look again. It goes to one sleeper, which sends it on while
// there is something for another one. The dispatcher sends tokens to
// subscriptions that are fed as it feeds them. Those that read the log are
// parked in a stack of their topic, each at most once; the dispatcher takes the
// whole stack, sends the first subscription its token, and leaves the others
// to the server's waker, so that a publication pays for one.

// A parking is what a subscription needs for its readers to wait.
type parking struct {
	sleepers atomic.Int32
	lull     atomic.Uint32  // low bits of the cursor's position when a reader last found nothing
	token    lazy[struct{}] // made for the first sleeper, before it is counted
	parked   atomic.Bool    // in the stack of its topic, or on the way to a token
	next     *Subscription  // in the stack
}

// linger waits a moment for a message, well below a microsecond, if messages
// have been coming in a stream: parking and waking would cost both sides more.
// It tells whether there is one. A reader that is woken for each message does
// not linger, nor does one with hardly any room for a stream.
func (s *Subscription) linger() bool {
	log, pos := &s.topic.log, s.cursor.word.Load()
	if s.capacity < stream || pos >= awaited {
		return false
	}
	if last := s.lull.Swap(uint32(pos)); uint32(pos)-last < stream {
		return false
	}
	for range lingerLooks {
		if pos < log.tail.Load() {
			return true
		}
	}
	return false
}

const (
	stream      = 4   // messages without a pause that make a stream
	lingerLooks = 256 // about 1 ns each
)

// sleepOnLog parks the subscription and sleeps, for a reader that found nothing
// in the log. It fails if the cursor is off the log. A subscription whose
// cursor is not has not ended.
func (s *Subscription) sleepOnLog(done <-chan struct{}) bool {
	if _, onLog := s.cursor.position(); !onLog {
		return false
	}
	if s.token.get() == nil {
		s.mu.Lock()
		s.makeTokenLocked()
		s.mu.Unlock()
	}
	s.sleepers.Add(1)
	if s.topic.park(s) {
		s.sleep(done)
	} else {
		s.sleepers.Add(-1)
	}
	return true
}

// sleepFedAndUnlock sleeps, for a reader of a subscription that is fed and has
// nothing, unless it reads the log meanwhile. It releases mu, which the caller
// holds.
func (s *Subscription) sleepFedAndUnlock(done <-chan struct{}) {
	if _, onLog := s.cursor.position(); onLog {
		s.mu.Unlock()
		return
	}
	s.makeTokenLocked()
	s.sleepers.Add(1)
	s.mu.Unlock()
	s.sleep(done)
}

func (s *Subscription) makeTokenLocked() {
	if s.token.get() == nil {
		s.token.set(make(chan struct{}, 1))
	}
}

// sleep waits for a token until done is closed. The caller is a sleeper.
func (s *Subscription) sleep(done <-chan struct{}) {
	token := s.token.get()
	if done == nil {
		<-token
	} else {
		select {
		case <-token:
		case <-done:
		}
	}
	if s.sleepers.Add(-1) > 0 {
		s.parkForOthers()
	}
}

// parkForOthers keeps a subscription parked for the sleepers it has left.
func (s *Subscription) parkForOthers() {
	if _, onLog := s.cursor.position(); onLog && !s.topic.park(s) {
		s.wake()
	}
}

// wake sends a token to a sleeper, if there is one, unless there is a token
// that nobody has taken yet. It takes no lock: who has counted a sleeper sees
// the channel that was made before.
func (s *Subscription) wake() {
	if s.sleepers.Load() == 0 {
		return
	}
	select {
	case s.token.get() <- struct{}{}:
	default:
	}
}

// passOnLocked sends the token of a reader that found something on, if there is
// a message or the end for another one to find: two things that happened while
// nobody slept yet have sent one token.
func (s *Subscription) passOnLocked() {
	if s.backlog.len() > 0 || s.err != nil {
		s.wake()
	}
}

// park puts a subscription that reads the log into the stack, for a reader
// that found nothing. It fails if there is something meanwhile, or if the
// cursor is off the log.
func (t *topic) park(sub *Subscription) bool {
	if !sub.parked.Swap(true) {
		t.push(sub)
	}
	// The dispatcher moves the tail and then looks at the stack; this is the
	// other way round, so one of the two sees the other.
	pos, ok := sub.cursor.position()
	return ok && pos >= t.log.tail.Load()
}

func (t *topic) push(sub *Subscription) {
	for {
		sub.next = t.parked.Load()
		if t.parked.CompareAndSwap(sub.next, sub) {
			return
		}
	}
}

// unparkAll sends tokens to a stack that was taken off a topic.
func unparkAll(sub *Subscription) {
	for sub != nil {
		sub = unpark(sub)
	}
}

// unpark sends a token to the first subscription of a stack and returns the
// others.
func unpark(sub *Subscription) (others *Subscription) {
	others, sub.next = sub.next, nil
	sub.parked.Store(false)
	sub.wake()
	return others
}

// forgetParked takes note that a parked subscription has ended. When that has
// happened often it clears them out of the stack. The caller holds the
// server's mu.
func (t *topic) forgetParked() {
	if t.gone++; int(t.gone) <= t.members()+8 {
		return
	}
	t.gone = 0
	if stack := t.parked.Swap(nil); stack != nil {
		t.server.closing.Go(func() { t.parkAgain(stack) }) // they may be very many
	}
}

// parkAgain puts those of a stack that was taken off the topic back whose readers
// still wait for the log. It wakes none for which there is nothing.
func (t *topic) parkAgain(stack *Subscription) {
	for stack != nil {
		sub := stack
		stack, sub.next = sub.next, nil
		sub.parked.Store(false)
		if sub.sleepers.Load() > 0 {
			sub.parkForOthers()
		}
	}
}

// A waker sends tokens for the dispatcher.
type waker struct {
	stacks chan *Subscription
	ended  chan struct{} // closed by run
}

func newWaker() *waker {
	w := &waker{stacks: make(chan *Subscription, 64), ended: make(chan struct{})}
	go w.run()
	return w
}

func (w *waker) run() {
	defer close(w.ended)
	for stack := range w.stacks {
		unparkAll(stack)
	}
}

// stop waits until all tokens have been sent. The caller is the dispatcher.
func (w *waker) stop() {
	close(w.stacks)
	<-w.ended
}

// wake sends tokens to the readers that wait for the log of a topic: one at
// once, the others soon. The caller has the pass.
func (w *waker) wake(t *topic) {
	stack := t.parked.Swap(nil)
	if stack == nil {
		return
	}
	others := unpark(stack)
	if others == nil {
		return
	}
	select {
	case w.stacks <- others:
	default: // it is behind
		unparkAll(others)
	}
}
