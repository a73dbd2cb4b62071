package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/harkbus/pubsub/store"
)

// A Retention says what to keep. Zero is no limit. The newest publication is kept
// in any case.
type Retention struct {
	Age   time.Duration // by Message.Time
	Count uint64        // publications
	Bytes uint64        // as the log counts them, before the engine compresses
}

// pruneStep is how many records are removed at once.
const pruneStep = 1000

// Prune removes the oldest publications, in steps, until what is left is within r.
// Readers that come there learn of it by a Gap. If ctx ends it, the next Prune goes
// on. Only one runs at a time.
func (l *Log) Prune(ctx context.Context, r Retention) error {
	l.using.RLock()
	defer l.using.RUnlock()
	if l.closed {
		return ErrClosed
	}
	l.pruning.Lock()
	defer l.pruning.Unlock()
	to, err := l.prunable(ctx, r)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.state.oldest = max(l.state.oldest, to)
	to, swept := l.state.oldest, l.state.swept
	l.mu.Unlock()
	for swept < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		if swept, err = l.sweep(swept, to); err != nil {
			return err
		}
	}
	return nil
}

// prunable returns the last offset that r does not keep.
func (l *Log) prunable(ctx context.Context, r Retention) (to uint64, err error) {
	l.mu.RLock()
	tail := l.tail
	l.mu.RUnlock()
	keeps := func(rec *record) bool {
		return (r.Count == 0 || rec.ordinal+r.Count > tail.ordinal) &&
			(r.Bytes == 0 || rec.bytes+r.Bytes >= tail.bytes+rec.size()) &&
			(r.Age == 0 || rec.clock >= clockOf(time.Now().Add(-r.Age))) ||
			rec.offset >= tail.offset
	}
	return l.search(ctx, keeps)
}

// size returns about how many bytes the record takes.
func (r *record) size() uint64 { return uint64(recordOverhead + len(r.body)) }

// sweep removes some records after an offset, up to another, and returns how far
// it came. It begins where the last one ended: an engine passes what was removed
// key by key.
func (l *Log) sweep(from, to uint64) (swept uint64, err error) {
	var gone [][]byte
	swept = to
	for pair, err := range l.engine.Ascend(recordKey(from+1), recordKey(to+1)) {
		if err != nil {
			return from, fmt.Errorf("eventlog: prune: %w", err)
		}
		if len(gone) == pruneStep {
			swept = numberOf(gone[pruneStep-1])
			break
		}
		gone = append(gone, pair.Key)
	}
	err = l.commits.Commit(func(b *store.Batch) error {
		for _, key := range gone {
			b.Delete(key)
		}
		l.putState(b, func(s *state) { s.swept = swept })
		return nil
	})
	if err != nil {
		return from, l.fail(err)
	}
	return swept, nil
}
