package stream

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A writer is the only one to write to its connection. It has no goroutine of
// its own: whoever brings a frame while nobody writes becomes the one that
// writes, until nothing is left.
//
//	pump ──send──▶ queue ─┐
//	reader ─send─▶        ├─▶ batch, ≤ 32 KiB ──▶ one Write
//	pump that writes ─────┘
//	ping, pong, close ────┘ between frames
//
// A pump that writes puts what its subscription has ready straight into the
// batch, so that a burst costs one Write and no queue. What others bring
// meanwhile waits in the queue, up to limit bytes, and then send waits: the
// messages stay in the subscription's buffer, whose policy says what happens
// when that is full too.
//
// The methods may be called from any goroutine.
type writer struct {
	conn    pipe
	timeout time.Duration // of one Write
	limit   int           // bytes that may be queued
	budget  *budget       // of all connections
	counts  *writeCounts  // of all connections

	// Of the goroutine that writes.
	rest    [2][]byte // what is left of a frame that did not fit
	renewAt time.Time // when the deadline must be set again

	mu      sync.Mutex
	room    sync.Cond // there is room in the queue, or err is set
	queue   []frame   // oldest first
	first   int       // of queue
	queued  int       // bytes in queue, and those of its frames that are yet to be written
	pong    []byte    // payload of the latest ping to answer; nil: none
	ping    bool      // a ping is due
	bye     []byte    // payload of the close frame; nil: none
	closing bool      // bye was set: nothing more is taken
	writing bool      // a goroutine is in run
	err     error     // why nothing can be written any more

	over chan struct{} // closed when err is set

	// What is held of frames that are yet to be written, also by those who wait
	// in send. A frame is held until the last of it is on its way.
	frames   atomic.Int64  // bytes, but for those whose payload is the message's own
	messages atomic.Int64  // the number of these
	passed   atomic.Uint64 // sequence of the last one that is not held
	current  frame         // that rest is of

	bare   bool   // there are no control frames
	failed func() // called when nothing can be written any more, but for a close frame
	slow   func() // called when the peer has stalled
	sent   int64  // bytes; of the goroutine that writes

	// farewell returns what a peer is told that has stalled, if it can be told:
	// frames, and the payload of the close frame.
	farewell func() ([]frame, []byte)
}

var (
	errClosing   = errors.New("stream: the connection is closing")
	errCloseSent = errors.New("stream: the close frame was sent")
	errStalled   = errors.New("stream: the peer does not read")
)

// A pipe is what a writer needs of a net.Conn.
type pipe interface {
	Write(b []byte) (int, error)
	SetWriteDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	Close() error
}

// init prepares the zero writer.
func (w *writer) init(conn pipe, timeout time.Duration, limit int, budget *budget, counts *writeCounts) {
	w.conn, w.timeout, w.limit, w.budget, w.counts = conn, timeout, limit, budget, counts
	w.room.L = &w.mu
	w.over = make(chan struct{})
	w.failed, w.slow = func() {}, func() {}
}

// A source has frames ready for the goroutine that writes.
type source interface {
	// fill puts frames into b while they fit and are ready. It does not wait.
	fill(b *batch)
}

// send queues f and, unless somebody else does, writes it with everything that
// is queued and that src, which may be nil, has ready. It waits while the
// queue is full.
func (w *writer) send(f frame, src source) error {
	w.mu.Lock()
	w.hold(&f)
	for w.err == nil && !w.closing && w.full() {
		w.room.Wait()
	}
	if err := w.refusal(); err != nil {
		w.letGo(&f)
		w.mu.Unlock()
		return err
	}
	w.push(f)
	return w.kick(src)
}

// settle returns when all that was queued has been written, or never will be.
func (w *writer) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && w.queued > 0 {
		w.room.Wait()
	}
}

// full tells whether send has to wait. The caller holds w.mu.
func (w *writer) full() bool {
	return w.queued > 0 && (w.queued >= w.limit || w.budget.exceeded())
}

// refusal returns why nothing is taken any more. The caller holds w.mu.
func (w *writer) refusal() error {
	if w.err == nil && w.closing {
		return errClosing
	}
	return w.err
}

// hold counts a frame that is to be written.
func (w *writer) hold(f *frame) {
	if f.sequence > 0 {
		w.messages.Add(1)
	} else {
		w.frames.Add(int64(f.size()))
	}
}

// letGo counts a frame no more.
func (w *writer) letGo(f *frame) {
	if f.sequence > 0 {
		w.passed.Store(f.sequence)
		w.messages.Add(-1)
	} else {
		w.frames.Add(-int64(f.size()))
	}
}

// push appends to the queue what hold has counted. The caller holds w.mu.
func (w *writer) push(f frame) {
	w.queue = append(w.queue, f)
	w.queued += f.size()
	w.budget.take(f.size())
}

// kick lets go of w.mu, which the caller holds, and writes unless somebody
// does.
func (w *writer) kick(src source) error {
	if w.writing || w.err != nil {
		err := w.err
		w.mu.Unlock()
		return err
	}
	w.writing = true
	w.mu.Unlock()
	return w.run(src)
}

// sendPing has a ping written.
func (w *writer) sendPing() {
	w.mu.Lock()
	w.ping = true
	_ = w.kick(nil) // an error shows in the reader
}

// sendPong has a ping answered. Of several that wait only the last is, which
// RFC 6455 allows in section 5.5.3; so a peer that does not read cannot pile
// them up.
func (w *writer) sendPong(payload []byte) {
	w.mu.Lock()
	w.pong = slices.Clone(payload)
	if w.pong == nil {
		w.pong = []byte{}
	}
	w.kick(nil)
}

// finish has a close frame written after everything that is queued, and takes
// nothing more. The first call counts. over is closed when it is written, or
// cannot be.
func (w *writer) finish(payload []byte) {
	w.mu.Lock()
	if w.closing {
		w.mu.Unlock()
		return
	}
	w.closing = true
	w.bye = payload
	w.room.Broadcast()
	w.kick(nil)
}

// awaitEnd calls late if there is still something to be written after a time.
func (w *writer) awaitEnd(ctx context.Context, limit time.Duration, late func()) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-timer.C:
		late()
	case <-w.over:
	case <-ctx.Done():
	}
}

func (w *writer) isClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing
}

// end returns why nothing can be written any more; nil: it can.
func (w *writer) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// isBusy tells whether something is being written that is not the end.
func (w *writer) isBusy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writing && !w.closing && w.err == nil
}

// drop empties the queue, for a peer that wants no more.
func (w *writer) drop() {
	w.mu.Lock()
	w.dropLocked()
	w.mu.Unlock()
}

func (w *writer) dropLocked() {
	for i := w.first; i < len(w.queue); i++ {
		w.letGo(&w.queue[i])
		w.queued -= w.queue[i].size()
		w.budget.give(w.queue[i].size())
	}
	w.queue, w.first = nil, 0
}

// fail ends the writer. The first error counts.
func (w *writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.err = err
	w.dropLocked()
	w.budget.give(w.queued)
	w.queued = 0
	w.room.Broadcast()
	close(w.over)
	return err
}

// run writes until nothing is left. The caller has set w.writing. One that has
// no source is not kept: what is left after its first Write is left to a
// goroutine of its own.
func (w *writer) run(src source) error {
	for {
		more, err := w.step(src)
		switch {
		case !more:
			return err
		case src == nil:
			if !w.leave() {
				go w.runOn()
			}
			return nil
		}
	}
}

func (w *writer) runOn() {
	for more := true; more; {
		more, _ = w.step(nil)
	}
}

// step does one Write and tells whether there may be more to write. If not,
// w.writing has been cleared.
func (w *writer) step(src source) (more bool, err error) {
	b := batches.Get().(*batch)
	defer b.release()
	w.mu.Lock()
	said, drained := w.fillLocked(b)
	w.mu.Unlock()
	if src != nil && drained && !said {
		b.spill = w
		src.fill(b)
	}
	if len(b.buf) == 0 && !said {
		return !w.leave(), nil
	}
	err = w.write(b)
	if err == nil && said {
		err = errCloseSent
	}
	if err != nil {
		err = w.fail(err)
		w.abandon(err)
		w.leave()
		return false, err
	}
	w.wrote(b)
	return true, nil
}

// abandon ends the connection after an error, and has the reader notice. After
// a close frame, or a farewell, the reader lingers; see socket.
func (w *writer) abandon(err error) {
	switch err {
	case errCloseSent:
		return
	case errStalled:
		w.mu.Lock()
		w.closing = true
		w.mu.Unlock()
		_ = w.conn.SetReadDeadline(time.Now())
	default:
		_ = w.conn.Close()
	}
	w.failed()
}

// leave clears w.writing unless something came meanwhile, and tells whether
// it did.
func (w *writer) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && w.pendingLocked() {
		return false
	}
	w.writing = false
	w.room.Broadcast() // for await
	return true
}

// await returns when nobody writes any more. The caller has ended the writer
// with fail and closed the connection.
func (w *writer) await() {
	w.mu.Lock()
	for w.writing {
		w.room.Wait()
	}
	w.mu.Unlock()
}

func (w *writer) pendingLocked() bool {
	return w.first < len(w.queue) || w.rest[0] != nil || w.rest[1] != nil || w.pong != nil || w.ping || w.bye != nil
}

// fillLocked moves what is queued into b, control frames first, and tells
// whether the close frame is in it, which is the last, and whether the queue is
// empty now.
func (w *writer) fillLocked(b *batch) (said, drained bool) {
	if w.current.opcode != 0 && !w.resume(b) {
		return false, false
	}
	if w.pong != nil {
		b.control(opPong, w.pong)
		w.pong = nil
	}
	if w.ping {
		b.control(opPing, nil)
		w.ping = false
	}
	for w.first < len(w.queue) {
		f := w.queue[w.first]
		if b.room() < maxHeader {
			return false, false
		}
		w.queue[w.first] = frame{}
		w.first++
		if b.take(&f) {
			b.paid += f.size()
			w.letGo(&f)
			continue
		}
		b.begin(f.opcode, f.payload())
		b.paid += f.size() - f.payload()
		w.rest, w.current = [2][]byte{f.head, f.tail}, f
		w.resume(b) // what fits
		return false, false
	}
	w.queue, w.first = emptied(w.queue), 0
	if w.bye == nil || b.room() < maxHeader+maxControlSize {
		return false, true
	}
	if !w.bare {
		b.control(opClose, w.bye)
	}
	w.bye = nil
	return true, true
}

// emptied returns the queue to reuse; a long one is not kept.
func emptied(queue []frame) []frame {
	if cap(queue) > 8 {
		return nil
	}
	return queue[:0]
}

// resume copies what is left of a frame and tells whether all of it fit.
func (w *writer) resume(b *batch) bool {
	for i, piece := range w.rest {
		n := min(len(piece), b.room())
		b.buf = append(b.buf, piece[:n]...)
		b.paid += n
		if n < len(piece) {
			w.rest[i] = piece[n:]
			b.cut = true
			return false
		}
		w.rest[i] = nil
	}
	w.letGo(&w.current)
	w.current = frame{}
	return true
}

// write writes b. A peer may be as slow as it likes as long as it takes
// something within the timeout.
func (w *writer) write(b *batch) error {
	for done := 0; ; {
		if err := w.renew(done > 0); err != nil {
			return err
		}
		n, err := w.conn.Write(b.buf[done:])
		done += n
		w.sent += int64(n)
		switch {
		case err == nil:
			w.counts.add(done, len(b.starts))
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case n == 0:
			return w.stalled(b, done)
		}
	}
}

// renew sets the deadline again when a quarter of the timeout has passed, since
// setting it costs a tenth of a Write: a Write may take one timeout and a
// quarter.
func (w *writer) renew(late bool) error {
	now := time.Now()
	if !late && !now.After(w.renewAt) {
		return nil
	}
	w.renewAt = now.Add(w.timeout / 4)
	return w.conn.SetWriteDeadline(now.Add(w.timeout + w.timeout/4))
}

// wrote takes note that b is on its way.
func (w *writer) wrote(b *batch) {
	if b.paid == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil { // fail has given them back
		return
	}
	w.queued -= b.paid
	w.budget.give(b.paid)
	w.room.Broadcast()
}

// stalled ends a connection that took n bytes of b within the timeout. If the
// peer reads again at the last moment it gets the rest of the frame it was in,
// and the farewell.
func (w *writer) stalled(b *batch, n int) error {
	w.slow()
	end, ok := b.boundary(n)
	if !ok || w.farewell == nil {
		return errStalled
	}
	last := &batch{buf: slices.Clone(b.buf[n:end])}
	frames, bye := w.farewell()
	for _, f := range frames {
		last.begin(f.opcode, f.payload())
		last.buf = append(append(last.buf, f.head...), f.tail...)
	}
	last.control(opClose, bye)
	if err := w.conn.SetWriteDeadline(time.Now().Add(farewellTime)); err == nil {
		_, _ = w.conn.Write(last.buf)
	}
	return errStalled
}

// farewellTime is how long a peer that has stalled gets to take the farewell.
const farewellTime = time.Second
