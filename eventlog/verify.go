package eventlog

import (
	"context"
	"fmt"

	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/store"
)

// A Report is what Verify found.
type Report struct {
	Publications uint64 // that are whole
	Dropped      uint64 // that a recorder dropped
	Gaps         []history.Gap
	MoreGaps     uint64 // that have no room in Gaps
}

// Damaged reports whether something is missing that should be there.
func (r *Report) Damaged() bool { return r.MoreGaps > 0 || len(r.Gaps) > 0 }

const maxReported = 1000

// Verify reads the whole log and reports what cannot be read: gaps with the reason
// Corruption. It fails if the engine does.
func (l *Log) Verify(ctx context.Context) (report Report, err error) {
	lenient := &Log{engine: l.engine, types: l.types}
	l.mu.RLock()
	lenient.state, lenient.epochs, lenient.tail, lenient.last, lenient.live = l.state, l.epochs[:len(l.epochs):len(l.epochs)], l.tail, l.last, l.live
	l.mu.RUnlock()
	for entry, err := range lenient.Read(lenient.Cursor(lenient.state.oldest)) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return report, err
		}
		switch gap := entry.Gap; {
		case gap == nil:
			report.Publications++
		case gap.Reason == history.Overflow:
			report.Dropped += gap.Count
		case gap.Reason == history.Corruption && len(report.Gaps) < maxReported:
			report.Gaps = append(report.Gaps, *gap)
		case gap.Reason == history.Corruption:
			report.MoreGaps++
		}
	}
	return report, nil
}

// Stats are figures of a log.
type Stats struct {
	Oldest, Newest history.Cursor // as of Bounds
	Publications   uint64         // that are kept
	Bytes          uint64         // of them, before the engine compresses
	Epochs         int
	Commits        store.CommitterStats // since the log was opened
}

// Stats returns the present figures.
func (l *Log) Stats() (Stats, error) {
	l.mu.RLock()
	tail, oldest := l.tail, l.state.oldest
	s := Stats{Oldest: l.cursorLocked(oldest), Newest: l.cursorLocked(tail.offset), Epochs: len(l.epochs)}
	l.mu.RUnlock()
	s.Commits = l.commits.Stats()
	first, err := l.recordAfter(oldest)
	if err != nil {
		return s, fmt.Errorf("eventlog: stats: %w", err)
	}
	if first != nil && first.offset <= tail.offset {
		s.Publications = tail.ordinal - first.ordinal + 1
		s.Bytes = tail.bytes - first.bytes + first.size()
	}
	return s, nil
}
