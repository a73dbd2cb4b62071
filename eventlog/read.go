package eventlog

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// A DamageError is what reading a Strict log ends with at a place that cannot be
// read.
type DamageError struct{ Gap history.Gap }

func (e *DamageError) Error() string {
	return fmt.Sprintf("eventlog: offsets %d to %d are damaged", e.Gap.From.Major, e.Gap.To.Major)
}

// Bounds returns the places just before the oldest publication that is kept and
// just after the newest that is on disk. They are equal if there is none.
func (l *Log) Bounds() (oldest, newest history.Cursor) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.cursorLocked(l.state.oldest), l.cursorLocked(l.tail.offset)
}

// Cursor returns the place just after the publication with an offset, whether
// there is one or not.
func (l *Log) Cursor(offset uint64) history.Cursor {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.cursorLocked(offset)
}

// cursorLocked finds the epoch of an offset: the last that begins at it or
// before. The caller holds l.mu.
func (l *Log) cursorLocked(offset uint64) history.Cursor {
	if len(l.epochs) == 0 {
		return history.Cursor{}
	}
	i := len(l.epochs) - 1
	for i > 0 && l.epochs[i].base > offset {
		i--
	}
	return history.Cursor{Epoch: l.epochs[i].number, Major: offset}
}

// Since returns the place before which all publications have a Time before t, as
// late as possible. Where times do not rise, others with such a time may follow.
func (l *Log) Since(ctx context.Context, t time.Time) (history.Cursor, error) {
	offset, err := l.search(ctx, func(r *record) bool { return r.clock >= clockOf(t) })
	return l.Cursor(offset), err
}

// search returns the offset just before the first record for which found is true;
// it is true for all after it. The last offset, if there is none.
func (l *Log) search(ctx context.Context, found func(*record) bool) (uint64, error) {
	l.mu.RLock()
	low, high := l.state.oldest, l.tail.offset // not found up to low; found after high
	l.mu.RUnlock()
	for low < high {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		middle := low + (high-low)/2
		r, err := l.recordAfter(middle)
		switch {
		case err != nil:
			return 0, err
		case r == nil || r.offset > high || found(r):
			high = middle
		default:
			low = r.offset
		}
	}
	return low, nil
}

// recordAfter returns the first record after an offset that is whole, or nil.
func (l *Log) recordAfter(offset uint64) (*record, error) {
	for pair, err := range l.engine.Ascend(recordKey(offset+1), recordsEnd) {
		if err != nil {
			return nil, fmt.Errorf("eventlog: %w", err)
		}
		if r, err := decodeRecord(pair); err == nil {
			return &r, nil
		}
	}
	return nil, nil
}

// Read iterates over the publications after a cursor, oldest first, up to the
// newest there is when the iterator gets there. Where some are missing it yields a
// Gap in their place. It holds nothing of the log while the loop body runs.
func (l *Log) Read(after history.Cursor) iter.Seq2[history.Entry, error] {
	return func(yield func(history.Entry, error) bool) {
		offset, gap := l.locate(after)
		if gap != nil && !yield(history.Entry{Cursor: gap.To, Gap: gap}, nil) {
			return
		}
		r := reader{Log: l, yield: yield}
		r.forward(offset)
	}
}

// Backward iterates over the publications before a cursor, newest first, down to
// the oldest that is kept, and over the gaps between them.
func (l *Log) Backward(before history.Cursor) iter.Seq2[history.Entry, error] {
	return func(yield func(history.Entry, error) bool) {
		r := reader{Log: l, yield: yield}
		r.backward(l.below(before))
	}
}

// locate returns the offset after which one reads on who has got everything up to
// a cursor, and what is missing in between.
func (l *Log) locate(after history.Cursor) (offset uint64, gap *history.Gap) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	miss := func(to history.Cursor, reason history.Reason) (uint64, *history.Gap) {
		return to.Major, &history.Gap{From: after.Next(), To: to, Reason: reason}
	}
	oldest := l.cursorLocked(l.state.oldest)
	i := slices.IndexFunc(l.epochs, func(e epoch) bool { return e.number == after.Epoch })
	switch {
	case after == history.Cursor{}:
		if l.state.oldest == 0 {
			return 0, nil
		}
		return miss(oldest, history.Retention)
	case i < 0:
		return miss(oldest, history.EpochChanged)
	case after.Major < l.state.oldest:
		return miss(oldest, history.Retention)
	case after.Major == history.Last.Major: // the end of an epoch, as a gap had it
		if i+1 < len(l.epochs) {
			return l.epochs[i+1].base - 1, nil
		}
		return l.last, nil
	case i+1 < len(l.epochs) && l.epochs[i+1].hasLost(after.Major):
		next := l.epochs[i+1]
		return miss(history.Cursor{Epoch: next.number, Major: next.base - 1}, history.Crash)
	case i+1 == len(l.epochs) && !l.live && after.Major > l.last:
		_, gap := miss(history.Cursor{Epoch: after.Epoch, Major: history.Last.Major}, history.Crash)
		return l.last, gap
	}
	return max(after.Major, l.epochs[i].base-1), nil
}

// hasLost tells whether an offset of the epoch before is one that was given away
// and is not there.
func (e *epoch) hasLost(offset uint64) bool {
	return offset >= e.base || e.lossy == 1 && offset > e.previous
}

// below returns the offset just before a cursor.
func (l *Log) below(before history.Cursor) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	end := l.tail.offset
	for i, e := range l.epochs {
		switch {
		case e.number > before.Epoch:
			return min(end, e.base-1)
		case e.number < before.Epoch:
			continue
		}
		if i+1 < len(l.epochs) {
			end = min(end, l.epochs[i+1].base-1)
		}
		if before.Minor > 0 { // after the publication at Major
			return min(end, before.Major)
		}
		return min(end, max(before.Major, 1)-1)
	}
	return end
}

// A reader yields entries until it is told to stop.
type reader struct {
	*Log
	yield func(history.Entry, error) bool
}

func (r *reader) fail(err error) bool {
	r.yield(history.Entry{}, fmt.Errorf("eventlog: %w", err))
	return false
}

// forward yields what comes after an offset.
func (r *reader) forward(offset uint64) {
	r.mu.RLock()
	tail, expected := r.tail.offset, max(offset, r.state.oldest)+1
	r.mu.RUnlock()
	for pair, err := range r.engine.Ascend(recordKey(expected), recordsEnd) {
		if err != nil {
			r.fail(err)
			return
		}
		if len(pair.Key) != recordKeyLength {
			continue // none of ours
		}
		if numberOf(pair.Key) > tail {
			if tail = r.newest(); numberOf(pair.Key) > tail {
				return // it is being appended
			}
		}
		rec, err := decodeRecord(pair)
		hole := rec.offset // what is not accounted for ends here
		if err == nil {
			hole = rec.first() - 1
		}
		if !r.gaps(r.explain(expected, hole)) || err == nil && !r.record(&rec) {
			return
		}
		expected = rec.offset + 1
	}
	r.gaps(r.explain(expected, tail))
}

// newest returns the offset of the last record that is known to be on disk.
func (l *Log) newest() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.tail.offset
}

// backward yields what there is up to an offset.
func (r *reader) backward(offset uint64) {
	r.mu.RLock()
	oldest := r.state.oldest
	r.mu.RUnlock()
	expected := offset // all above is accounted for
	for pair, err := range r.engine.Descend(recordKey(oldest+1), recordKey(offset+1)) {
		if err != nil {
			r.fail(err)
			return
		}
		rec, err := decodeRecord(pair)
		if err != nil {
			continue // it is a hole
		}
		gaps := r.explain(rec.offset+1, expected)
		slices.Reverse(gaps)
		if !r.gaps(gaps) || !r.record(&rec) {
			return
		}
		expected = rec.first() - 1
	}
	gaps := r.explain(oldest+1, expected)
	slices.Reverse(gaps)
	r.gaps(gaps)
}

// explain says why offsets have no record, in order. Between epochs that is as it
// should be, unless a crash may have taken some.
func (r *reader) explain(from, to uint64) (gaps []history.Gap) {
	if from > to {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	add := func(from, to uint64, reason history.Reason) {
		if from <= to {
			gaps = append(gaps, history.Gap{From: r.cursorLocked(from), To: r.cursorLocked(to), Reason: reason})
		}
	}
	add(from, min(to, r.state.oldest), history.Retention)
	from = max(from, r.state.oldest+1)
	for _, e := range r.epochs {
		first, last := max(from, e.previous+1), min(to, e.base-1)
		if first > last {
			continue
		}
		add(from, first-1, history.Corruption)
		if e.lossy == 1 {
			add(first, last, history.Crash)
		}
		from = last + 1
	}
	add(from, to, history.Corruption)
	return gaps
}

// gaps yields gaps, and reports whether to go on.
func (r *reader) gaps(gaps []history.Gap) bool {
	for i := range gaps {
		gap := &gaps[i]
		if r.strict && gap.Reason == history.Corruption {
			r.yield(history.Entry{}, &DamageError{*gap})
			return false
		}
		if !r.yield(history.Entry{Cursor: gap.To, Gap: gap}, nil) {
			return false
		}
	}
	return true
}

// record yields what a record stands for.
func (r *reader) record(rec *record) bool {
	at := r.Cursor(rec.offset)
	if rec.kind == kindDropped {
		n := rec.count()
		gap := history.Gap{From: r.Cursor(rec.offset - n + 1), To: at, Reason: history.Overflow, Count: n}
		return r.gaps([]history.Gap{gap})
	}
	args, err := decodePublication(r.types, rec.body)
	if err != nil || rec.kind != kindPublication {
		return r.gaps([]history.Gap{{From: at, To: at, Reason: history.Corruption, Count: 1}})
	}
	return r.yield(history.Entry{Cursor: at, Message: pubsub.RestoreMessage(args, r.sequence(rec.offset))}, nil)
}

// sequence returns the Sequence of a publication of the server that is recorded; 0
// for others, which have none any more.
func (l *Log) sequence(offset uint64) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.recorded == nil || offset < l.recorded.first {
		return 0
	}
	return offset - l.recorded.first + 1 + l.recorded.from
}

// Replay iterates like Read over the publications that match q, all if it is nil,
// and over all gaps.
func (l *Log) Replay(ctx context.Context, after history.Cursor, q pubsub.Query) iter.Seq2[history.Entry, error] {
	return func(yield func(history.Entry, error) bool) {
		l.replay(ctx, after, q, yield)
	}
}

// replay is Replay, and returns how far it came and whether to go on.
func (l *Log) replay(ctx context.Context, after history.Cursor, q pubsub.Query, yield func(history.Entry, error) bool) (at history.Cursor, more bool) {
	at = after
	for entry, err := range l.Read(after) {
		matches := true
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && entry.Gap == nil && q != nil {
			matches, err = entry.Message.Matches(q)
		}
		if err != nil {
			yield(history.Entry{}, err)
			return at, false
		}
		if matches && !yield(entry, nil) {
			return at, false
		}
		at = entry.Cursor
	}
	return at, true
}

// Follow is Replay that goes on with what is appended, until ctx is done or the
// log is closed: it ends with the error of ctx, or with ErrClosed. Nothing is
// missing and nothing comes twice where the past meets the present.
func (l *Log) Follow(ctx context.Context, after history.Cursor, q pubsub.Query) iter.Seq2[history.Entry, error] {
	return func(yield func(history.Entry, error) bool) {
		at, more := after, true
		for {
			changed, end := l.watch()
			if at, more = l.replay(ctx, at, q, yield); !more {
				return
			}
			if end != nil {
				yield(history.Entry{}, end)
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(history.Entry{}, ctx.Err())
				return
			}
		}
	}
}

// watch returns what is closed by the next append, and why there will be none.
func (l *Log) watch() (changed <-chan struct{}, end error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.changed, l.end
}

// Await returns when the publication at c is on disk, at once if c is a place that
// nothing will be appended at, with the error of ctx, or with why the log has
// ended.
func (l *Log) Await(ctx context.Context, c history.Cursor) error {
	for {
		changed, end := l.watch()
		if l.reached(c) {
			return nil
		}
		if end != nil {
			return end
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Log) reached(c history.Cursor) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return !l.live || c.Epoch != l.epochs[len(l.epochs)-1].number || c.Major <= l.last
}
