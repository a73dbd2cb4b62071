package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/usercode"
	"github.com/harkbus/pubsub/store"
)

// RecordOptions are how to record a server. The zero RecordOptions are the
// default.
type RecordOptions struct {
	// Query says what to record; nil: everything. What it leaves out has offsets
	// like all others.
	Query pubsub.Query

	// Full says what becomes of publications that do not fit into the queue.
	Full Full

	// Queue is how many publications may wait to be written; 0: DefaultQueue.
	Queue int
}

// DefaultQueue is how many publications may wait to be written.
const DefaultQueue = 1 << 14

// Full says what a recorder does when its queue is full.
type Full int

// What becomes of a publication that does not fit.
const (
	Block Full = iota // it waits, and all publications after it
	Drop              // it is not recorded: a Gap with the reason Overflow
)

// ErrRecorderClosed is returned by what waits for a recorder that has been closed.
var ErrRecorderClosed = errors.New("eventlog: the recorder is closed")

// A Recorder writes what a server publishes to a log, behind it: subscribers may
// get a publication before it is on disk. Its methods may be called from any
// goroutine.
//
//	Server.Publish ── observe ──▶ queue ──▶ write ── one batch, one sync ──▶ log
//	                     │ full: wait, or drop
type Recorder struct {
	log    *Log
	server *pubsub.Server
	query  pubsub.Query
	full   Full
	remove func() // from the server's observers
	epoch  uint64
	from   uint64 // Sequence after which it records
	first  uint64 // offset of the publication after that
	done   chan struct{}

	mu       sync.Mutex
	changed  sync.Cond  // something was queued, taken, reserved or ended
	queue    []observed // a ring
	start, n int        // of it
	dropping uint64     // publications dropped since the last that was queued
	seen     uint64     // the last Sequence observed
	reserved uint64     // offsets from here on may not be given away yet
	closed   bool
	failed   error // of the log; nothing is recorded any more
}

// observed is a publication that waits to be written.
type observed struct {
	message pubsub.Message
	dropped uint64 // publications directly before it
}

// How many offsets are reserved on disk at once. After a crash the log goes on
// behind them, so that no offset is given to two publications, of which the first
// was seen and never written.
var reserve uint64 = 1 << 20 // tests make it smaller

// How much is written at once.
const (
	maxWriteRecords = 4096
	maxWriteBytes   = 1 << 20
)

// Record begins to record a server: what it accepts from now on. Until the recorder
// is closed Append is refused, and so is another Record.
func (l *Log) Record(server *pubsub.Server, options RecordOptions) (*Recorder, error) {
	if options.Queue <= 0 {
		options.Queue = DefaultQueue
	}
	r := &Recorder{
		log: l, server: server, query: options.Query, full: options.Full,
		done: make(chan struct{}), queue: make([]observed, options.Queue),
	}
	r.changed.L = &r.mu
	if err := r.begin(); err != nil {
		r.remove()
		return nil, err
	}
	go r.run()
	return r, nil
}

// begin observes the server. What is accepted once it does so is seen for sure; what
// is seen before, while r.mu is held, was accepted before.
func (r *Recorder) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove = r.server.Observe(r.observe)
	r.from = r.server.Sequence()
	r.seen = r.from
	err := r.log.attach(r)
	r.closed = err != nil
	return err
}

// ErrRecorded is returned by Append and Record while a recorder has the log.
var ErrRecorded = errors.New("eventlog: a recorder has the log")

// attach begins an epoch for a recorder, and reserves offsets.
func (l *Log) attach(r *Recorder) error {
	l.using.Lock()
	defer l.using.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case l.recorder != nil:
		return ErrRecorded
	}
	if err := l.unclose(); err != nil {
		return err
	}
	var current epoch
	err := l.commits.Commit(func(b *store.Batch) error {
		w := &l.writer
		w.begin(l, b)
		current, r.first = *w.epoch, w.next
		r.reserved = w.next + reserve
		l.putState(b, func(s *state) { s.open, s.reserved = openBehind, r.reserved })
		return nil
	})
	if err != nil {
		return l.fail(err)
	}
	r.epoch = current.number
	l.recorder = r
	l.advance(record{}, current)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded = r
	return nil
}

// observe is called by the server with each publication.
func (r *Recorder) observe(m pubsub.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Sequence() <= r.from {
		return
	}
	for !r.ended() && (r.offset(m.Sequence()) >= r.reserved || r.n == len(r.queue) && r.full == Block) {
		r.changed.Wait()
	}
	if r.ended() {
		return
	}
	r.seen = m.Sequence()
	if r.n == len(r.queue) {
		r.dropping++
		return
	}
	r.queue[(r.start+r.n)%len(r.queue)] = observed{m, r.dropping}
	r.dropping = 0
	if r.n++; r.n == 1 {
		r.changed.Broadcast()
	}
}

func (r *Recorder) ended() bool { return r.closed || r.failed != nil }

// run writes what is queued, until the recorder is closed and the queue is empty.
func (r *Recorder) run() {
	defer close(r.done)
	batch := make([]observed, 0, maxWriteRecords)
	for {
		var seen, dropped uint64
		batch, seen, dropped = r.take(batch[:0])
		if len(batch) == 0 && dropped == 0 {
			return
		}
		err := r.write(batch, seen, dropped)
		clear(batch)
		r.mu.Lock()
		if err != nil && r.failed == nil {
			r.failed = err
		}
		failed := r.failed != nil
		r.changed.Broadcast()
		r.mu.Unlock()
		if failed {
			return
		}
	}
}

// take waits for publications and takes them out of the queue, with the Sequence up
// to which they account for everything, and those that were dropped after the last
// of them. There are none at the end.
func (r *Recorder) take(batch []observed) (_ []observed, seen, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.n == 0 && r.dropping == 0 && !r.closed {
		r.changed.Wait()
	}
	for r.n > 0 && len(batch) < cap(batch) {
		o := &r.queue[r.start]
		batch = append(batch, *o)
		*o = observed{}
		r.start = (r.start + 1) % len(r.queue)
		r.n--
	}
	if r.n == 0 {
		dropped, r.dropping = r.dropping, 0
		seen = r.seen
	} else {
		seen = batch[len(batch)-1].message.Sequence()
	}
	r.changed.Broadcast()
	return batch, seen, dropped
}

// write writes publications, and those that were dropped before and after them.
func (r *Recorder) write(batch []observed, seen, dropped uint64) error {
	var entries []entry
	size := 0
	for i, o := range batch {
		at := r.offset(o.message.Sequence())
		if o.dropped > 0 {
			entries = append(entries, entry{offset: at - 1, kind: kindDropped, body: droppedBody(o.dropped)})
		}
		e, recorded := r.entry(o.message)
		if recorded {
			e.offset = at
			entries = append(entries, e)
			size += len(e.body)
		}
		if size >= maxWriteBytes && i+1 < len(batch) {
			if err := r.commit(entries, at); err != nil {
				return err
			}
			entries, size = nil, 0
		}
	}
	if dropped > 0 {
		entries = append(entries, entry{offset: r.offset(seen), kind: kindDropped, body: droppedBody(dropped)})
	}
	return r.commit(entries, r.offset(seen))
}

// entry returns what is to be stored of a publication, if anything is.
func (r *Recorder) entry(m pubsub.Message) (e entry, recorded bool) {
	if r.query != nil {
		matches, err := r.matches(m)
		if err != nil {
			return entry{kind: kindLost}, true
		}
		if !matches {
			return entry{}, false
		}
	}
	args := pubsub.PublishArgs{Data: m.Data(), Events: m.Events(), Time: m.Time()}
	if origin := m.Origin(); origin != (pubsub.Origin{}) {
		args.Origin = &origin
	}
	body, err := encodePublication(r.log.types, &args)
	if err != nil {
		return entry{kind: kindLost}, true
	}
	return entry{kind: kindPublication, clock: clockOf(args.Time), body: body}, true
}

// matches asks a query that may be the user's own.
func (r *Recorder) matches(m pubsub.Message) (matches bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("eventlog: the query panicked: %v", p)
		}
	}()
	return m.Matches(r.query)
}

// commit writes entries; all up to an offset is accounted for then.
func (r *Recorder) commit(entries []entry, upTo uint64) error {
	r.mu.Lock()
	reserved := r.offset(r.seen) + reserve
	extend := reserved > r.reserved+reserve/2
	r.mu.Unlock()
	if len(entries) > 0 || extend {
		var tail record
		var current epoch
		err := r.log.commits.Commit(func(b *store.Batch) error {
			w := &r.log.writer
			for _, e := range entries {
				w.putAt(b, e, e.offset)
			}
			tail, current = w.tail, *w.epoch
			if extend {
				r.log.putState(b, func(s *state) { s.reserved = reserved })
			}
			return nil
		})
		if err != nil {
			return r.log.fail(err)
		}
		r.log.advance(tail, current)
	}
	if extend {
		r.mu.Lock()
		r.reserved = reserved
		r.changed.Broadcast()
		r.mu.Unlock()
	}
	r.log.account(upTo)
	return nil
}

// account makes known that everything up to an offset is on disk or left out.
func (l *Log) account(upTo uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last, upTo)
	l.notifyLocked()
}

// Publish publishes on the server, and returns the place of the publication when it
// is on disk or left out. If ctx ends the wait, the publication may have happened.
func (r *Recorder) Publish(ctx context.Context, args pubsub.PublishArgs) (history.Cursor, error) {
	sequence, err := r.server.PublishWithArgs(ctx, args)
	if err != nil {
		return history.Cursor{}, err
	}
	c := r.cursor(sequence)
	return c, r.await(ctx, c)
}

// Flush returns when everything that the server has accepted so far is on disk,
// left out, or dropped.
func (r *Recorder) Flush(ctx context.Context) error {
	return r.await(ctx, r.cursor(r.server.Sequence()))
}

// await is Log.Await, and ends with the recorder.
func (r *Recorder) await(ctx context.Context, c history.Cursor) error {
	if r.log.reached(c) {
		return nil
	}
	if usercode.Calls() {
		return errors.New("eventlog: a recorder cannot be waited for in an observer, a query or a logger: it comes after them")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.done:
			cancel(r.why())
		case <-ctx.Done():
		}
	}()
	err := r.log.Await(ctx, c)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// why returns why nothing is recorded any more.
func (r *Recorder) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return r.failed
	}
	return ErrRecorderClosed
}

// Err returns why nothing is recorded any more: nil while it is, and after Close.
// The server goes on without its recorder.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Close stops recording, and returns when what was observed is on disk. It does not
// wait for the server: what that has not dispatched yet is not recorded.
func (r *Recorder) Close() error {
	r.remove()
	r.mu.Lock()
	r.closed = true
	r.changed.Broadcast()
	r.mu.Unlock()
	<-r.done
	r.log.detach(r)
	return r.Err()
}

// detach gives the log back. What the server accepted has offsets, written or not.
func (l *Log) detach(r *Recorder) {
	l.using.Lock()
	defer l.using.Unlock()
	if l.recorder != r {
		return
	}
	l.recorder = nil
	upTo := r.offset(r.server.Sequence())
	err := l.commits.Commit(func(b *store.Batch) error {
		l.writer.next = max(l.writer.next, upTo+1)
		l.putState(b, func(s *state) { s.open, s.reserved = open, l.writer.next })
		return nil
	})
	if err != nil {
		_ = l.fail(err)
	}
	l.account(upTo)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded = nil
}

// offset returns the offset of a publication, or for those before the recorder the
// place where it began.
func (r *Recorder) offset(sequence uint64) uint64 {
	return r.first - 1 + max(sequence, r.from) - r.from
}

func (r *Recorder) cursor(sequence uint64) history.Cursor {
	return history.Cursor{Epoch: r.epoch, Major: r.offset(sequence)}
}

// History returns the log as servers of clients want it: its Append does nothing,
// since the recorder observes already.
func (r *Recorder) History() history.History { return recorded{r} }

type recorded struct{ *Recorder }

var _ history.History = recorded{}

func (h recorded) Append(pubsub.Message)                   {}
func (h recorded) Cursor(sequence uint64) history.Cursor   { return h.cursor(sequence) }
func (h recorded) Bounds() (oldest, newest history.Cursor) { return h.log.Bounds() }
func (h recorded) Read(after history.Cursor) iter.Seq2[history.Entry, error] {
	return h.log.Read(after)
}
func (h recorded) Backward(before history.Cursor) iter.Seq2[history.Entry, error] {
	return h.log.Backward(before)
}
func (h recorded) Await(ctx context.Context, c history.Cursor) error { return h.await(ctx, c) }
