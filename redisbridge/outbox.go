package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/harkbus/pubsub"
)

// An outbox holds what is to be sent on one partition, from the publisher's
// offer until Redis has acknowledged it. Offering never waits.
//
//	offer ─▶ queue ──take──▶ flying ──release──▶ gone
//	  ▼ full
//	 dropped: counted in front of the item that comes next
//
// queue, flying and what bridge.Publish has reserved are bounded together, by
// count and bytes. Every item has a ticket, one more than the one before; they
// are taken and released in that order.
//
// To know the size of an item all its attributes must be looked at, which is
// most of what an offer would cost. So the newest items stand in the queue with
// a guess, and whoever takes weighs them, without holding up publishers: see
// scale.
type outbox struct {
	limit, limitBytes int

	wake  chan struct{} // capacity 1: something came for whoever takes
	weigh chan struct{} // capacity 1: there is much to weigh

	mu       sync.Mutex
	queue    fifo[item]
	queued   load   // of queue
	flying   load   // taken, not released
	reserved load   // room for those who wait to publish
	skipped  uint64 // dropped since the last item of queue
	waiters  []*roomWaiter
	flushers []flusher
	guessed  []*item       // items of queue whose size is a guess, in order
	mayGuess int           // how many they may be
	idle     bool          // whoever takes has found nothing and waits for wake
	shutErr  error         // why no room is reserved any more
	err      error         // why nothing is taken in any more
	used     chan struct{} // closed once the outbox is shut and what was reserved was used or returned

	ticket   uint64 // of the last item
	taken    uint64 // ticket of the last item taken
	released uint64 // ticket of the last item released
	dropped  uint64
	dropping bool // an episode of dropping goes on
}

// An item is one publication on its way.
type item struct {
	message pubsub.Message
	skipped uint64 // publications dropped just before it
	ticket  uint64
	size    int
}

// A load is a number of items and their bytes.
type load struct{ count, bytes int }

func (l *load) add(count, bytes int) { l.count += count; l.bytes += bytes }

// A roomWaiter waits for room for one item.
type roomWaiter struct {
	size int
	done chan struct{} // closed when the room is reserved, or with err
	err  error
}

// A flusher waits until all items up to a ticket are gone.
type flusher struct {
	ticket uint64
	done   chan struct{} // closed then, and when the outbox refuses
}

var (
	// ErrClosed is returned by the methods of a bridge that is closed.
	ErrClosed = errors.New("redisbridge: the bridge is closed")

	// ErrTooLarge is returned by Publish for what fits no frame or no outbox.
	ErrTooLarge = errors.New("redisbridge: the publication is too large")
)

// A DropError says that an outbox has begun to drop publications.
type DropError struct{ Partition int }

// Error names the partition.
func (e *DropError) Error() string {
	return fmt.Sprintf("redisbridge: the outbox of partition %d is full: publications are dropped", e.Partition)
}

func newOutbox(o *Options) *outbox {
	return &outbox{limit: o.OutboxCount, limitBytes: o.OutboxBytes,
		mayGuess: min(firstGuessed, o.OutboxBytes/2/opaqueSize),
		wake:     make(chan struct{}, 1), weigh: make(chan struct{}, 1), used: make(chan struct{})}
}

// fits tells whether one more item of a size may come. The caller holds o.mu.
func (o *outbox) fits(size int) bool {
	return o.queued.count+o.flying.count+o.reserved.count < o.limit &&
		o.queued.bytes+o.flying.bytes+o.reserved.bytes+size <= o.limitBytes
}

// offer takes a message in or drops one. It tells whether an episode of
// dropping began. A message with a reservation uses it up and is never dropped.
func (o *outbox) offer(m pubsub.Message, s *measure, hasRoom bool) (episode bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return false
	case hasRoom && o.reserved.count > 0:
		size := s.sizeOf(m)
		o.returnLocked(size)
		o.push(m, size)
		return false
	}
	if !o.fits(0) { // whatever its size
		return o.drop()
	}
	size, isGuess := s.guess(m)
	if isGuess && (len(o.guessed) >= o.mayGuess || !o.fits(size)) {
		size, isGuess = s.sizeOf(m), false
	}
	if !o.fits(size) {
		return o.drop()
	}
	i := o.push(m, size)
	if isGuess {
		o.remember(i)
	}
	return false
}

// drop counts a message that does not fit. It tells whether that is the first
// for a while. The caller holds o.mu.
func (o *outbox) drop() (episode bool) {
	o.skipped++
	o.dropped++
	episode, o.dropping = !o.dropping, true
	o.wakeTaker() // a mark tells readers of what was dropped last
	return episode
}

// push puts a message into the queue. The caller holds o.mu.
func (o *outbox) push(m pubsub.Message, size int) *item {
	o.ticket++
	i := o.queue.push(item{message: m, skipped: o.skipped, ticket: o.ticket, size: size})
	o.queued.add(1, size)
	o.skipped = 0
	o.wakeTaker()
	return i
}

func (o *outbox) wakeTaker() {
	if !o.idle {
		return
	}
	o.idle = false
	signal(o.wake)
}

// take moves up to count items and about so many bytes from the queue into dst,
// all of exact size, and returns them with the number dropped after the last
// one, if that was the last of the queue. If there is nothing to take, wake will
// tell.
func (o *outbox) take(s *scale, dst []item, count, bytes int) (items []item, skipped uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.queue.len() > 0 && len(dst) < count && bytes > 0 {
		isGuess := len(o.guessed) > 0 && o.guessed[0] == o.queue.front() // it came since the last weighing
		i := o.queue.pop()
		o.queued.add(-1, -i.size)
		if isGuess {
			o.guessed = o.guessed[1:]
			i.size = s.sizeOf(i.message)
		}
		dst = append(dst, i)
		bytes -= i.size
		o.flying.add(1, i.size)
		o.taken = i.ticket
	}
	if o.queue.len() == 0 {
		skipped, o.skipped = o.skipped, 0
	}
	o.idle = len(dst) == 0 && skipped == 0
	return dst, skipped
}

// release forgets items that are acknowledged, up to a ticket.
func (o *outbox) release(gone load, ticket uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying.add(-gone.count, -gone.bytes)
	o.released = max(o.released, ticket)
	if o.queued.count+o.flying.count <= o.limit/2 && o.queued.bytes+o.flying.bytes <= o.limitBytes/2 {
		o.dropping = false
	}
	o.grantRoom()
	o.notifyFlushed()
}

// grantRoom reserves room for those who wait, first come first served. The
// caller holds o.mu.
func (o *outbox) grantRoom() {
	for len(o.waiters) > 0 && o.fits(o.waiters[0].size) {
		w := o.waiters[0]
		o.waiters = slices.Delete(o.waiters, 0, 1)
		o.reserved.add(1, w.size)
		close(w.done)
	}
}

// reserve waits for room for one item of a size. Who has reserved either
// offers a message of that size with hasRoom or calls unreserve.
func (o *outbox) reserve(ctx context.Context, size int) error {
	if size > o.limitBytes {
		return ErrTooLarge
	}
	o.mu.Lock()
	if err := o.shutErr; err != nil {
		o.mu.Unlock()
		return err
	}
	if len(o.waiters) == 0 && o.fits(size) {
		o.reserved.add(1, size)
		o.mu.Unlock()
		return nil
	}
	w := &roomWaiter{size: size, done: make(chan struct{})}
	o.waiters = append(o.waiters, w)
	o.grantRoom()
	o.mu.Unlock()

	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.waiters, w); i >= 0 {
		o.waiters = slices.Delete(o.waiters, i, i+1)
		o.grantRoom() // a smaller one behind may fit
	} else if w.err == nil {
		o.unreserveLocked(size)
	}
	return context.Cause(ctx)
}

func (o *outbox) unreserve(size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unreserveLocked(size)
}

func (o *outbox) unreserveLocked(size int) {
	if o.reserved.count > 0 {
		o.returnLocked(size)
	}
	o.grantRoom()
}

// returnLocked takes note that room for one item is reserved no more. The caller
// holds o.mu.
func (o *outbox) returnLocked(size int) {
	o.reserved.add(-1, -size)
	o.checkUsedLocked()
}

func (o *outbox) checkUsedLocked() {
	if o.shutErr == nil || o.reserved.count > 0 {
		return
	}
	select {
	case <-o.used:
	default:
		close(o.used)
	}
}

// flushed returns a channel that is closed when all items that are there now
// are gone.
func (o *outbox) flushed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := flusher{o.ticket, make(chan struct{})}
	o.flushers = append(o.flushers, f)
	o.notifyFlushed()
	return f.done
}

// notifyFlushed closes the channels of those whose items are gone. The caller
// holds o.mu.
func (o *outbox) notifyFlushed() {
	o.flushers = slices.DeleteFunc(o.flushers, func(f flusher) bool {
		if o.err == nil && !o.goneUpTo(f.ticket) {
			return false
		}
		close(f.done)
		return true
	})
}

func (o *outbox) goneUpTo(ticket uint64) bool {
	if o.flying.count > 0 && o.released < min(ticket, o.taken) {
		return false
	}
	return o.queue.len() == 0 || o.queue.front().ticket > ticket
}

// shut reserves no room any more, and whoever waits for it gets err. What has
// been reserved still comes, and so does what has no reservation.
func (o *outbox) shut(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shutLocked(err)
}

func (o *outbox) shutLocked(err error) {
	if o.shutErr != nil {
		return
	}
	o.shutErr = err
	for _, w := range o.waiters {
		w.err = err
		close(w.done)
	}
	o.waiters = nil
	o.checkUsedLocked()
}

// refuse takes nothing in any more and ends all waits. What is there can still
// be taken and released.
func (o *outbox) refuse(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.shutLocked(err)
	o.err = err
	o.notifyFlushed()
}

// promised returns for how many items room is reserved.
func (o *outbox) promised() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reserved.count
}

// left returns how many items are not acknowledged.
func (o *outbox) left() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued.count + o.flying.count
}

func (o *outbox) hasQueued() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued.count > 0
}

func (o *outbox) addTo(s *Stats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Accepted += o.ticket
	s.Dropped += o.dropped
	s.Queued += o.queued.count
	s.QueuedBytes += o.queued.bytes
	s.InFlight += o.flying.count
}
