package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/harkbus/pubsub"
)

// A Reader has so much ready for Next, whichever is less.
const (
	aheadCount = 256
	aheadBytes = 1 << 20
)

// What a publication, a key and a value of it take besides their text, about.
const (
	receivedSize = 256
	keySize      = 100
	valueSize    = 16
)

// A Reader receives what the processes of a namespace publish, without a
// Server: for programs that only look, and that keep a Cursor. Nothing is read
// from Redis ahead of the caller but what its buffers hold; a caller who stops
// reading stops the reader. Its methods may be called from any goroutine.
type Reader struct {
	*member
	query   pubsub.Query // nil: everything
	getting []*inbound
	ahead   *ahead

	closing sync.Once
}

// NewReader returns a reader of the publications that match q, all if q is
// nil. It connects in the background; see Ready. Of the Options, those of
// sending have no effect, and OnGap is not called: gaps come in their place
// among the publications.
func NewReader(options Options, q pubsub.Query) (*Reader, error) {
	options.SendOnly, options.ReceiveOnly = false, true
	m, err := newMember(options)
	if err != nil {
		return nil, err
	}
	r := &Reader{member: m, query: q, ahead: newAhead(&m.opt)}
	r.getting = m.startReceiving(func(int) sink { return readerSink{r} })
	m.start()
	return r, nil
}

// Next returns the next publication or gap. It returns the error of ctx, or why
// the reader ended.
func (r *Reader) Next(ctx context.Context) (Received, error) {
	for {
		if next, ok := r.ahead.take(); ok {
			return next, nil
		}
		select {
		case <-r.ahead.came:
		case <-r.done:
			return Received{}, r.err()
		case <-ctx.Done():
			return Received{}, context.Cause(ctx)
		}
	}
}

// Buffered returns how many publications and gaps Next returns without waiting.
func (r *Reader) Buffered() int { return r.ahead.len() }

// All iterates over what Next returns, until its error, which comes once and
// last.
func (r *Reader) All(ctx context.Context) iter.Seq2[Received, error] {
	return func(yield func(Received, error) bool) {
		for {
			next, err := r.Next(ctx)
			if !yield(next, err) || err != nil {
				return
			}
		}
	}
}

// Cursor returns the place after what Next returned last and whatever did not
// match since. It is zero in Live, and in Durable before the first place is
// known; whoever resumes at a zero Cursor begins with the first there is, so
// that nothing is missed.
func (r *Reader) Cursor() Cursor { return r.ahead.cursor(r.getting) }

// Ready waits until the reader has connected for the first time and would miss
// nothing from then on. It returns the error of ctx, with the last failure, or
// why the reader ended.
func (r *Reader) Ready(ctx context.Context) error { return r.awaitReady(ctx) }

// Done is closed when the reader has ended: by Close, or for the reason that
// Err returns.
func (r *Reader) Done() <-chan struct{} { return r.done }

// Err returns why the reader ended: ErrClosed after Close, or a *LayoutError.
// It is nil while it runs.
func (r *Reader) Err() error { return r.err() }

// Stats returns what the reader has done and holds.
func (r *Reader) Stats() Stats { return r.stats(r.getting) }

// Close ends the reader and waits for its goroutines, but for one that has called
// it by way of a query. Next returns ErrClosed.
func (r *Reader) Close() error {
	r.crew.call(func() { r.closing.Do(r.stop) })
	if err := r.err(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// A readerSink hands what was received to the caller of Next.
type readerSink struct{ *Reader }

func (s readerSink) receive(ctx context.Context, r *Received) error {
	if s.query != nil {
		matches, err := s.matches(r)
		if err != nil {
			s.notes.tell("match", err)
		}
		if !matches {
			s.passed(r.Partition, r.position)
			return nil
		}
	}
	r.size += receivedSize
	for key, values := range r.Events {
		r.size += keySize + len(key) + valueSize*len(values)
		for _, v := range values {
			r.size += len(v)
		}
	}
	return s.ahead.put(ctx, *r)
}

// matches guards against queries that users write.
func (s readerSink) matches(r *Received) (matches bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			matches, err = false, fmt.Errorf("panic: %v", p)
		}
	}()
	return s.query.Matches(r.Events)
}

func (s readerSink) gap(ctx context.Context, g Gap, to position) {
	_ = s.ahead.put(ctx, Received{Gap: &g, Partition: g.Partition, position: to})
}

func (s readerSink) passed(partition int, p position) { s.ahead.pass(partition, p) }

func (s readerSink) waiting(partition int, but entryID) (frames, oldest int64) {
	return s.ahead.waiting(partition, but)
}

// An ahead holds what Next returns without waiting.
type ahead struct {
	came chan struct{} // capacity 1: there is something to take
	room chan struct{} // capacity 1: something was taken

	mu     sync.Mutex
	queue  fifo[Received]
	bytes  int
	at     []position  // of what Next has returned, by partition
	newest []*Received // the last one of queue, by partition; nil if there is none
}

func newAhead(o *Options) *ahead {
	a := &ahead{
		came: make(chan struct{}, 1), room: make(chan struct{}, 1),
		at: make([]position, o.Partitions), newest: make([]*Received, o.Partitions),
	}
	return a
}

// put waits for room; one always fits.
func (a *ahead) put(ctx context.Context, r Received) error {
	for !a.offer(r) {
		select {
		case <-a.room:
		case <-ctx.Done():
			return fmt.Errorf("redisbridge: %w", context.Cause(ctx))
		}
	}
	return nil
}

func (a *ahead) offer(r Received) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.queue.len(); n > 0 && (n >= aheadCount || a.bytes+r.size > aheadBytes) {
		return false
	}
	a.newest[r.Partition] = a.queue.push(r)
	a.bytes += r.size
	signal(a.came)
	return true
}

// pass moves the place of a partition over what nobody is to be given.
func (a *ahead) pass(partition int, p position) {
	if p.epoch == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := a.newest[partition]; last != nil {
		last.position = p
	} else {
		a.at[partition] = p
	}
}

func (a *ahead) take() (r Received, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.queue.len() == 0 {
		return r, false
	}
	if a.newest[a.queue.front().Partition] == a.queue.front() {
		a.newest[a.queue.front().Partition] = nil
	}
	r = a.queue.pop()
	a.bytes -= r.size
	if r.position.epoch != 0 {
		a.at[r.Partition] = r.position
	}
	if a.queue.len() > 0 {
		signal(a.came) // for whoever else waits
	}
	signal(a.room)
	return r, true
}

// waiting counts the frames of a partition of which something waits for Next, but
// for one, and returns when the first of all was written.
func (a *ahead) waiting(partition int, but entryID) (frames, oldest int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var last entryID
	for r := range a.queue.all() {
		id := r.position.id
		if r.Partition != partition || r.Gap != nil || id == last {
			continue
		}
		if last = id; oldest == 0 {
			oldest = int64(id.ms)
		}
		if id != but {
			frames++
		}
	}
	return frames, oldest
}

func (a *ahead) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.queue.len()
}

// cursor returns where Next is. Before anything was returned that is where
// reading began.
func (a *ahead) cursor(getting []*inbound) Cursor {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := Cursor{positions: make([]position, len(a.at))}
	for i, p := range a.at {
		if p.epoch == 0 {
			p = getting[i].progress.begin()
		}
		c.positions[i] = p
	}
	if c.IsZero() {
		return Cursor{}
	}
	return c
}
