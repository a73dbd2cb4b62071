package stream

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/query"
)

// Close codes of RFC 6455 and its registry.
const (
	closePolicyViolation = websocket.ClosePolicyViolation
	closeServiceRestart  = websocket.CloseServiceRestart
	closeTryAgainLater   = websocket.CloseTryAgainLater
)

// A session is a connection that speaks JSON-RPC. Requests are answered one
// after the other by the goroutine that reads.
type session struct {
	*socket
	form    form
	closing atomic.Pointer[string] // why it is about to close; nil: it is not

	subsMu sync.Mutex
	subs   map[string]*subscription // by the canonical text of what the client sent
}

// receive answers one message. It implements the handle of socket.serve.
func (s *session) receive(_ int, payload []byte) error {
	req, fault := decodeRequest(payload)
	if fault != nil {
		return s.w.send(frame{opcode: opText, tail: appendError(nil, nil, fault)}, nil)
	}
	if req.id == nil {
		return nil
	}
	s.server.requests.Add(1)
	caller := &caller{server: s.server, ctx: s.ctx, identity: s.identity, session: s}
	reply, fault := caller.call(&req)
	if fault != nil {
		return s.w.send(frame{opcode: opText, tail: appendError(nil, req.id, fault)}, nil)
	}
	err := s.w.send(frame{opcode: opText, tail: appendResult(nil, req.id, reply.result)}, nil)
	if reply.then != nil {
		reply.then()
	}
	return err
}

// refuseNow answers a request that comes while the connection is about to
// close, so that nobody waits for the answer. Once the close frame is on its way
// nothing can be said any more.
func (s *session) refuseNow(payload []byte) {
	reason := s.closing.Load()
	req, fault := decodeRequest(payload)
	if reason == nil || fault != nil || req.id == nil {
		return
	}
	s.server.requests.Add(1)
	_ = s.w.send(frame{opcode: opText, tail: appendError(nil, req.id, serverError(*reason))}, nil)
}

// subscribe makes a subscription. Its pump is yet to be started.
func (s *session) subscribe(w wanted) (*subscription, *rpcError) {
	if fault := s.room(); fault != nil {
		return nil, fault
	}
	if _, err := w.overflow.bus(); err != nil {
		return nil, internalError(err.Error())
	}
	compiled, err := s.server.compile(s.identity, w.query)
	if err != nil {
		return nil, internalError(err.Error())
	}
	sub := s.newSubscription(w, compiled)
	if fault := s.add(sub); fault != nil {
		return nil, fault
	}
	if err := sub.begin(); err != nil {
		s.forget(sub)
		close(sub.done) // there will be no pump
		return nil, internalError(err.Error())
	}
	return sub, nil
}

func (s *session) newSubscription(w wanted, c compiled) *subscription {
	id := s.server.lastID.Add(1)
	ctx, cancel := context.WithCancel(s.ctx)
	prefix := append(append([]byte(`{"jsonrpc":"2.0","id":`), w.id...), `,"result":{"query":`...)
	return &subscription{
		feed: feed{
			server:   s.server,
			ctx:      ctx,
			client:   s.socket.id + "/" + strconv.FormatUint(id, 10),
			narrow:   c.narrow,
			overflow: w.overflow,
			resume:   w.resume,
			at:       w.after,
		},
		session: s,
		request: w.id,
		query:   w.query,
		key:     c.key,
		cursors: w.cursors,
		prefix:  slices.Clip(append(appendString(prefix, w.query), ',')),
		id:      id,
		started: time.Now(),
		cancel:  cancel,
		done:    make(chan struct{}),
	}
}

// room tells whether the limits allow one more subscription.
func (s *session) room() *rpcError {
	s.subsMu.Lock()
	n := len(s.subs)
	s.subsMu.Unlock()
	c := &s.server.config
	if n == 0 && int(s.server.clients.Load()) >= c.MaxClients {
		return internalError("max_subscription_clients " + strconv.Itoa(c.MaxClients) + " reached")
	}
	if n >= c.MaxSubscriptions {
		return internalError("max_subscriptions_per_client " + strconv.Itoa(c.MaxSubscriptions) + " reached")
	}
	return nil
}

func (s *session) add(sub *subscription) *rpcError {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	if reason := s.closing.Load(); reason != nil { // shutdown does not know of sub
		return serverError(*reason)
	}
	if s.subs[sub.key] != nil {
		return internalError("already subscribed")
	}
	if len(s.subs) == 0 && !s.server.clientEnters() {
		return internalError("max_subscription_clients " + strconv.Itoa(s.server.config.MaxClients) + " reached")
	}
	if s.subs == nil {
		s.subs = make(map[string]*subscription, 1)
	}
	s.subs[sub.key] = sub
	return nil
}

// forget takes sub out of the session.
func (s *session) forget(sub *subscription) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	if s.subs[sub.key] != sub {
		return
	}
	delete(s.subs, sub.key)
	if len(s.subs) == 0 {
		s.server.clients.Add(-1)
	}
}

// unsubscribe ends the subscription to a query. Once it has returned nothing
// more is sent for it.
func (s *session) unsubscribe(text string) *rpcError {
	q, err := query.New(text)
	if err != nil {
		return internalError("failed to parse query: " + err.Error())
	}
	s.subsMu.Lock()
	sub := s.subs[q.String()]
	s.subsMu.Unlock()
	if sub == nil {
		return internalError("subscription not found")
	}
	sub.stop()
	return nil
}

func (s *session) unsubscribeAll() *rpcError {
	subs := s.subscriptions()
	if len(subs) == 0 {
		return internalError("subscription not found")
	}
	for _, sub := range subs {
		sub.stop()
	}
	return nil
}

func (s *session) subscriptions() []*subscription {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	return slices.Collect(maps.Values(s.subs))
}

// shutdown ends all subscriptions, each with the reason on its id, and then
// the connection. It returns when the close frame is on its way or the
// connection has ended.
func (s *session) shutdown(code int, reason string) {
	s.closing.CompareAndSwap(nil, &reason)
	s.stopReading()
	subs := s.subscriptions()
	for _, sub := range subs {
		sub.end(reason)
	}
	for _, sub := range subs {
		select {
		case <-sub.done:
		case <-s.ctx.Done():
			return
		}
	}
	s.closeNow(code, reason)
}

// ended cleans up after subscriptions whose pump never began.
func (s *session) ended() {
	for _, sub := range s.subscriptions() {
		sub.leaveBus()
		s.forget(sub)
	}
}

// farewell is what the peer is told when it has stalled.
func (s *session) farewell() (frames []frame, bye []byte) {
	const reason = "the client does not read"
	for _, sub := range s.subscriptions() {
		if sub.told.CompareAndSwap(false, true) {
			frames = append(frames, sub.last(reason))
		}
	}
	return frames, closePayload(closeTryAgainLater, reason)
}
