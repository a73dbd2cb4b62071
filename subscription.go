package pubsub

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// Why a subscription ended, as Err and Next return it.
var (
	// ErrUnsubscribed is the reason of a subscription that was unsubscribed.
	ErrUnsubscribed = errors.New("client unsubscribed")

	// ErrOutOfCapacity is the reason of a subscription that was cut because
	// its buffer was full: its reader was too slow.
	ErrOutOfCapacity = errors.New("internal subscription event buffer is out of capacity")

	// ErrExpressionBudget is the reason of a subscription whose query has
	// regular expressions, or other conditions that search values that are many
	// or long, which take longer on a publication than they may; see
	// ExpressionBudget. It got all its matches before that publication.
	ErrExpressionBudget = errors.New("pubsub: the conditions of the query take too long on a publication")

	// ErrServerStopped is the reason of a subscription whose server stopped,
	// and the error of calls to a server that was stopped.
	ErrServerStopped = errors.New("pubsub: the server is stopped")
)

// Overflow says what happens to a message that does not fit into the buffer
// of its subscription.
//
// Under Block one reader keeps the whole bus waiting, and a reader that
// publishes may wait for itself: while a message waits for room in its buffer
// the queue is not drained, and a publication that finds the queue full, which
// without BufferCapacity it always is, waits with it. Such a reader publishes
// from another goroutine, or with a context that ends, or has a queue with room
// for all that it publishes between two reads. The logger is told of a wait
// that exceeds a second, with the client and the query, and
// SubscriptionStats.Waiting says how long it has lasted.
type Overflow uint8

// The policies for a full buffer.
const (
	Cancel     Overflow = iota // cut the subscription with ErrOutOfCapacity
	DropOldest                 // drop the oldest message in the buffer
	DropNewest                 // drop the message that does not fit
	Block                      // wait for room, and dispatch nothing else meanwhile
)

// String returns the name of the policy.
func (o Overflow) String() string {
	switch o {
	case Cancel:
		return "cancel"
	case DropOldest:
		return "drop-oldest"
	case DropNewest:
		return "drop-newest"
	case Block:
		return "block"
	}
	return "unknown"
}

// A Subscription receives the messages that match one query of one client, in
// the order of their Sequence, through a buffer of fixed capacity. Its methods
// may be called from any goroutine; if several read, each message goes to one
// of them.
//
// Read with Next, NextBatch or Messages. Out serves code that selects on a
// channel; it costs a channel of the full capacity and a channel send per
// message.
type Subscription struct {
	// What a reader and the dispatcher touch for each message comes first, in
	// one line of the cache.

	// A subscription reads the log of its topic, or it is fed: the dispatcher
	// puts each message into backlog, inlet or out. It is fed from its first
	// overflow, the first reader that waits at capacity 1, or the first call of Out
	// on, and once it has ended; when a backlog has been read empty the
	// subscription goes back to the log.
	cursor cursor
	parking
	topic *topic
	inlet atomic.Pointer[inlet] // fed, at capacity 1, until Out is called
	mu    sync.Mutex

	// Guarded by mu; out is made with the server's mu held too, and looking at
	// done and out takes neither.
	err      error          // why it ended; nil: it has not
	done     lazy[struct{}] // closed when it ends
	dropped  uint64
	backlog  *backlog      // fed, until Out is called
	out      lazy[Message] // fed, from then on
	handover *handover     // a delivery that waits for room
	pending  pending       // where its message is

	overflow Overflow
	capacity int32
	timeout  time.Duration // Block: how long one message may wait; 0: for ever

	// Guarded by the server's mu.
	place    place
	inClient link
	matched  uint64 // publications; less the tail of the log while it reads that

	id     uint64
	birth  uint64 // later subscriptions have higher ones
	after  uint64 // gets publications with a higher sequence
	client *client
}

// NewSubscription returns a subscription that belongs to no server and
// receives nothing. It serves code that is ported.
func NewSubscription(outCapacity int) *Subscription {
	outCapacity = min(max(outCapacity, 0), MaxCapacity)
	s := &Subscription{topic: noTopic, capacity: int32(outCapacity)}
	s.out.set(make(chan Message, outCapacity))
	s.cursor.word.Store(offLog)
	return s
}

// noTopic is that of subscriptions that belong to no server.
var noTopic = &topic{}

// ID returns the number of the subscription, unlike that of any other one of
// the server. See Server.UnsubscribeID.
func (s *Subscription) ID() uint64 { return s.id }

// ClientID returns the client that subscribed.
func (s *Subscription) ClientID() string {
	if s.client == nil {
		return ""
	}
	return s.client.id
}

// After returns the Sequence of the last publication that had been accepted
// when the subscription took effect: it gets its matches among the later ones.
// Whoever reads a history of publications up to After and then the
// subscription misses none and sees none twice.
func (s *Subscription) After() uint64 { return s.after }

// Query returns the query; nil if the subscription belongs to no server. Of an
// [Indexable] it is the *query.Query that it means, which the subscription shares
// with all others that mean the same.
func (s *Subscription) Query() Query {
	return s.topic.query
}

// Cap returns the capacity of the buffer.
func (s *Subscription) Cap() int { return int(s.capacity) }

// Len returns how many messages are in the buffer.
func (s *Subscription) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.depthLocked()
}

func (s *Subscription) depthLocked() int {
	if c := s.channel(); c != nil {
		return len(c)
	}
	if pos, ok := s.cursor.position(); ok {
		// A message that waits for room is in the log but not in the buffer.
		return int(min(s.topic.log.tail.Load()-pos, uint64(s.capacity)))
	}
	return s.backlog.len()
}

// Dropped returns how many messages matched but did not get into the buffer,
// or were dropped from it.
func (s *Subscription) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Err returns nil while the subscription lives, and then, for ever, why it
// ended: ErrUnsubscribed, ErrOutOfCapacity, ErrExpressionBudget or
// ErrServerStopped.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Canceled returns a channel that is closed when the subscription ends. Err is
// set by then. Messages may be left in the buffer; they can still be read.
func (s *Subscription) Canceled() <-chan struct{} {
	if done := s.done.get(); done != nil {
		return done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doneLocked()
}

// Cancelled is Canceled, as Tendermint spells it.
func (s *Subscription) Cancelled() <-chan struct{} { return s.Canceled() }

func (s *Subscription) doneLocked() chan struct{} {
	if s.done.get() == nil {
		done := make(chan struct{})
		if s.err != nil {
			close(done)
		}
		s.done.set(done)
	}
	return s.done.get()
}

// Next takes the next message out of the buffer, waiting for one until ctx is
// done. It looks at ctx first, then at the buffer, then at whether the
// subscription has ended: the messages left in the buffer come before the
// reason, which is the error then.
func (s *Subscription) Next(ctx context.Context) (Message, error) {
	if err := ctx.Err(); err != nil {
		return Message{}, err
	}
	if l := s.inlet.Load(); l != nil {
		if m, ok := l.receive(ctx.Done()); ok {
			return m, nil
		}
	} else if at, pos := s.cursor.read(&s.topic.log); at != nil {
		return at.take(pos), nil
	}
	return s.wait(ctx)
}

// NextBatch takes messages out of the buffer into batch, in order, and returns
// how many: at least one, at most len(batch). It waits for the first one as
// Next does, and then takes what it finds, so that there may be more when it
// returns. A reader that is behind takes many messages for little more than one
// costs.
//
// It returns an error where Next does, and for an empty batch.
func (s *Subscription) NextBatch(ctx context.Context, batch []Message) (int, error) {
	if len(batch) == 0 {
		return 0, errEmptyBatch
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if n := s.cursor.readBatch(&s.topic.log, batch); n > 0 {
		return n, nil
	}
	m, err := s.wait(ctx)
	if err != nil {
		return 0, err
	}
	batch[0] = m
	return 1 + s.readMore(batch[1:]), nil
}

var errEmptyBatch = errors.New("pubsub: NextBatch into an empty slice: give it room for one message at least")

// Messages iterates over the messages like Next. It ends with one error: that
// of ctx, or the reason why the subscription ended. Leaving the loop does not
// unsubscribe.
func (s *Subscription) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := s.Next(ctx)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// Out returns a channel of the capacity of the subscription that receives its
// messages. It is never closed: select on Canceled too, and read what is left
// in it then. From the first call on, Next reads that channel.
func (s *Subscription) Out() <-chan Message {
	if out := s.out.get(); out != nil {
		return out
	}
	return s.openOut()
}

// openOut makes the channel and moves the buffer into it, in bounded steps.
func (s *Subscription) openOut() <-chan Message {
	out := make(chan Message, s.capacity)
	for !s.moveTo(out) {
	}
	return s.out.get()
}

// moveTo moves a part of the buffer to a channel, and tells whether Next and the
// dispatcher use that or the one of another goroutine from now on.
func (s *Subscription) moveTo(out chan Message) (done bool) {
	server := s.topic.server
	server.mu.Lock() // keeps the dispatcher away
	defer server.mu.Unlock()
	s.topic.feed(s)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened() {
		return true
	}
	if l := s.inlet.Load(); l != nil {
		l.pour(out)
		s.out.set(out)
		s.inlet.Store(nil)
		if s.err == nil { // or it is closed
			s.closeInlet(l)
		}
		return true
	}
	if s.backlog == nil {
		s.backlog = new(backlog)
	}
	if s.backlog.moved == nil {
		s.backlog.moved = out
	}
	if !s.backlog.move(moveStep) {
		return false
	}
	s.out.set(s.backlog.moved)
	s.backlog = nil
	s.wake()
	s.handover.notify()
	return true
}

// moveStep is how many messages are moved while the server's mu is held.
const moveStep = 16 * step

// wait is Next when a look at the log found nothing to take.
func (s *Subscription) wait(ctx context.Context) (Message, error) {
	if s.linger() {
		if at, pos := s.cursor.read(&s.topic.log); at != nil {
			return at.take(pos), nil
		}
	}
	done := ctx.Done() // before anything that a panic of it would leave half done
	for {
		if l := s.inlet.Load(); l != nil {
			if m, ok := l.receive(done); ok {
				return m, nil
			}
		}
		select {
		case <-done:
			s.wake() // it may have got the token of another one
			return Message{}, reason(ctx)
		default:
		}
		if out := s.out.get(); out != nil {
			s.wake() // the other sleepers are to come here too
			return s.receiveOut(ctx, out)
		}
		if at, pos, waits := s.cursor.readAwaited(&s.topic.log); at != nil {
			if waits {
				s.madeRoom()
			}
			return at.take(pos), nil
		}
		if s.direct() && s.openInlet() || s.sleepOnLog(done) {
			continue
		}
		s.mu.Lock()
		switch {
		case s.opened():
			s.mu.Unlock()
			continue
		case s.backlog.len() > 0:
			m := s.backlog.pop()
			s.handover.notify()
			s.passOnLocked()
			s.mu.Unlock()
			return m, nil
		case s.inlet.Load().holdsMessage(): // another reader made it, before the end
			s.mu.Unlock()
			continue
		case s.err != nil:
			err := s.err
			s.passOnLocked()
			s.mu.Unlock()
			return Message{}, err
		}
		s.sleepFedAndUnlock(done)
	}
}

// readMore takes what is in the buffer without waiting.
func (s *Subscription) readMore(batch []Message) (n int) {
	if len(batch) == 0 {
		return 0
	}
	if _, onLog := s.cursor.position(); onLog {
		return s.cursor.readBatch(&s.topic.log, batch)
	}
	c := s.channel()
	s.mu.Lock()
	for ; n < len(batch) && s.backlog.len() > 0; n++ {
		batch[n] = s.backlog.pop()
	}
	if n > 0 {
		s.handover.notify()
	}
	s.passOnLocked()
	s.mu.Unlock()
	for ; n < len(batch); n++ {
		select {
		case m, open := <-c:
			if !open {
				return n
			}
			batch[n] = m
		default:
			return n
		}
	}
	return n
}

// receiveOut is Next once Out has been called.
func (s *Subscription) receiveOut(ctx context.Context, out <-chan Message) (Message, error) {
	select {
	case m := <-out:
		return m, nil
	default:
	}
	select {
	case m := <-out:
		return m, nil
	case <-ctx.Done():
		return Message{}, reason(ctx)
	case <-s.Canceled():
	}
	select {
	case m := <-out: // it came before the end
		return m, nil
	default:
		return Message{}, s.Err()
	}
}

func (s *Subscription) drop() {
	s.mu.Lock()
	s.dropped++
	s.mu.Unlock()
}

// channel returns the channel that the subscription is fed through, nil if there
// is none.
func (s *Subscription) channel() chan Message {
	if l := s.inlet.Load(); l != nil {
		return l.c
	}
	return s.out.get()
}

// opened tells whether Out has been called.
func (s *Subscription) opened() bool {
	return s.out.get() != nil
}

// end closes the subscription, which has been taken off its topic. The caller
// holds the server's mu, so it is called once. A delivery that waits for the
// channel cannot be called back from here, and nothing may come after the
// reason, so it is left to that delivery to end the subscription.
func (s *Subscription) end(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handover != nil && s.out.get() != nil {
		s.handover.reason = reason
		s.handover.notify()
		return
	}
	s.endLocked(reason)
}

func (s *Subscription) endLocked(reason error) {
	s.err = reason
	if done := s.done.get(); done != nil {
		close(done)
	}
	if l := s.inlet.Load(); l != nil {
		s.closeInlet(l)
	}
	s.wake()
	s.handover.notify()
}
