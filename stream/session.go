package stream

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// A session is a connection that speaks JSON-RPC. Requests are answered one
// after the other by the goroutine that reads, but for those that may wait.
type session struct {
	*socket
	form  form
	asked atomic.Int32 // requests that may wait
}

// receive answers one message. It implements the handle of socket.serve.
func (s *session) receive(_ int, payload []byte) error {
	req, fault := decodeRequest(payload)
	if fault != nil {
		return s.w.send(textOf(appendError(nil, nil, fault)), nil)
	}
	if req.id == nil {
		return nil
	}
	s.server.requests.Add(1)
	if methods[req.method].waits {
		return s.ask(&req)
	}
	return s.answer(newCaller(s.visit, s.ctx, s.ctx), &req)
}

// answer calls a method and sends the result.
func (s *session) answer(c *caller, req *rpcRequest) error {
	c.session = s
	reply, fault := c.call(req)
	if fault != nil {
		return s.w.send(textOf(appendError(nil, req.id, fault)), nil)
	}
	f := textOf(appendResult(nil, req.id, reply.result))
	if s.deflates {
		f = s.server.compressors.packed(f)
	}
	err := s.w.send(f, nil)
	if reply.then != nil {
		reply.then()
	}
	return err
}

// ask answers a request that may wait, and lets others be answered meanwhile.
// It counts as a subscription until it is answered.
func (s *session) ask(req *rpcRequest) error {
	most := s.server.config.MaxSubscriptions
	if s.inUse() >= most {
		s.visit.refused(refusedSubscriptions)
		return s.w.send(textOf(appendError(nil, req.id, tooManySubscriptions(most))), nil)
	}
	s.asked.Add(1)
	asking := s.connection.ask(func(waits context.Context) {
		defer s.asked.Add(-1)
		waits, cancel := s.visit.identity().until(waits)
		defer cancel()
		c := newCaller(s.visit, s.ctx, waits)
		defer c.answers.release()
		if s.answer(c, req) == nil {
			s.w.settle()
		}
	})
	if !asking { // the connection is about to close
		s.asked.Add(-1)
	}
	return nil
}

// inUse returns how many subscriptions and waiting requests there are. The
// reader alone adds any.
func (s *session) inUse() int { return len(s.all()) + int(s.asked.Load()) }

func tooManySubscriptions(most int) *rpcError {
	return internalError("max_subscriptions_per_client " + strconv.Itoa(most) + " reached")
}

func textOf(payload []byte) frame { return frame{opcode: opText, tail: payload} }

// refuseNow answers a request that comes while the connection is about to
// close, so that nobody waits for the answer. Once the close frame is on its way
// nothing can be said any more.
func (s *session) refuseNow(payload []byte) {
	e := s.closing.Load()
	req, fault := decodeRequest(payload)
	if e == nil || fault != nil || req.id == nil {
		return
	}
	s.server.requests.Add(1)
	_ = s.w.send(textOf(appendError(nil, req.id, serverError(e.reason))), nil)
}

// asked is what a subscribe request asks for.
type asked struct {
	id       []byte // of the request, encoded
	query    string // as it was sent
	overflow Overflow
	cursors  bool           // results carry cursors
	resume   bool           // from after, which may be in the past; else from now
	after    history.Cursor // if resume
}

// from reads the parameter "after".
func (a *asked) from(s *Server, after string) (err error) {
	a.cursors = true
	if after != "" {
		a.resume = true
		a.after, err = s.resumePoint(after)
	}
	return err
}

// subscribe makes an outlet. Its pump is yet to be started.
func (s *session) subscribe(a asked) (*outlet, *rpcError) {
	if fault := s.room(); fault != nil {
		return nil, fault
	}
	compiled, err := s.server.compile(*s.visit.identity(), a.query)
	if s.visit.refusedFor(err) != nil {
		return nil, internalError(err.Error())
	}
	o, err := s.open(wanted{
		key: compiled.key, query: a.query, instructions: compiled.instructions, narrow: compiled.narrow,
		overflow: a.overflow, capacity: s.server.config.Buffer,
		resume: a.resume, after: a.after,
		framing: newRPCFraming(a, s.form, &s.server.encodings, s.deflates),
	})
	var closing closingError
	if errors.As(err, &closing) {
		return nil, serverError(closing.reason)
	}
	if s.visit.refusedFor(err) != nil {
		return nil, internalError(err.Error())
	}
	return o, nil
}

// room tells whether the limits allow one more subscription.
func (s *session) room() *rpcError {
	c := &s.server.config
	if len(s.all()) == 0 && int(s.server.clients.Load()) >= c.MaxClients {
		return internalError(s.visit.refusedFor(s.server.tooManyClients()).Error())
	}
	if s.inUse() >= c.MaxSubscriptions {
		s.visit.refused(refusedSubscriptions)
		return tooManySubscriptions(c.MaxSubscriptions)
	}
	return nil
}

// unsubscribe ends the subscription to a query. Once it has returned nothing
// more is sent for it.
func (s *session) unsubscribe(text string) *rpcError {
	q, err := s.server.parse(text)
	if err != nil {
		return internalError(err.Error())
	}
	o := s.outlet(q.String())
	if o == nil {
		return internalError("subscription not found")
	}
	o.stop()
	return nil
}

func (s *session) unsubscribeAll() *rpcError {
	outlets := s.all()
	if len(outlets) == 0 {
		return internalError("subscription not found")
	}
	for _, o := range outlets {
		o.stop()
	}
	return nil
}

// rpcFraming is a result under the id of the request that subscribed. It
// implements framing.
type rpcFraming struct {
	encodings *encodings
	form      form
	cursors   bool   // the client is told places
	prefix    []byte // of each result, up to the encoding
	stored    []byte // prefix as the beginning of a compressed message; nil: there are none
	request   []byte // id, encoded
}

func newRPCFraming(a asked, f form, e *encodings, deflates bool) *rpcFraming {
	prefix := append(append([]byte(`{"jsonrpc":"2.0","id":`), a.id...), `,"result":{"query":`...)
	prefix = append(appendString(prefix, a.query), ',')
	framing := &rpcFraming{encodings: e, form: f, request: a.id, cursors: a.cursors, prefix: slices.Clip(prefix)}
	if deflates {
		framing.stored = appendStored(nil, prefix)
	}
	return framing
}

func (f *rpcFraming) result(m pubsub.Message, dropped uint64) frame {
	p := f.encodings.of(m)
	if f.stored != nil && dropped == 0 {
		if packed := f.encodings.pack(p, f.form, f.cursors); packed != nil {
			return frame{opcode: opText | compressedBit, head: f.stored, tail: packed}
		}
	}
	result, withCursor := f.encodings.encode(p, f.form)
	switch {
	case f.cursors:
		return frame{opcode: opText, head: f.prefix, tail: withCursor}
	case dropped > 0:
		head := strconv.AppendUint(append(f.prefix, `"dropped":`...), dropped, 10) // prefix is clipped
		return frame{opcode: opText, head: append(head, ','), tail: result}
	}
	return frame{opcode: opText, head: f.prefix, tail: result}
}

func (f *rpcFraming) gap(g history.Gap, at history.Cursor) (frame, bool) {
	if !f.cursors {
		return frame{}, false
	}
	tail := append(at.Append([]byte(`"cursor":"`)), `","gap":`...)
	tail = append(append(tail, encodeGap(g)...), `}}`...)
	return frame{opcode: opText, head: f.prefix, tail: tail}, true
}

func encodeGap(g history.Gap) []byte {
	text, err := json.Marshal(g)
	if err != nil {
		panic(err) // a Gap is always encoded
	}
	return text
}

func (f *rpcFraming) heartbeat(at history.Cursor, moved bool) (frame, bool) {
	if !f.cursors || !moved {
		return frame{}, false
	}
	tail := append(at.Append([]byte(`"cursor":"`)), `"}}`...)
	return frame{opcode: opText, head: f.prefix, tail: tail}, true
}

func (f *rpcFraming) last(reason string) (frame, bool) {
	return textOf(appendError(nil, f.request, canceled(reason))), true
}

// accepted is the result of the subscribe request: with cursors, where the
// subscription begins, so that a client that is cut before the first event can
// resume, too.
func (f *rpcFraming) accepted(at history.Cursor) []byte {
	if !f.cursors {
		return emptyResult
	}
	return append(at.Append([]byte(`{"cursor":"`)), `"}`...)
}
