package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/harkbus/pubsub/internal/usercode"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/service"
)

// Errors of subscribing and unsubscribing, returned as they are.
var (
	// ErrSubscriptionNotFound is returned by the Unsubscribe methods when
	// there is nothing to unsubscribe.
	ErrSubscriptionNotFound = errors.New("subscription not found")

	// ErrAlreadySubscribed is returned by the Subscribe methods when the
	// client has a subscription to the same query.
	ErrAlreadySubscribed = errors.New("already subscribed")
)

// DefaultCapacity is the capacity of a subscription whose SubscribeArgs give
// none, and MaxCapacity the largest there is: Out makes a channel of it.
const (
	DefaultCapacity = 100
	MaxCapacity     = 1 << 24
)

// A Query says which publications a subscription receives. Two queries are
// the same if String returns the same.
//
// A *query.Query costs a publication nothing unless it may match, and so does
// an [Indexable]. Any other type is called for every publication, from one
// goroutine at a time; one that fails or panics is logged once, counted and
// skipped. Matches must not modify or keep events. It may subscribe, unsubscribe
// and call Stop, which does not wait then, and must not publish where that may
// have to wait; [Server.Observe] says when that is.
type Query interface {
	Matches(events map[string][]string) (bool, error)
	String() string
}

// An Indexable is a query in a language of its own that means what a
// *query.Query means, as those of compat/tmquery and compat/cmtquery do. The
// server asks for that when it is subscribed or unsubscribed, and knows
// it by nothing else: the index finds it, equal queries share their messages,
// and it is the same as each *query.Query with the same canonical text.
type Indexable interface {
	Query

	// Indexed returns its receiver and what that means, always the same, or
	// nil: then it is treated as any other type. So is a type that embeds an
	// Indexable, since the receiver of a promoted method is of another type:
	// what it has of Matches and String is its own.
	Indexed() (receiver any, means *query.Query)
}

// A Server takes publications and gives each one to the subscriptions whose
// query matches its events. See the package comment for what it promises. Its
// methods may be called from any goroutine.
type Server struct {
	service.BaseService

	turn  turnstile
	queue queue

	// Of the goroutine that has the pass of turn.
	clock  clock
	full   fullness
	hits   []*topic              // what the index found; reused
	open   []*topic              // what it left undecided; reused
	scans  []*topic              // what the scan found; reused
	batch  []Message             // what the server's goroutine took from the queue and has not begun
	ahead  match.Batch[*topic]   // what the index found for a group; empty but for drain
	events []map[string][]string // of the group; reused

	expressions expressions

	mu       lock // never held while a delivery waits or user code runs
	registry registry
	latent   latent
	index    *match.Index[*topic]
	scan     *match.Loop[*topic] // matches without mu; changes under it
	finished uint64              // the last publication that was given to all with room
	stopped  bool
	totals   totals
	watch    watch

	observers observers
	reports   reports
	closing   sync.WaitGroup // of inlets, and of stacks of readers that are sorted out
	room      *sync.Pool     // of the topics' logs

	waker    *waker
	handed   chan struct{} // capacity 1: the pass, to the server's goroutine
	stopping chan struct{} // closed by OnStop
	ended    chan struct{} // closed by the server's goroutine
}

// An Option sets a parameter of a new server.
type Option func(*Server)

// BufferCapacity sets how many publications the server accepts while another
// one is being dispatched, or before Start; when there are more, Publish waits.
// Without this option, and for capacities below one, it is none: then a
// publisher that hands a message to a reader that waits at the channel of Out, or
// to the only one that waits in Next at capacity 1, also lets that reader run
// before it goes on.
func BufferCapacity(capacity int) Option {
	return func(s *Server) { s.queue.capacity = max(capacity, 0) }
}

// NewServer returns a server that is not started. It can be subscribed to at
// once. What is published before Start waits in the queue; without
// BufferCapacity there is none, and Publish itself waits.
func NewServer(options ...Option) *Server {
	s := &Server{handed: make(chan struct{}, 1), room: newRoom()}
	s.BaseService = *service.NewBaseService(nil, "PubSub", s)
	s.reports.to = s.Logger
	s.queue.turn = &s.turn
	for _, option := range options {
		option(s)
	}
	s.clear()
	return s
}

// clear makes the server as new, but for its options, hooks, logger and last
// sequence.
func (s *Server) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry = newRegistry(s.registry.slots, s.registry.births)
	s.latent = latent{}
	s.index = match.New[*topic]()
	s.scan = match.NewLoop[*topic](s.queryFailed)
	s.stopping = make(chan struct{})
	s.ended = make(chan struct{})
	s.stopped = false
	s.totals = totals{since: time.Now()}
	s.turn.reserve()
	s.finished = s.turn.look().sequence()
}

// OnStart starts the goroutine that dispatches what was queued. If nothing was,
// the server is idle when it returns: the next publication is dispatched by
// its publisher.
func (s *Server) OnStart() error {
	s.waker = newWaker() // before anybody else can have the pass
	if !s.queue.idle() {
		s.handed <- struct{}{}
	}
	go s.dispatchQueued(s.stopping, s.ended)
	return nil
}

// OnStop refuses new calls, dispatches what was accepted, ends every
// subscription with ErrServerStopped and waits for all of that, and for the
// logger. It does not wait if an observer, a user-written query or a logger of
// a server, this one or another, calls it: the rest is done once they have
// returned, after Quit is closed and Wait has returned; Reset waits for it. So
// Stop must not be called by anybody else that they wait for.
func (s *Server) OnStop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	mine := s.queue.close() // first: a wait that ends makes room for who waits
	close(s.stopping)
	if mine {
		s.handed <- struct{}{}
	}
	if !usercode.Calls() {
		s.awaitEnd()
	}
}

// awaitEnd returns once the server's goroutines have ended.
func (s *Server) awaitEnd() {
	<-s.ended
	s.closing.Wait()
	s.reports.wait()
}

// hasEnded tells whether awaitEnd would return at once.
func (s *Server) hasEnded() bool {
	select {
	case <-s.ended:
		return s.reports.written()
	default:
		return false
	}
}

// OnReset makes a stopped server startable again: without subscriptions, and
// with Sequence going on where it was. If user code stopped the server, so that
// Stop did not wait, OnReset waits for what Stop left to do. Where an observer, a
// user-written query or a logger calls it, which that may wait for, it returns an
// error as long as there is something left.
func (s *Server) OnReset() error {
	if usercode.Calls() && !s.hasEnded() {
		return errResetTooEarly
	}
	s.awaitEnd()
	s.clear()
	return nil
}

var errResetTooEarly = errors.New("pubsub: Reset in an observer, a query or a logger, before the server has ended")

// BufferCapacity returns the capacity of the server's queue.
func (s *Server) BufferCapacity() int { return s.queue.capacity }

// Sequence returns the number of the last publication accepted, 0 before the
// first.
func (s *Server) Sequence() uint64 { return s.turn.look().sequence() }

// NumClients returns how many clients have a subscription.
func (s *Server) NumClients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.registry.clients)
}

// NumClientSubscriptions returns how many subscriptions a client has.
func (s *Server) NumClientSubscriptions(clientID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.registry.clients[clientID]; c != nil {
		return c.subs.n
	}
	return 0
}

// SubscribeArgs says what to subscribe to and how.
type SubscribeArgs struct {
	ClientID string // who subscribes; "" is a client like any other
	Query    Query  // what to; not nil

	// Capacity is how many messages the buffer holds, at most MaxCapacity;
	// 0 means DefaultCapacity.
	Capacity int

	// Overflow is what happens to a message that does not fit.
	Overflow Overflow

	// BlockTimeout is how long one message may wait for room under Block
	// before the subscription is cut; 0 means for ever.
	BlockTimeout time.Duration
}

// validate names the field that is wrong.
func (a *SubscribeArgs) validate() error {
	switch {
	case isNil(a.Query):
		return errors.New("pubsub: SubscribeArgs.Query is nil: use query.All to match everything")
	case a.Capacity < 0 || a.Capacity > MaxCapacity:
		return fmt.Errorf("pubsub: SubscribeArgs.Capacity is %d: it must be from 0 (for %d) to %d", a.Capacity, DefaultCapacity, MaxCapacity)
	case a.Overflow > Block:
		return fmt.Errorf("pubsub: SubscribeArgs.Overflow is %d: use Cancel, DropOldest, DropNewest or Block", a.Overflow)
	case a.BlockTimeout < 0:
		return fmt.Errorf("pubsub: SubscribeArgs.BlockTimeout is %v: it must be 0 (for ever) or more", a.BlockTimeout)
	case a.BlockTimeout > 0 && a.Overflow != Block:
		return fmt.Errorf("pubsub: SubscribeArgs.BlockTimeout is %v: it needs Overflow: Block, not %v", a.BlockTimeout, a.Overflow)
	}
	return nil
}

// SubscribeWithArgs subscribes a client to a query. The subscription receives
// the publications accepted from now on. It returns ErrAlreadySubscribed,
// ErrServerStopped, ctx.Err() if ctx is done already, or an error that names
// the field that is wrong.
func (s *Server) SubscribeWithArgs(ctx context.Context, args SubscribeArgs) (*Subscription, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	if args.Capacity == 0 {
		args.Capacity = DefaultCapacity
	}
	return s.subscribe(ctx, args)
}

// Subscribe subscribes a client to a query with a buffer of outCapacity
// messages, 1 if it is not given. It panics if outCapacity is zero or less.
// See SubscribeWithArgs.
func (s *Server) Subscribe(ctx context.Context, clientID string, q Query, outCapacity ...int) (*Subscription, error) {
	args := SubscribeArgs{ClientID: clientID, Query: q, Capacity: 1}
	if len(outCapacity) > 0 {
		args.Capacity = outCapacity[0]
		if args.Capacity <= 0 {
			panic("pubsub: Subscribe with a capacity of zero or less; use SubscribeUnbuffered for no buffer")
		}
	}
	return s.SubscribeWithArgs(ctx, args)
}

// SubscribeUnbuffered subscribes a client to a query without a buffer: each
// message waits until a reader takes it, and all later publications wait with
// it. A reader that publishes may wait for itself; Overflow says how not to.
// See SubscribeWithArgs.
func (s *Server) SubscribeUnbuffered(ctx context.Context, clientID string, q Query) (*Subscription, error) {
	args := SubscribeArgs{ClientID: clientID, Query: q, Overflow: Block}
	if err := args.validate(); err != nil {
		return nil, err
	}
	return s.subscribe(ctx, args)
}

func (s *Server) subscribe(ctx context.Context, args SubscribeArgs) (*Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q, text := canonical(args.Query)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, ErrServerStopped
	}
	if s.registry.find(args.ClientID, text) != nil {
		return nil, ErrAlreadySubscribed
	}
	sub := &Subscription{
		topic:    s.topicFor(q, text),
		capacity: int32(args.Capacity),
		overflow: args.Overflow,
		timeout:  args.BlockTimeout,
		after:    s.turn.look().sequence(),
	}
	sub.cursor.word.Store(offLog)
	if args.Capacity == 0 {
		sub.out.set(make(chan Message)) // readers and deliveries meet in it
	}
	s.registry.add(sub, args.ClientID)
	if sub.after == s.finished {
		sub.topic.begin(sub)
	} else {
		s.latent.add(sub)
	}
	return sub, nil
}

// topicFor returns the topic of a canonical query, a new one if need be. The
// caller holds s.mu.
func (s *Server) topicFor(q Query, text string) *topic {
	form, ok := q.(*query.Query)
	if !ok {
		t := newTopic(s, q, text, scanned)
		t.refs = 1
		t.id = s.scan.Add(q, t)
		return t
	}
	t := s.registry.topics[text]
	if t == nil {
		t = newTopic(s, form, text, indexed)
		t.born = s.registry.births
		t.id = s.index.Add(form, t)
		s.registry.topics[text] = t
	}
	t.refs++
	return t
}

// Unsubscribe ends the subscription of a client to a query. Once it has
// returned nothing is added to the subscription's buffer. It returns
// ErrSubscriptionNotFound, ErrServerStopped, or ctx.Err() if ctx is done
// already.
func (s *Server) Unsubscribe(ctx context.Context, clientID string, q Query) error {
	if isNil(q) {
		return ErrSubscriptionNotFound
	}
	_, text := canonical(q)
	return s.unsubscribe(ctx, func() *Subscription { return s.registry.find(clientID, text) })
}

// UnsubscribeID is Unsubscribe for the subscription with an ID.
func (s *Server) UnsubscribeID(ctx context.Context, id uint64) error {
	return s.unsubscribe(ctx, func() *Subscription { return s.registry.slots.get(id) })
}

func (s *Server) unsubscribe(ctx context.Context, find func() *Subscription) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return ErrServerStopped
	}
	sub := find()
	if sub == nil {
		s.mu.Unlock()
		return ErrSubscriptionNotFound
	}
	s.remove(sub, ErrUnsubscribed)
	s.mu.Unlock()
	sub.awaitHandover()
	return nil
}

// step is how many subscriptions are looked at while s.mu is held.
const step = 64

// UnsubscribeAll ends all subscriptions that the client has now. It works in
// steps: publications go on meanwhile, and may reach some of the subscriptions
// and not others. It returns the errors of Unsubscribe.
func (s *Server) UnsubscribeAll(ctx context.Context, clientID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	born, c, stopped := s.registry.births, s.registry.clients[clientID], s.stopped
	s.mu.Unlock()
	switch {
	case stopped:
		return ErrServerStopped
	case c == nil:
		return ErrSubscriptionNotFound
	}
	var waits []*Subscription
	for more := true; more; {
		waits, more = s.unsubscribeStep(c, born, waits)
	}
	for _, sub := range waits {
		sub.awaitHandover()
	}
	return nil
}

// unsubscribeStep ends a few of the subscriptions of a client, of those that
// were there after so many births, and tells whether there are more. It adds
// those whose handover must be waited for to waits.
func (s *Server) unsubscribeStep(c *client, born uint64, waits []*Subscription) (_ []*Subscription, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range step {
		sub := c.subs.first
		if sub == nil || sub.birth > born {
			return waits, false
		}
		s.remove(sub, ErrUnsubscribed)
		if sub.overflow == Block {
			waits = append(waits, sub)
		}
	}
	return waits, true
}

// remove takes sub out of everything and ends it. The caller holds s.mu and
// lets go of it before it waits for a handover.
func (s *Server) remove(sub *Subscription, reason error) {
	if sub.place.list == inLatent {
		s.latent.remove(sub)
	}
	t := sub.topic
	t.remove(sub)
	s.registry.remove(sub)
	if t.refs--; t.refs == 0 {
		if t.kind == scanned {
			s.scan.Remove(t.id)
		} else {
			s.index.Remove(t.id)
			delete(s.registry.topics, t.text)
		}
	}
	s.registry.shrink()
	sub.end(reason)
}

// PublishArgs is a publication with what a bridge knows of it.
type PublishArgs struct {
	Data   any
	Events map[string][]string // belongs to the server from now on

	// Origin is the process that accepted the publication first; nil is this
	// one. It is not copied and must not be modified.
	Origin *Origin

	// Time is what Message.Time returns; if zero, the time of dispatch. It is
	// kept to the nanosecond from the end of 1677 to the beginning of 2262;
	// beyond, it becomes the nearest of these.
	Time time.Time
}

// Publish publishes data without events: it reaches the subscriptions to
// query.All, to NOT queries, and whatever user-written queries say.
func (s *Server) Publish(ctx context.Context, data any) error {
	_, err := s.publish(ctx, Message{data: data})
	return err
}

// PublishWithEvents publishes data with events, which belong to the server
// from now on: the caller must not touch them again.
//
// It returns nil once the publication is accepted. It waits while the queue is
// full, until ctx is done, and then returns ctx.Err(); on any error the
// publication did not happen. After Stop the error is ErrServerStopped.
//
// The queue fills while a message waits for a reader under Block, while an
// observer or a user-written query is at work, and before Start. Whoever these
// wait for, a reader under Block above all, must not publish with a context
// that never ends: see Overflow and BufferCapacity.
func (s *Server) PublishWithEvents(ctx context.Context, data any, events map[string][]string) error {
	_, err := s.publish(ctx, Message{data: data, events: events})
	return err
}

// PublishWithArgs is PublishWithEvents for bridges. It returns the Sequence
// that the publication was given.
func (s *Server) PublishWithArgs(ctx context.Context, args PublishArgs) (sequence uint64, err error) {
	return s.publish(ctx, Message{data: args.Data, events: args.Events, origin: args.Origin, at: stamp(args.Time)})
}
