package redisbridge

import (
	"context"
	"sync"
)

// An inbox holds what a reader of one partition received and did not hand on
// yet, bounded by bytes. One frame always fits.
type inbox struct {
	limit int
	came  chan struct{} // capacity 1: there is something to take
	room  chan struct{} // capacity 1: something was taken

	mu    sync.Mutex
	queue fifo[arrival]
	bytes int
}

// An arrival is something for the receiving side of a partition: a frame that
// passed the gate, or news of the reader.
type arrival struct {
	header  header
	payload []byte
	size    int

	id          entryID // Durable: of the entry
	incarnation string
	skip        int // events of the frame to pass over

	gap   *Gap // instead of a frame
	state lineState
}

// A lineState is news of a reader's connection.
type lineState uint8

const (
	lineSame lineState = iota
	lineUp
	lineDown
)

func newInbox(limit int) *inbox {
	return &inbox{limit: limit, came: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// offer takes an arrival in if there is room; news always has.
func (b *inbox) offer(a arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.size > 0 && b.queue.len() > 0 && b.bytes+a.size > b.limit {
		return false
	}
	b.queue.push(a)
	b.bytes += a.size
	select {
	case b.came <- struct{}{}:
	default:
	}
	return true
}

// put is offer that waits for room. It is for one goroutine at a time.
func (b *inbox) put(ctx context.Context, a arrival) error {
	for !b.offer(a) {
		select {
		case <-b.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// take takes the next arrival out, if there is one.
func (b *inbox) take() (a arrival, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.len() == 0 {
		return a, false
	}
	a = b.queue.pop()
	b.bytes -= a.size
	select {
	case b.room <- struct{}{}:
	default:
	}
	return a, true
}

func (b *inbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.len()
}
