package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/wire"
)

// A connection is a client that is connected, whatever it speaks. It has the
// writer that everything goes out through, the outlets that bring it, and one
// way to end:
//
//	drain, token, policy, administrator
//	   └─ shutdown ─▶ each outlet ends and says why ─▶ goodbye, after all that is queued
//	kill ─▶ cut; ctx ends
//
// Whoever serves the transport calls release when it is over.
type connection struct {
	server    *Server
	transport transport
	w         writer
	id        string // unlike that of any other connection of the server
	visit     *visit // whose it is

	counted bool // with an outlet it is one of MaxClients
	single  bool // it ends with its outlet

	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	expiry *time.Timer // nil: never

	closing  atomic.Pointer[ending] // why it is about to end; nil: it is not
	shedding atomic.Bool            // what waits for it is dropped

	mu      sync.Mutex
	outlets map[string]*outlet // by key
	going   []*outlet          // forgotten, and yet to say why they end
	over    bool               // no task may begin
	tasks   sync.WaitGroup     // what spawn started; release waits for them
	asking  sync.WaitGroup     // what ask started; none begins once closing is set

	waits    context.Context // of ask; nil: nobody has asked
	endWaits context.CancelFunc
}

// A transport is what carries a connection: a WebSocket, or the body of a
// response.
type transport interface {
	refuse()          // has what the client sends from now on refused
	goodbye(e ending) // ends it after all that is queued
	cut()             // ends it at once
}

// An ending is why something ends, as its client is notified.
type ending struct {
	code   int // of a WebSocket's close frame
	reason string
}

// Close codes of RFC 6455 and its registry. Never 1000, on which CometBFT's Go
// client would wait for good.
const (
	closePolicyViolation = websocket.ClosePolicyViolation
	closeInternalError   = websocket.CloseInternalServerErr
	closeServiceRestart  = websocket.CloseServiceRestart
	closeTryAgainLater   = websocket.CloseTryAgainLater
)

var (
	endDrain   = ending{closeServiceRestart, wire.Draining}
	endExpired = ending{closePolicyViolation, "the token has expired"}
	endTooSlow = ending{closeTryAgainLater, wire.TooSlow}
	endStalled = ending{closeTryAgainLater, wire.Unreading}
	endHeld    = ending{closeTryAgainLater, wire.Held}
)

// endingOf returns the ending for an error of the bus or the history.
func endingOf(err error) ending {
	code := closeInternalError
	switch {
	case errors.Is(err, pubsub.ErrOutOfCapacity):
		code = closeTryAgainLater
	case errors.Is(err, pubsub.ErrServerStopped):
		code = closeServiceRestart
	case errors.Is(err, pubsub.ErrUnsubscribed), tookTooLong(err):
		code = closePolicyViolation
	}
	return ending{code, err.Error()}
}

// init prepares the zero connection of a visit. It ends with ctx.
func (c *connection) init(ctx context.Context, kind string, v *visit) {
	c.server, c.id, c.visit = v.server, v.server.nextID(kind), v
	c.ctx, c.cancel = context.WithCancel(ctx)
}

// start registers a connection: from now on Shutdown ends it, and so does the
// end of its token.
func (c *connection) start() {
	c.server.add(c)
	c.expect(c.visit.identity().Expires)
}

// release frees everything. The transport is over.
func (c *connection) release() {
	c.cancel()
	c.expect(time.Time{})
	c.w.fail(net.ErrClosed)
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.tasks.Wait()
	c.drop()
	c.w.await()
	c.visit.entry.sent += c.w.sent
}

// drop forgets outlets whose pump never began.
func (c *connection) drop() {
	for _, o := range c.all() {
		o.leaveBus()
		o.cancel()
		c.forget(o)
	}
}

// spawn runs f in a goroutine that release waits for, unless it is too late.
func (c *connection) spawn(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.tasks.Go(f)
	}
}

// shutdown ends all outlets, each with the reason, and then the connection. It
// returns when the goodbye is on its way. Of several endings the first counts.
func (c *connection) shutdown(e ending) {
	c.closing.CompareAndSwap(nil, &e)
	first := *c.closing.Load() // e is read by others now
	c.transport.refuse()
	outlets := c.allAndGoing()
	c.endAsking()
	for _, o := range outlets {
		o.end(first)
	}
	for _, o := range outlets {
		select {
		case <-o.done:
		case <-c.ctx.Done():
		}
	}
	c.transport.goodbye(first)
}

// kill ends the connection without a word.
func (c *connection) kill() {
	c.cancel()
	c.transport.cut()
}

// farewell is what a peer that has stalled is notified of: frames, and the
// payload of the close frame.
func (c *connection) farewell() (frames []frame, bye []byte) {
	for _, o := range c.all() {
		if !o.told.CompareAndSwap(false, true) {
			continue
		}
		if f, ok := o.framing.last(endStalled.reason); ok {
			frames = append(frames, f)
		}
	}
	return frames, closePayload(endStalled.code, endStalled.reason)
}

// ask runs f in a goroutine that shutdown waits for. The context of f ends with
// the connection, and with endWaiting. It returns false if it is
// too late.
func (c *connection) ask(f func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.closing.Load() != nil {
		return false
	}
	if c.waits == nil {
		c.waits, c.endWaits = context.WithCancel(c.ctx)
	}
	c.asking.Add(1)
	c.tasks.Go(func() {
		defer c.asking.Done()
		f(c.waits)
	})
	return true
}

// endAsking has requests that wait answered, and returns when they have been.
// closing is set.
func (c *connection) endAsking() {
	c.endWaiting()
	c.asking.Wait()
}

// endWaiting has requests that wait answered; those that come later may wait.
func (c *connection) endWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endWaits != nil {
		c.endWaits()
		c.waits, c.endWaits = nil, nil
	}
}

// all returns the outlets.
func (c *connection) all() []*outlet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.outlets))
}

// begone takes note that an outlet is about to be forgotten, and says why it ends
// until the function is called that it returns: the goodbye comes after that.
func (c *connection) begone(o *outlet) (said func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.going = append(c.going, o)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.going = slices.DeleteFunc(c.going, func(other *outlet) bool { return other == o })
	}
}

// allAndGoing returns the outlets, and those that are forgotten and yet to say why
// they end.
func (c *connection) allAndGoing() []*outlet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.AppendSeq(slices.Clone(c.going), maps.Values(c.outlets))
}

// outlet returns the one with a key, nil if there is none.
func (c *connection) outlet(key string) *outlet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outlets[key]
}

// A closingError says that a connection takes no new outlet.
type closingError struct{ ending }

func (e closingError) Error() string { return e.reason }

var errAlreadySubscribed = errors.New("already subscribed")

// open makes an outlet. Its pump is yet to be started.
func (c *connection) open(w wanted) (*outlet, error) {
	if _, err := w.overflow.bus(); err != nil {
		return nil, err
	}
	o := c.newOutlet(w)
	if err := c.add(o); err != nil {
		o.cancel()
		return nil, err
	}
	if err := o.begin(); err != nil {
		c.forget(o)
		o.cancel()
		close(o.done) // there will be no pump
		return nil, err
	}
	return o, nil
}

func (c *connection) newOutlet(w wanted) *outlet {
	id := c.server.lastID.Add(1)
	if w.client == "" {
		w.client = c.id + "/" + strconv.FormatUint(id, 10)
	}
	o := &outlet{
		feed: feed{
			server: c.server, client: w.client, narrow: w.narrow, overflow: w.overflow, capacity: w.capacity, resume: w.resume, at: w.after,
		},
		conn: c, framing: w.framing, key: w.key, query: w.query, topic: w.topic, instructions: w.instructions, taken: w.taken, done: make(chan struct{}),
	}
	if o.taken == nil {
		o.taken = func() {}
	}
	o.ctx, o.cancel = context.WithCancel(c.ctx)
	o.endWait = func() {}
	if w.resume {
		o.trial = c.server.try(w.narrow, w.after)
		o.waits, o.endWait = context.WithCancel(o.ctx)
	}
	return o
}

func (c *connection) add(o *outlet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.closing.Load(); e != nil { // shutdown does not know of o
		return closingError{*e}
	}
	if c.outlets[o.key] != nil {
		return errAlreadySubscribed
	}
	if err := c.takeExpressionsLocked(o.instructions); err != nil {
		return err
	}
	if c.counted && len(c.outlets) == 0 && !c.server.clientEnters() {
		c.server.expressions.give(o.instructions)
		return c.server.tooManyClients()
	}
	if c.outlets == nil {
		c.outlets = make(map[string]*outlet, 1)
	}
	c.outlets[o.key] = o
	c.server.outlets.Store(o.client, o)
	o.member = c.server.presence.enter(o)
	return nil
}

// takeExpressionsLocked counts the regular expressions of one more outlet, if
// the limits of the connection and of all allow them. The caller holds c.mu.
func (c *connection) takeExpressionsLocked(instructions int) error {
	if instructions == 0 {
		return nil
	}
	sum := instructions
	for _, o := range c.outlets {
		sum += o.instructions
	}
	if most := c.server.config.MaxExpressions; sum > most {
		return &limitError{refusedExpressions, fmt.Sprintf("max_expressions_per_client %d reached: the regular expressions of the connection would have %d instructions", most, sum)}
	}
	return c.server.expressions.take(instructions)
}

// forget takes o out of the connection.
func (c *connection) forget(o *outlet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outlets[o.key] != o {
		return
	}
	delete(c.outlets, o.key)
	c.server.expressions.give(o.instructions)
	c.server.outlets.Delete(o.client)
	c.server.presence.leave(o.member)
	if c.counted && len(c.outlets) == 0 {
		c.server.clients.Add(-1)
	}
}

// clientEnters counts a connection with a subscription, if the limit allows
// it.
func (s *Server) clientEnters() bool {
	for {
		n := s.clients.Load()
		if n >= int64(s.config.MaxClients) {
			return false
		}
		if s.clients.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *Server) tooManyClients() error {
	return &limitError{refusedClients, fmt.Sprintf("max_subscription_clients %d reached", s.config.MaxClients)}
}

// beginDrain lets nobody in from now on.
func (s *Server) beginDrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
}

// arrive lets in a visit that is to be a connection, unless the server drains;
// then it is none.
func (s *Server) arrive(v *visit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Err() != nil {
		return false
	}
	v.arriving = true
	s.arriving++
	return true
}

// depart takes note that a visit is no connection, if it was to be one.
func (s *Server) depart(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivedLocked(v)
	s.tellEmptyLocked()
}

// arrivedLocked ends the arrival of a visit. The caller holds s.mu.
func (s *Server) arrivedLocked(v *visit) {
	if v.arriving {
		v.arriving = false
		s.arriving--
	}
}

// add registers a connection. One that comes while the server drains is ended at
// once.
func (s *Server) add(c *connection) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.arrivedLocked(c.visit)
	s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		c.kill()
	case s.draining.Err() != nil:
		c.spawn(func() { c.shutdown(endDrain) })
	}
}

func (s *Server) remove(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.tellEmptyLocked()
}

// connections returns all connections and a channel that is closed when the
// last has ended and none is arriving. Once everything is cut, those that arrive
// are not waited for: add cuts them.
func (s *Server) connections() (all []*connection, empty <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty = s.empty
	s.tellEmptyLocked()
	return slices.Collect(maps.Keys(s.conns)), empty
}

// tellEmptyLocked notifies who waits if there is no connection. The caller holds
// s.mu.
func (s *Server) tellEmptyLocked() {
	if s.empty != nil && len(s.conns) == 0 && (s.arriving == 0 || s.ctx.Err() != nil) {
		close(s.empty)
		s.empty = nil
	}
}
