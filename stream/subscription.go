package stream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// wanted is what a subscribe request asks for.
type wanted struct {
	id       []byte // of the request, encoded
	query    string // as it was sent
	overflow Overflow
	cursors  bool     // results carry cursors
	resume   bool     // from after, which may be in the past; else from now
	after    Cursor   // if resume
	compiled compiled // set by session.subscribe
}

// compiled is a query as the client sent it, and as it may see it.
type compiled struct {
	key    string // canonical text of what the client sent
	narrow *query.Query
}

// from reads the parameter "after".
func (w *wanted) from(after string, h History) error {
	w.cursors = true
	if after == "" {
		return nil
	}
	cursor, err := resumePoint(after, h)
	w.resume, w.after = true, cursor
	return err
}

// resumePoint reads a cursor and refuses one that this server cannot have
// given.
func resumePoint(text string, h History) (Cursor, error) {
	cursor, err := ParseCursor(text)
	if err != nil {
		return Cursor{}, err
	}
	if oldest, newest := h.Bounds(); oldest != newest && cursor.Epoch == newest.Epoch && newest.Before(cursor) {
		return Cursor{}, errors.New("stream: cursor " + text + " is beyond the newest publication, " + newest.String())
	}
	return cursor, nil
}

// A subscription sends what matches one query to one session. It has a
// goroutine of its own, pump, that reads the bus, or before that the history.
//
//	History ──replay──▶ ┐
//	                    ├─▶ frame = prefix + encoding shared with others ─▶ writer
//	bus ──Next, Len───▶ ┘
type subscription struct {
	session *session
	wanted
	id      uint64 // unlike that of any other subscription of the server
	prefix  []byte // of each result, up to the encoding
	client  string // name on the bus
	started time.Time
	ctx     context.Context // ends with the session, or to end the pump at once
	cancel  context.CancelFunc
	done    chan struct{} // closed when the pump is over

	live      atomic.Pointer[pubsub.Subscription] // nil while the history is replayed
	reason    atomic.Pointer[string]              // why the server ends it; set before the bus is told
	told      atomic.Bool                         // the end has been told
	delivered atomic.Uint64                       // results sent

	// Of the pump and the goroutine that fills a batch, which are one.
	at      Cursor // of the last publication that was sent
	dropped uint64 // that the client has been told of
}

// pump sends until the subscription ends, and then says why, unless the client
// asked for it.
func (s *subscription) pump() {
	defer close(s.done)
	defer s.cancel()
	err := s.replay()
	if err == nil {
		err = s.follow()
	}
	s.session.forget(s)
	s.leaveBus()
	s.tell(err)
}

// leaveBus ends the subscription on the bus, if there is one.
func (s *subscription) leaveBus() {
	if live := s.live.Load(); live != nil {
		_ = s.session.server.bus.UnsubscribeID(context.Background(), live.ID())
	}
}

// tell sends the reason for the end, unless the client knows it.
func (s *subscription) tell(err error) {
	reason := s.reason.Load()
	switch {
	case s.ctx.Err() != nil || s.session.ctx.Err() != nil: // unsubscribed, or nobody there
		return
	case reason != nil:
	case errors.Is(err, errStalled), errors.Is(err, errClosing), errors.Is(err, errCloseSent):
		return
	default:
		text := err.Error()
		reason = &text
	}
	if s.told.CompareAndSwap(false, true) {
		_ = s.session.w.send(s.last(*reason), nil)
	}
	if errors.Is(err, pubsub.ErrOutOfCapacity) && s.overflow == OverflowClose {
		s.session.spawn(func() { s.session.shutdown(closeTryAgainLater, "the client is too slow") })
	}
}

// last returns the frame that ends the subscription.
func (s *subscription) last(reason string) frame {
	return frame{opcode: opText, tail: appendError(nil, s.wanted.id, canceled(reason))}
}

// end has the pump send what is in the buffer, and then the reason.
func (s *subscription) end(reason string) {
	if s.reason.CompareAndSwap(nil, &reason) {
		s.leaveBus()
	}
}

// follow sends what the bus delivers.
func (s *subscription) follow() error {
	live := s.live.Load()
	for {
		m, err := live.Next(s.ctx)
		if err != nil {
			return err
		}
		if f, ok := s.dropNotice(live); ok {
			if err := s.session.w.send(f, nil); err != nil {
				return err
			}
		}
		if err := s.session.w.send(s.frame(m), s); err != nil {
			return err
		}
	}
}

// fill implements source: it puts what is in the buffer into b.
func (s *subscription) fill(b *batch) {
	live := s.live.Load()
	for n := live.Len(); n > 0 && b.open(); n-- {
		m, err := live.Next(s.ctx)
		if err != nil {
			return
		}
		if f, ok := s.dropNotice(live); ok {
			b.add(f)
		}
		b.add(s.frame(m))
	}
}

// frame returns the result for a message.
func (s *subscription) frame(m pubsub.Message) frame {
	e := &s.session.server.encodings
	result, withCursor := e.encode(e.of(m), s.session.form)
	s.delivered.Add(1)
	if s.cursors {
		s.at = e.cursor(m.Sequence())
		result = withCursor
	}
	return frame{opcode: opText, head: s.prefix, tail: result}
}

// gapFrame returns a result that has no event, but says what is missing.
func (s *subscription) gapFrame(g Gap, cursor Cursor) frame {
	gap, err := json.Marshal(g)
	if err != nil {
		panic(err) // a Gap is always encoded
	}
	tail := append(append([]byte(`"cursor":"`), cursor.String()...), `","gap":`...)
	return frame{opcode: opText, head: s.prefix, tail: append(append(tail, gap...), `}}`...)}
}

// dropNotice returns a frame that tells of messages dropped since the last
// one. Where in the stream they are missing cannot be told exactly: between
// the last message sent and the newest one.
func (s *subscription) dropNotice(live *pubsub.Subscription) (frame, bool) {
	if !s.overflow.drops() {
		return frame{}, false
	}
	dropped := live.Dropped()
	if dropped == s.dropped {
		return frame{}, false
	}
	count := dropped - s.dropped
	s.dropped = dropped
	if !s.cursors {
		tail := append(strconv.AppendUint([]byte(`"dropped":`), dropped, 10), `}}`...)
		return frame{opcode: opText, head: s.prefix, tail: tail}, true
	}
	_, newest := s.session.server.config.History.Bounds()
	from := Cursor{s.at.Epoch, s.at.Offset + 1}
	return s.gapFrame(Gap{From: from, To: newest, Reason: GapOverflow, Count: count}, s.at), true
}

// replay sends what the history has after the cursor, and makes the
// subscription live where the history ends:
//
//	after ───── history ─────┬── history ──▶ S │ live ▶
//	                     subscribe, which tells S
//
// The bus delivers what was accepted after S, so that nothing is missing and
// nothing comes twice. It does not fill the buffer while there is much to
// replay.
func (s *subscription) replay() error {
	if !s.resume {
		return nil
	}
	for s.live.Load() == nil {
		before := s.at
		if err := s.catchUp(noEnd); err != nil {
			return err
		}
		if s.at.Epoch == before.Epoch && s.at.Offset-before.Offset <= replayRest {
			if err := s.goLive(); err != nil {
				return err
			}
		}
	}
	h := s.session.server.config.History
	end := h.Cursor(s.live.Load().After())
	if !s.at.Before(end) {
		return nil
	}
	if err := h.Await(s.ctx, end); err != nil {
		return err
	}
	return s.catchUp(end)
}

// replayRest is how far the replay may be behind when the bus begins to fill
// the buffer.
const replayRest = chunk

var noEnd = Cursor{^uint64(0), ^uint64(0)}

// catchUp sends the matches of the history up to end.
func (s *subscription) catchUp(end Cursor) error {
	for entry, err := range s.session.server.config.History.Read(s.at) {
		switch {
		case err != nil:
			return err
		case end.Before(entry.Cursor) && entry.Gap == nil:
			return nil
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case s.reason.Load() != nil:
			return pubsub.ErrUnsubscribed
		}
		s.at = entry.Cursor
		if end.Before(s.at) {
			s.at = end
		}
		if err := s.sendEntry(entry); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscription) sendEntry(entry Entry) error {
	if entry.Gap != nil {
		if s.at.Before(entry.Gap.To) { // the bus delivers the rest
			entry.Gap.To = s.at
		}
		return s.session.w.send(s.gapFrame(*entry.Gap, s.at), nil)
	}
	if ok, err := entry.Message.Matches(s.compiled.narrow); err != nil || !ok {
		return nil
	}
	e := &s.session.server.encodings
	_, withCursor := e.encode(e.of(entry.Message), s.session.form)
	s.delivered.Add(1)
	return s.session.w.send(frame{opcode: opText, head: s.prefix, tail: withCursor}, nil)
}

// goLive subscribes to the bus.
func (s *subscription) goLive() error {
	policy, err := s.overflow.bus()
	if err != nil {
		return err
	}
	live, err := s.session.server.bus.SubscribeWithArgs(s.ctx, pubsub.SubscribeArgs{
		ClientID: s.client,
		Query:    s.compiled.narrow,
		Capacity: s.session.server.config.Buffer,
		Overflow: policy,
	})
	if err != nil {
		return err
	}
	if !s.resume {
		s.at = s.session.server.config.History.Cursor(live.After())
	}
	s.live.Store(live)
	if s.reason.Load() != nil { // end did not see it
		s.leaveBus()
	}
	return nil
}
