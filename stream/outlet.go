package stream

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
)

// An outlet sends a client what one query matches. There is one kind for all
// that clients speak; what it sends looks as its framing says:
//
//	feed ──▶ framing ──▶ writer of the connection
//	         │ JSON-RPC: a result under the id of the request
//	         │ Server-Sent Events: id and data
//	         └ topic: the payload
//
// It has a goroutine, pump, which also says why it ends, unless the client
// asked for it.
type outlet struct {
	conn    *connection
	framing framing
	taken   func()          // called when the buffer has been read from
	beat    context.Context // ends when the next heartbeat is due; else ctx; of the pump

	feed

	cancelBeat   context.CancelFunc // of the pump
	key          string             // unlike that of any other outlet of the connection
	query        string             // as the client sent it
	topic        string             // "": it is for no topic's client
	instructions int                // of its regular expressions
	member       *member
	cancel       context.CancelFunc
	done         chan struct{} // closed when the pump is over
	told         atomic.Bool   // the end has been told
}

// A framing says how what an outlet sends looks. Its methods are for the pump,
// but for last, which any goroutine may call.
type framing interface {
	// result returns a publication. If dropped is not 0, and gap returned
	// false, it is how many have been dropped so far.
	result(m pubsub.Message, dropped uint64) frame

	// gap returns what says that something is missing before the place at;
	// false if nothing does.
	gap(g history.Gap, at history.Cursor) (frame, bool)

	// heartbeat returns what tells a client that has nothing to read where it
	// is, and whether it is told that: moved says whether the place is new.
	heartbeat(at history.Cursor, moved bool) (frame, bool)

	// last returns what ends the outlet; false if the end of the connection
	// says it.
	last(reason string) (frame, bool)
}

// wanted is what an outlet is made of.
type wanted struct {
	key          string // of the connection's outlets
	query        string // as the client sent it
	topic        string // of a topic's client
	instructions int    // of its regular expressions
	client       string // name on the bus; "": made up
	narrow       *query.Query
	overflow     Overflow
	capacity     int
	resume       bool           // from after, which may be in the past; else from now
	after        history.Cursor // if resume
	framing      framing
	taken        func() // may be nil
}

// pump sends until the outlet ends, and then says why.
func (o *outlet) pump() {
	defer close(o.done)
	defer o.cancel()
	err := o.replay(o.sendEntry)
	if err == nil {
		err = o.follow()
	}
	defer o.conn.begone(o)()
	o.conn.forget(o)
	o.leaveBus()
	o.tell(err)
}

// tell notifies the client of the end, unless it knows, and ends the connection
// if nothing else keeps it or the policy says so.
func (o *outlet) tell(err error) {
	o.server.expressions.noteEnd(err)
	if errors.Is(err, pubsub.ErrOutOfCapacity) {
		o.conn.visit.slow("overflow", 1)
	}
	e := o.ending.Load()
	switch {
	case o.ctx.Err() != nil: // unsubscribed, or nobody there
		return
	case e != nil:
	case errors.Is(err, errStalled), errors.Is(err, errClosing), errors.Is(err, errCloseSent):
		return
	default:
		why := endingOf(err)
		e = &why
	}
	if o.told.CompareAndSwap(false, true) {
		if f, ok := o.framing.last(e.reason); ok {
			_ = o.conn.w.send(f, nil)
		}
	}
	if o.overflow == OverflowClose && errors.Is(err, pubsub.ErrOutOfCapacity) {
		e = &endTooSlow
	} else if !o.conn.single {
		return
	}
	o.conn.spawn(func() { o.conn.shutdown(*e) })
}

// stop ends the outlet for a client that knows, and waits for the pump.
func (o *outlet) stop() {
	o.cancel()
	<-o.done
}

// follow sends what the bus delivers.
func (o *outlet) follow() error {
	live := o.live.Load()
	o.expectBeat()
	defer func() { o.cancelBeat() }()
	for {
		m, err := o.next(live)
		if err != nil {
			return err
		}
		if o.conn.shedding.Load() { // messages before m may have been dropped
			continue
		}
		notice, f := o.frames(live, m)
		if notice != nil {
			if err := o.conn.w.send(*notice, nil); err != nil {
				return err
			}
		}
		if err := o.conn.w.send(f, o); err != nil {
			return err
		}
	}
}

// fill implements source: it puts what is in the buffer into b.
func (o *outlet) fill(b *batch) {
	live := o.live.Load()
	for n := live.Len(); n > 0 && b.open(); n-- {
		m, err := live.Next(o.ctx)
		if err != nil || o.conn.shedding.Load() {
			return
		}
		notice, f := o.frames(live, m)
		if notice != nil {
			b.add(*notice)
		}
		b.add(f)
	}
	o.taken()
}

// next returns what the bus delivers next, and sends heartbeats while there is
// nothing.
func (o *outlet) next(live *pubsub.Subscription) (pubsub.Message, error) {
	for {
		m, err := live.Next(o.beat)
		if err == nil {
			o.taken()
			return m, nil
		}
		if o.ctx.Err() != nil || o.beat.Err() == nil {
			return m, err
		}
		if err := o.heartbeat(live); err != nil {
			return m, err
		}
	}
}

// expectBeat sets when the next heartbeat is due.
func (o *outlet) expectBeat() {
	o.beat, o.cancelBeat = o.ctx, func() {}
	if _, beats := o.framing.heartbeat(o.at, true); beats {
		o.beat, o.cancelBeat = context.WithTimeout(o.ctx, o.server.config.Heartbeat)
	}
}

// heartbeat tells the client where it is, if it has been sent all that it is to
// get up to there: whoever subscribes to what is rare then comes back with a
// cursor that is not old.
//
// The place is read first. What matches up to there was delivered before, unless
// it was dropped or the subscription had ended; so if it has not ended now and
// its buffer is empty, all of that has been sent. One that has ended has missed
// what came since, and its client goes on after what it was sent last.
func (o *outlet) heartbeat(live *pubsub.Subscription) error {
	o.cancelBeat()
	o.expectBeat()
	place := o.server.settled()
	if live.Err() != nil || live.Len() > 0 || o.conn.shedding.Load() { // then messages before place may have been dropped
		return nil
	}
	if gap, dropped := o.dropGap(live); dropped {
		o.conn.visit.slow("dropped", gap.Count)
		if f, ok := o.framing.gap(gap, o.at); ok {
			if err := o.conn.w.send(f, nil); err != nil {
				return err
			}
		}
	}
	moved := o.at.Before(place)
	if moved {
		o.at = place
	}
	f, ok := o.framing.heartbeat(o.at, moved)
	if !ok {
		return nil
	}
	return o.conn.w.send(f, nil)
}

// sendEntry sends a match of the history, or a gap.
func (o *outlet) sendEntry(entry history.Entry) error {
	if entry.Gap == nil {
		f := o.frame(entry.Message, 0)
		o.server.held.add(o.server, int64(f.size()))
		return o.conn.w.send(f, nil)
	}
	f, ok := o.framing.gap(*entry.Gap, entry.Cursor)
	if !ok {
		return nil
	}
	return o.conn.w.send(f, nil)
}

func (o *outlet) frame(m pubsub.Message, dropped uint64) frame {
	o.at = o.server.encodings.cursor(m.Sequence())
	f := o.framing.result(m, dropped)
	o.read.Store(m.Sequence())
	return f
}

// frames returns what is sent for a message that the bus delivered. If messages
// have been dropped, a notice comes before it, or the result says so.
func (o *outlet) frames(live *pubsub.Subscription, m pubsub.Message) (notice *frame, result frame) {
	if !o.overflow.drops() {
		return nil, o.frame(m, 0)
	}
	gap, dropped := o.dropGap(live)
	if !dropped {
		return nil, o.frame(m, 0)
	}
	o.conn.visit.slow("dropped", gap.Count)
	if f, ok := o.framing.gap(gap, o.at); ok {
		return &f, o.frame(m, 0)
	}
	return nil, o.frame(m, o.dropped)
}
