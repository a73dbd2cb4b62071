package redisbridge

import (
	"context"
	"sync"
	"time"
)

// arrivalSize is what an arrival takes besides its frame.
const arrivalSize = 160

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

// An arrival is something for the receiving side of a partition: a frame as it
// came, or news of the reader.
type arrival struct {
	frame string
	own   *opened  // Durable: the frame as it passed the gate
	id    entryID  // Durable: of the entry
	epoch uint64   // Durable: of the stream
	skip  int      // events of the frame to pass over
	gap   *Gap     // instead of a frame
	to    position // with a gap in Durable: where reading goes on
	state lineState
	came  time.Time // Live: when it was received

	written  int64  // Durable: when the entry was written, at the earliest, ms by the clock of Redis
	breach   breach // Durable: before the frame
	isAstray bool   // Durable: it is not where it was written; somebody has copied it
}

// at returns the moment that an arrival tells of. Whatever was received before
// it has been handled by then; in Live that may have been a while ago.
func (a *arrival) at() time.Time {
	if a.came.IsZero() {
		return time.Now()
	}
	return a.came
}

// isNear tells whether a stamp is near to when an entry was written. The writer
// sees to that.
func (a *arrival) isNear(stamp int64) bool {
	return a.id.ms < 1<<53 && abs(int64(a.id.ms)*1000-stamp) <= freshness.Microseconds()
}

// An opened is a frame that has passed the gate.
type opened struct {
	header  header
	payload []byte
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

func (a *arrival) size() int {
	if a.frame == "" {
		return 0
	}
	return arrivalSize + len(a.frame)
}

// offer takes an arrival in if there is room; news always has.
func (b *inbox) offer(a arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.frame != "" && b.queue.len() > 0 && b.bytes+a.size() > b.limit {
		return false
	}
	b.queue.push(a)
	b.bytes += a.size()
	signal(b.came)
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
	b.bytes -= a.size()
	signal(b.room)
	return a, true
}

// oldest returns when the first frame that waits was written, 0 if none does.
func (b *inbox) oldest() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.len() == 0 {
		return 0
	}
	return b.queue.front().written
}

func (b *inbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.len()
}

// signal puts a token into a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
