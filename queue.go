package pubsub

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
)

// A queue holds the publications that were accepted while another one was
// being dispatched, and the publishers that wait for room, first come first
// served. The server's goroutine drains it in batches.
//
//	publisher ──room──▶ items ──take──▶ batch ──begin──▶ dispatch
//	          ──full──▶ waiters ──▲
//
// At most capacity publications are in items and batch together. One that begins
// leaves its place at once, before user code sees it: whoever publishes during
// that finds all the room there is.
type queue struct {
	turn     *turnstile
	capacity int

	mu      sync.Mutex
	items   []Message // accepted
	spare   []Message // the batch before the last, for items to reuse
	waiters list.List // of *publisher, not accepted

	taken atomic.Int64 // how many of the last batch have not begun; written by who has the pass
}

// A publisher waits for room. All but done is guarded by the queue's mu.
type publisher struct {
	m    Message
	err  error
	done chan struct{} // closed once m is accepted, or refused with err
}

// put accepts m, waiting for room until ctx is done. If the turnstile turns
// out to be idle, m is not queued: the caller has the pass and dispatches it.
func (q *queue) put(ctx context.Context, m Message) (p pass, inline bool, err error) {
	asked := false
	var done <-chan struct{}
	q.mu.Lock()
	for {
		now := q.turn.look()
		switch {
		case now.closed():
			q.mu.Unlock()
			return 0, false, ErrServerStopped
		case !now.busy():
			if p, inline = q.turn.enter(); inline {
				q.mu.Unlock()
				return p, true, nil
			}
		case q.room():
			var ok bool
			if m.seq, ok = q.turn.accept(now); ok {
				q.items = append(q.items, m)
				q.mu.Unlock()
				return now + oneSequence, false, nil
			}
		case !asked: // a context may call the server, panic or exit: then m must not wait yet
			q.mu.Unlock()
			asked, done = true, ctx.Done()
			q.mu.Lock()
		case q.turn.wait(now):
			w := &publisher{m: m, done: make(chan struct{})}
			place := q.waiters.PushBack(w)
			q.admit() // begin may have made room before it could see that anybody waits
			q.mu.Unlock()
			return q.await(ctx, done, w, place)
		}
	}
}

// room tells whether one more publication may be accepted. Nobody overtakes
// those who wait. The caller holds q.mu.
func (q *queue) room() bool {
	return q.waiters.Len() == 0 && q.held() < q.capacity
}

// held returns how many accepted publications have not begun. The caller holds
// q.mu.
func (q *queue) held() int { return len(q.items) + int(q.taken.Load()) }

// await returns once w, which waits at place, is accepted or refused, or ctx is
// done.
func (q *queue) await(ctx context.Context, done <-chan struct{}, w *publisher, place *list.Element) (pass, bool, error) {
	select {
	case <-w.done:
		return pass(w.m.seq * oneSequence), false, w.err
	case <-done:
	}
	q.mu.Lock()
	select {
	case <-w.done: // it is too late to give up
		q.mu.Unlock()
		return pass(w.m.seq * oneSequence), false, w.err
	default:
		q.waiters.Remove(place)
		q.mu.Unlock()
		return 0, false, reason(ctx)
	}
}

// reason returns why ctx is done. A context that does not say so has been
// canceled: a call that gave up must not return nil.
func reason(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Canceled
}

// take returns the next batch for the goroutine that has the pass, and none
// if there is nothing to do: then it has given the pass back, or the queue is
// closed, which is told by the second result. The batch is valid until the
// next call.
func (q *queue) take() (batch []Message, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.admit()
	if len(q.items) == 0 && q.waiters.Len() > 0 { // a queue without capacity
		q.admitOne()
	}
	if len(q.items) == 0 {
		return nil, q.rest()
	}
	batch = q.items
	clear(q.spare)
	q.items, q.spare = q.spare[:0], batch
	q.taken.Store(int64(len(batch)) - 1) // the first begins now
	return batch, false
}

// idle gives the pass of a server that has not started back, unless there is
// something to do.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)+q.waiters.Len() == 0 && !q.rest()
}

// rest gives the pass back unless the queue is closed. The caller holds q.mu,
// so that nothing is accepted meanwhile but by those who enter.
func (q *queue) rest() (closed bool) {
	for {
		now := q.turn.look()
		if now.closed() {
			return true
		}
		if q.turn.idle(now) {
			return false
		}
	}
}

// begin says that all but the last n of the batch have begun. The caller has the
// pass.
func (q *queue) begin(n int) { q.taken.Store(int64(n)) }

// letIn accepts those who wait for the room that begin has made. The caller has
// the pass and no lock, and is about to call or wait for somebody who may publish
// or take long; otherwise it lets many in together, which costs fewer wake-ups.
func (q *queue) letIn() {
	if !q.turn.look().awaited() {
		return
	}
	q.mu.Lock()
	q.admit()
	q.mu.Unlock()
}

// admit accepts waiting publishers while there is room. The caller holds q.mu.
func (q *queue) admit() {
	for q.waiters.Len() > 0 && q.held() < q.capacity {
		q.admitOne()
	}
}

// admitOne accepts the first waiting publisher. The caller holds q.mu; the queue
// is not closed, since nobody waits for one that is, and the turnstile is busy
// until all who wait have been accepted.
func (q *queue) admitOne() {
	w := q.waiters.Remove(q.waiters.Front()).(*publisher)
	for ok := false; !ok; {
		w.m.seq, ok = q.turn.accept(q.turn.look())
	}
	q.items = append(q.items, w.m)
	close(w.done)
}

// close refuses those who wait and whoever comes. It tells whether the caller
// has the pass now.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	mine := q.turn.close()
	for q.waiters.Len() > 0 {
		w := q.waiters.Remove(q.waiters.Front()).(*publisher)
		w.err = ErrServerStopped
		close(w.done)
	}
	return mine
}

// len returns how many accepted publications have not begun.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held()
}
