package stream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
)

// wanted is what a subscribe request asks for.
type wanted struct {
	id       []byte // of the request, encoded
	query    string // as it was sent
	overflow Overflow
	cursors  bool           // results carry cursors
	resume   bool           // from after, which may be in the past; else from now
	after    history.Cursor // if resume
}

// compiled is a query as the client sent it, and as it may see it.
type compiled struct {
	key    string // canonical text of what the client sent
	narrow *query.Query
}

// from reads the parameter "after".
func (w *wanted) from(after string, h history.History) error {
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
func resumePoint(text string, h history.History) (history.Cursor, error) {
	cursor, err := history.ParseCursor(text)
	if err != nil {
		return history.Cursor{}, err
	}
	if oldest, newest := h.Bounds(); oldest != newest && cursor.Epoch == newest.Epoch && newest.Before(cursor) {
		return history.Cursor{}, errors.New("stream: cursor " + text + " is beyond the newest publication, " + newest.String())
	}
	return cursor, nil
}

// A subscription sends a feed to a session. It has a goroutine of its own,
// pump.
//
//	feed ──▶ frame = prefix + encoding shared with others ──▶ writer
type subscription struct {
	feed
	session *session
	request []byte // id of the request, encoded
	query   string // as it was sent
	key     string // canonical
	cursors bool
	prefix  []byte // of each result, up to the encoding
	id      uint64 // unlike that of any other subscription of the server
	started time.Time
	cancel  context.CancelFunc // of the feed's ctx, to end the pump at once
	done    chan struct{}      // closed when the pump is over

	told      atomic.Bool   // the end has been told
	delivered atomic.Uint64 // results sent
}

// accepted is the result of the subscribe request: with cursors, where the
// subscription begins, so that a client that is cut before the first event
// can resume too.
func (s *subscription) accepted() []byte {
	if !s.cursors {
		return emptyResult
	}
	return append(s.at.Append([]byte(`{"cursor":"`)), `"}`...)
}

// pump sends until the subscription ends, and then says why, unless the client
// asked for it.
func (s *subscription) pump() {
	defer close(s.done)
	defer s.cancel()
	err := s.replay(s.sendEntry)
	if err == nil {
		err = s.follow()
	}
	s.session.forget(s)
	s.leaveBus()
	s.tell(err)
}

// tell sends the reason for the end, unless the client knows it.
func (s *subscription) tell(err error) {
	reason := s.reason.Load()
	switch {
	case s.ctx.Err() != nil: // unsubscribed, or nobody there
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
	return frame{opcode: opText, tail: appendError(nil, s.request, canceled(reason))}
}

// stop ends the subscription for a client that knows, and waits for the pump.
func (s *subscription) stop() {
	s.cancel()
	<-s.done
}

// follow sends what the bus delivers.
func (s *subscription) follow() error {
	live := s.live.Load()
	for {
		m, err := live.Next(s.ctx)
		if err != nil {
			return err
		}
		notice, f := s.next(live, m)
		if notice != nil {
			if err := s.session.w.send(*notice, nil); err != nil {
				return err
			}
		}
		if err := s.session.w.send(f, s); err != nil {
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
		notice, f := s.next(live, m)
		if notice != nil {
			b.add(*notice)
		}
		b.add(f)
	}
}

// sendEntry sends a match of the history, or a gap.
func (s *subscription) sendEntry(entry history.Entry) error {
	if entry.Gap != nil {
		return s.session.w.send(s.gapFrame(*entry.Gap, entry.Cursor), nil)
	}
	return s.session.w.send(s.frame(entry.Message), nil)
}

// frame returns the result for a message.
func (s *subscription) frame(m pubsub.Message) frame {
	e := &s.server.encodings
	result, withCursor := e.encode(e.of(m), s.session.form)
	s.delivered.Add(1)
	if s.cursors {
		s.at = e.cursor(m.Sequence())
		result = withCursor
	}
	return frame{opcode: opText, head: s.prefix, tail: result}
}

// gapFrame returns a result that has no event, but says what is missing.
func (s *subscription) gapFrame(g history.Gap, cursor history.Cursor) frame {
	gap, err := json.Marshal(g)
	if err != nil {
		panic(err) // a Gap is always encoded
	}
	tail := append(append([]byte(`"cursor":"`), cursor.String()...), `","gap":`...)
	return frame{opcode: opText, head: s.prefix, tail: append(append(tail, gap...), `}}`...)}
}

// next returns the result for a message that the bus delivered. If messages
// have been dropped a notice comes before it, or, without cursors, the result
// says how many there have been so far.
func (s *subscription) next(live *pubsub.Subscription, m pubsub.Message) (notice *frame, result frame) {
	gap, dropped := s.dropGap(live)
	switch {
	case !dropped:
		return nil, s.frame(m)
	case s.cursors:
		f := s.gapFrame(gap, s.at)
		return &f, s.frame(m)
	default:
		result = s.frame(m)
		head := strconv.AppendUint(append(s.prefix, `"dropped":`...), s.dropped, 10) // prefix is clipped
		result.head = append(head, ',')
		return nil, result
	}
}
