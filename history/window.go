package history

import (
	"context"
	"encoding/json"
	"iter"
	"sync"
	"time"

	"github.com/harkbus/pubsub"
)

// Defaults of a Window.
const (
	DefaultWindowCount = 10_000
	DefaultWindowBytes = 64 << 20
)

// A Window is a History that keeps the last publications in memory, bounded by
// their count and their bytes. After a restart it is empty and has a new
// epoch, so that everybody who comes back is notified of the gap.
//
// The bytes of a publication are those of its events and, if it is [Sized], a
// string, bytes or JSON, of its data; data of another type counts as 512.
type Window struct {
	epoch uint64
	count int
	bytes int

	mu      sync.RWMutex
	ring    []pubsub.Message // grows to count; of sequence s at (s-first) after start
	start   int
	n       int
	first   uint64 // sequence of the oldest
	used    int
	sizes   []int32
	changed chan struct{} // closed by the next Append; nil: nobody waits
}

var _ History = (*Window)(nil)

// NewWindow returns a window of at most count publications and about bytes
// bytes; what is not positive stands for the default. The newest publication
// is kept in any case.
func NewWindow(count, bytes int) *Window {
	if count <= 0 {
		count = DefaultWindowCount
	}
	if bytes <= 0 {
		bytes = DefaultWindowBytes
	}
	return &Window{epoch: uint64(time.Now().UnixNano()), count: count, bytes: bytes, first: 1}
}

// Append implements History.
func (w *Window) Append(m pubsub.Message) {
	size := SizeOf(m)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == 0 {
		w.first = m.Sequence()
	}
	for w.n > 0 && (w.n == w.count || w.used+size > w.bytes) {
		w.evict()
	}
	if w.n == 0 {
		w.first = m.Sequence()
	}
	if w.n == len(w.ring) {
		w.grow()
	}
	at := (w.start + w.n) % len(w.ring)
	w.ring[at], w.sizes[at] = m, int32(size)
	w.n++
	w.used += size
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// evict drops the oldest. The caller holds w.mu.
func (w *Window) evict() {
	w.used -= int(w.sizes[w.start])
	w.ring[w.start] = pubsub.Message{}
	w.start = (w.start + 1) % len(w.ring)
	w.first++
	w.n--
}

// grow doubles the ring. The caller holds w.mu.
func (w *Window) grow() {
	size := min(max(2*len(w.ring), 64), w.count)
	ring, sizes := make([]pubsub.Message, size), make([]int32, size)
	for i := range w.n {
		at := (w.start + i) % len(w.ring)
		ring[i], sizes[i] = w.ring[at], w.sizes[at]
	}
	w.ring, w.sizes, w.start = ring, sizes, 0
}

// Sized is data that knows how many bytes it holds.
type Sized interface{ Size() int }

const (
	keyBytes   = 96 // of a key in a map, and of the slice for its values
	valueBytes = 32 // of a value in it
)

// SizeOf returns about how many bytes a publication takes: those of its events
// and, if it is [Sized], a string or bytes, of its data.
func SizeOf(m pubsub.Message) int {
	size := 128
	for key := range m.Keys() {
		size += len(key) + keyBytes
		for value := range m.Values(key) {
			size += len(value) + valueBytes
		}
	}
	switch d := m.Data().(type) {
	case nil:
	case []byte:
		size += len(d)
	case json.RawMessage:
		size += len(d)
	case string:
		size += len(d)
	case Sized:
		size += d.Size()
	default:
		size += 512
	}
	return min(size, 1<<30)
}

// Cursor implements History.
func (w *Window) Cursor(sequence uint64) Cursor { return Cursor{Epoch: w.epoch, Major: sequence} }

// Bounds implements History.
func (w *Window) Bounds() (oldest, newest Cursor) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.Cursor(w.first - 1), w.Cursor(w.first + uint64(w.n) - 1)
}

// chunk is how many publications Read takes at once.
const chunk = 64

// Read implements History.
func (w *Window) Read(after Cursor) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		at, buf := after, make([]pubsub.Message, 0, chunk)
		for {
			var gap *Gap
			if buf, gap = w.next(at, buf[:0]); gap != nil {
				at = gap.To
				if !yield(Entry{Cursor: at, Gap: gap}, nil) {
					return
				}
				continue
			}
			if len(buf) == 0 {
				return
			}
			for _, m := range buf {
				at = w.Cursor(m.Sequence())
				if !yield(Entry{Cursor: at, Message: m}, nil) {
					return
				}
			}
		}
	}
}

// next appends the publications after a cursor to buf, or returns the gap that
// is there.
func (w *Window) next(after Cursor, buf []pubsub.Message) ([]pubsub.Message, *Gap) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	last := w.first + uint64(w.n) - 1
	switch {
	case after.Epoch != w.epoch || after.Major > last:
		return buf, &Gap{From: after.Next(), To: w.Cursor(w.first - 1), Reason: EpochChanged}
	case after.Major+1 < w.first:
		return buf, &Gap{From: w.Cursor(after.Major + 1), To: w.Cursor(w.first - 1), Reason: Retention}
	}
	for s := after.Major + 1; s <= last && len(buf) < cap(buf); s++ {
		buf = append(buf, w.at(s))
	}
	return buf, nil
}

// at returns the publication with a sequence. The caller holds w.mu.
func (w *Window) at(sequence uint64) pubsub.Message {
	return w.ring[(w.start+int(sequence-w.first))%len(w.ring)]
}

// Backward implements History.
func (w *Window) Backward(before Cursor) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		at, buf := before, make([]pubsub.Message, 0, chunk)
		for {
			buf = w.previous(at, buf[:0])
			for _, m := range buf {
				at = w.Cursor(m.Sequence())
				if !yield(Entry{Cursor: at, Message: m}, nil) {
					return
				}
			}
			if len(buf) == 0 {
				return
			}
		}
	}
}

// previous appends the publications before a cursor to buf, newest first.
func (w *Window) previous(before Cursor, buf []pubsub.Message) []pubsub.Message {
	w.mu.RLock()
	defer w.mu.RUnlock()
	end := w.first + uint64(w.n) // after the newest
	switch {
	case before.Epoch < w.epoch:
		return buf
	case before.Epoch == w.epoch:
		if end = min(end, before.Major); before.Minor > 0 && end < w.first+uint64(w.n) {
			end++ // before is after the publication at Major
		}
	}
	for s := end; s > w.first && len(buf) < cap(buf); s-- {
		buf = append(buf, w.at(s-1))
	}
	return buf
}

// Await implements History.
func (w *Window) Await(ctx context.Context, c Cursor) error {
	for {
		w.mu.Lock()
		if c.Epoch != w.epoch || w.first+uint64(w.n) > c.Major {
			w.mu.Unlock()
			return nil
		}
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
