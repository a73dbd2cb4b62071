package stream

import (
	"context"
	"sync/atomic"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
)

// A feed is what one client gets of the bus: first what the history has after
// a cursor, if it gave one, then what the bus delivers.
//
//	after ───── history ─────┬── history ──▶ S │ live ▶
//	                     subscribe, which tells S
//
// The bus delivers what was accepted after S, so that nothing is missing and
// nothing comes twice. It does not fill the buffer while there is much to
// replay. begin, replay and dropGap are for one goroutine, the others for any.
type feed struct {
	// Of each message, on few lines of the cache: there are many feeds.
	server   *Server
	ctx      context.Context
	overflow Overflow
	at       history.Cursor                      // all that matches up to here has been sent
	live     atomic.Pointer[pubsub.Subscription] // nil while the history is replayed
	read     atomic.Uint64                       // all up to this sequence that was in the buffer has been taken
	dropped  uint64                              // that the client has been told of

	client    string // name on the bus
	narrow    *query.Query
	capacity  int                    // of its buffer
	ending    atomic.Pointer[ending] // why the server ends it; set before the bus knows
	replaying atomic.Bool            // the history is being read

	resume  bool            // from at, which may be in the past; else from now
	trial   *trial          // of narrow, over the history; nil unless resume, as the next
	waits   context.Context // ends with ctx, and when the server ends the feed
	endWait context.CancelFunc
}

// begin makes a feed from now on live.
func (f *feed) begin() error {
	if f.resume {
		return nil
	}
	return f.goLive()
}

// goLive subscribes to the bus.
func (f *feed) goLive() error {
	policy, err := f.overflow.bus()
	if err != nil {
		return err
	}
	if f.read.Load() == 0 {
		f.read.Store(f.server.bus.Sequence())
	}
	live, err := f.server.bus.SubscribeWithArgs(f.ctx, pubsub.SubscribeArgs{
		ClientID: f.client,
		Query:    f.narrow,
		Capacity: f.capacity,
		Overflow: policy,
	})
	if err != nil {
		return err
	}
	if !f.resume {
		f.at = f.server.config.History.Cursor(live.After())
	}
	f.live.Store(live)
	if f.ending.Load() != nil { // end did not see it
		f.leaveBus()
	}
	return nil
}

// leaveBus ends the subscription on the bus, if there is one.
func (f *feed) leaveBus() {
	if live := f.live.Load(); live != nil {
		_ = f.server.bus.UnsubscribeID(context.Background(), live.ID())
	}
}

// end has the feed end, for a reason, after what is in the buffer.
func (f *feed) end(e ending) {
	if f.ending.CompareAndSwap(nil, &e) {
		f.endWait()
		f.leaveBus()
	}
}

// replay gives emit the matches of the history, and gaps, and makes the feed
// live where the history ends.
func (f *feed) replay(emit func(history.Entry) error) error {
	if !f.resume {
		return nil
	}
	if err := f.server.config.History.Await(f.waits, f.at); err != nil { // it may be queued yet
		return err
	}
	for f.live.Load() == nil {
		n, err := f.catchUp(history.Last, emit)
		if err != nil {
			return err
		}
		if n <= replayRest {
			if err := f.goLive(); err != nil {
				return err
			}
		}
	}
	defer func() { f.read.Store(f.live.Load().After()) }()
	h := f.server.config.History
	end := h.Cursor(f.live.Load().After())
	if !f.at.Before(end) {
		return nil
	}
	if err := h.Await(f.waits, end); err != nil {
		return err
	}
	_, err := f.catchUp(end, emit)
	return err
}

// replayRest is how many publications the replay may be behind when the bus
// begins to fill the buffer.
const replayRest = 64

// catchUp goes through the history up to end, and returns how many entries it
// saw.
func (f *feed) catchUp(end history.Cursor, emit func(history.Entry) error) (n int, err error) {
	defer f.replaying.Store(false)
	for entry, err := range f.server.config.History.Read(f.at) {
		switch {
		case err != nil:
			return n, err
		case f.ctx.Err() != nil:
			return n, f.ctx.Err()
		case f.ending.Load() != nil:
			return n, pubsub.ErrUnsubscribed
		}
		if end.Before(entry.Cursor) {
			if entry.Gap == nil {
				return n, nil
			}
			entry = clip(entry, end) // the bus delivers the rest
		}
		f.at = entry.Cursor
		n++
		if entry.Gap == nil {
			f.read.Store(entry.Message.Sequence())
			f.replaying.Store(true)
			if ok, err := f.trial.matches(f.ctx, f.waits, entry); err != nil {
				return n, err
			} else if !ok {
				continue
			}
		}
		if err := emit(entry); err != nil {
			return n, err
		}
	}
	return n, nil
}

// clip returns a gap that ends at end.
func clip(entry history.Entry, end history.Cursor) history.Entry {
	gap := *entry.Gap
	gap.To = end
	return history.Entry{Cursor: end, Gap: &gap}
}

// dropGap returns the messages dropped since the last call, if any. Where they
// are missing cannot be told exactly: between the last message sent and the
// newest one.
func (f *feed) dropGap(live *pubsub.Subscription) (history.Gap, bool) {
	if !f.overflow.drops() {
		return history.Gap{}, false
	}
	dropped := live.Dropped()
	if dropped == f.dropped {
		return history.Gap{}, false
	}
	count := dropped - f.dropped
	f.dropped = dropped
	_, newest := f.server.config.History.Bounds()
	return history.Gap{From: f.at.Next(), To: newest, Reason: history.Overflow, Count: count}, true
}
