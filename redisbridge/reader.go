package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// readAhead is how many publications a Reader has ready.
const readAhead = 256

// A Reader receives what the processes of a namespace publish, without a
// Server: for programs that only look, and that keep a Cursor. Nothing is read
// from Redis ahead of the caller but what its buffers hold; a caller who stops
// reading stops the reader. Its methods may be called from any goroutine.
type Reader struct {
	*member
	query   pubsub.Query // nil: everything
	getting []*inbound
	ahead   chan Received

	mu        sync.Mutex
	positions []position // of what Next has returned, by partition

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
	r := &Reader{member: m, query: q, ahead: make(chan Received, readAhead), positions: make([]position, m.opt.Partitions)}
	if m.opt.Mode == Live {
		r.addControl()
	}
	r.getting = m.startReceiving(readerSink{r})
	m.start()
	return r, nil
}

// addControl has the query announced.
func (r *Reader) addControl() {
	c := newControl(r.member)
	c.answered = func(*header, []byte) {}
	c.ask = func() ([]*query.Query, uint64, bool) {
		q, whole := r.query.(*query.Query)
		if !whole {
			return nil, 0, false
		}
		return []*query.Query{q}, 0, true
	}
	c.lapsed = func() { reportLapse(r.getting) }
	r.control = c
}

// Next returns the next publication or gap. It returns the error of ctx, or why
// the reader ended.
func (r *Reader) Next(ctx context.Context) (Received, error) {
	select {
	case next := <-r.ahead:
		r.moveTo(&next)
		return next, nil
	case <-r.done:
		return Received{}, r.err()
	case <-ctx.Done():
		return Received{}, context.Cause(ctx)
	}
}

// Buffered returns how many publications and gaps Next returns without waiting.
func (r *Reader) Buffered() int { return len(r.ahead) }

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

func (r *Reader) moveTo(next *Received) {
	if next.position.incarnation == "" {
		return
	}
	r.mu.Lock()
	r.positions[next.Partition] = next.position
	r.mu.Unlock()
}

// Cursor returns the place after what Next returned last. It is zero in Live,
// and before the reader is ready.
func (r *Reader) Cursor() Cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Cursor{positions: make([]position, len(r.positions))}
	for i, p := range r.positions {
		if p.incarnation == "" {
			p = r.getting[i].start()
		}
		if p.incarnation == "" {
			return Cursor{}
		}
		c.positions[i] = p
	}
	return c
}

// Ready waits until the reader has connected for the first time and would miss
// nothing from then on. It returns the error of ctx, with the last failure, or
// why the reader ended.
func (r *Reader) Ready(ctx context.Context) error { return r.awaitReady(ctx) }

// Stats returns what the reader has done and holds.
func (r *Reader) Stats() Stats { return r.stats(r.getting) }

// Close ends the reader and waits for its goroutines. Next returns ErrClosed.
func (r *Reader) Close() error {
	r.closing.Do(r.stop)
	if err := r.err(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// A readerSink hands what was received to the caller of Next.
type readerSink struct{ *Reader }

func (s readerSink) receive(ctx context.Context, r *Received) error {
	if s.query != nil {
		var matches bool
		matches, err := s.matches(r)
		if err != nil {
			s.notes.fails("match", err)
		}
		if !matches {
			return nil
		}
	}
	return s.hand(ctx, *r)
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

func (s readerSink) gap(ctx context.Context, g Gap) {
	_ = s.hand(ctx, Received{Gap: &g, Partition: g.Partition})
}

func (s readerSink) hand(ctx context.Context, r Received) error {
	select {
	case s.ahead <- r:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redisbridge: %w", context.Cause(ctx))
	}
}
