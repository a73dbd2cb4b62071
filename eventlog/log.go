package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/store"
)

// Options are how to open a log. The zero Options are the default.
type Options struct {
	// Types says how data is stored and what is made of it again; nil: a registry
	// that knows what needs no registration.
	Types *codec.Registry

	// Strict has reading end with a *DamageError at the first damage, instead of
	// going on behind a Gap.
	Strict bool
}

// A Log is what was published, on an engine. Its methods may be called from any
// goroutine.
type Log struct {
	engine  store.Engine
	commits *store.Committer
	types   *codec.Registry
	strict  bool

	using    sync.RWMutex // excl: Close; shared: append, prune
	closed   bool
	recorder *Recorder  // nil: none
	pruning  sync.Mutex // excludes other prunings

	opening sync.Mutex // excludes others who make the mark
	marked  bool       // as open

	writer // belongs to who fills a batch; the committer calls one at a time

	mu       sync.RWMutex
	state    state         // as it is on disk; oldest may be ahead
	epochs   []epoch       // in order
	live     bool          // the last of them is of this opening
	tail     record        // the last record on disk, without its body
	last     uint64        // up to here everything is on disk, or left out
	recorded *Recorder     // the same as recorder
	end      error         // why nothing is appended any more
	changed  chan struct{} // closed, and made again, with every append and at the end
}

// A writer gives offsets away.
type writer struct {
	next  uint64 // offset
	tail  record // the last that was written
	upTo  uint64 // offset up to which records account for all
	epoch *epoch // nil: the next record begins one
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("eventlog: closed")

// Open opens the log of an engine, which is empty or has a log. The engine is the
// log's until Close, and is closed by whoever opened it. Reading writes nothing.
func Open(engine store.Engine, options Options) (*Log, error) {
	l := &Log{engine: engine, commits: store.NewCommitter(engine), types: options.Types, strict: options.Strict, changed: make(chan struct{})}
	if l.types == nil {
		l.types = codec.NewRegistry()
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	return l, nil
}

// load finds out what the engine has.
func (l *Log) load() error {
	if err := l.loadVersion(); err != nil {
		return err
	}
	switch value, err := l.engine.Get(stateKey); {
	case err == nil:
		if err := l.state.decode(value); err != nil {
			return err
		}
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	for pair, err := range l.engine.Ascend(epochKey(0), epochsEnd) {
		if err != nil {
			return err
		}
		e, err := decodeEpoch(pair)
		if err != nil {
			return err
		}
		l.epochs = append(l.epochs, e)
	}
	return l.loadTail()
}

func (l *Log) loadVersion() error {
	value, err := l.engine.Get(versionKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	var version uint64
	if err == nil {
		err = decodeNumbers(versionKey, value, &version)
	}
	if err != nil {
		return err
	}
	if version != formatVersion {
		return fmt.Errorf("eventlog: the log has format %d, and this program knows %d", version, formatVersion)
	}
	return nil
}

// loadTail finds the last record, and where the next one goes: nowhere where one
// has been, or may have been when a crash took it.
func (l *Log) loadTail() error {
	l.tail.offset = l.state.oldest
	bad := uint64(0)
	for pair, err := range l.engine.Descend(recordKey(l.state.oldest+1), recordsEnd) {
		if err != nil {
			return err
		}
		r, err := decodeRecord(pair)
		if bad == 0 {
			l.tail.offset = r.offset
		}
		if err == nil {
			l.tail.ordinal, l.tail.bytes, l.tail.clock = r.ordinal+bad, r.bytes, r.clock
			break
		}
		bad++
	}
	text, err := store.Mark(l.engine)
	if err != nil {
		return err
	}
	if m := decodeMark(text); m.closed == 1 {
		l.tail.offset = max(l.tail.offset, m.last) // what is not there up to here is damage
		l.state.open = closed
		if n := len(l.epochs); n == 0 || l.epochs[n-1].number < m.epoch {
			l.epochs = append(l.epochs, epoch{number: m.epoch, base: m.base, previous: m.base - 1})
		}
	}
	l.last = max(l.tail.offset, l.state.last)
	l.writer.tail, l.writer.next = l.tail, max(l.last+1, l.state.reserved)
	return nil
}

// Close closes the recorder, waits for those who append, and notes where the log ends. The engine is
// closed by whoever opened it. Only the first call does something.
func (l *Log) Close() error {
	l.using.Lock()
	defer l.using.Unlock()
	for r := l.recorder; r != nil; r = l.recorder {
		l.using.Unlock()
		_ = r.Close() // its failure is one of the engine, which is reported below
		l.using.Lock()
	}
	if l.closed {
		return nil
	}
	l.closed = true
	defer l.finish(ErrClosed)
	if !l.live {
		return nil
	}
	if err := l.commits.Commit(func(b *store.Batch) error {
		l.putState(b, func(s *state) { s.open, s.last, s.reserved = closed, l.last, l.writer.next })
		return nil
	}); err != nil {
		return fmt.Errorf("eventlog: close: %w", err)
	}
	e := l.epochs[len(l.epochs)-1]
	if err := store.SetMark(l.engine, mark{closed: 1, last: l.tail.offset, epoch: e.number, base: e.base}.encode()); err != nil {
		return fmt.Errorf("eventlog: close: %w", err)
	}
	return nil
}

// finish has those who wait for more learn that there is none.
func (l *Log) finish(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		l.end = reason
		l.notifyLocked()
	}
}

// notifyLocked has those who wait look again. The caller holds l.mu.
func (l *Log) notifyLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Append adds publications and returns the place after the last of them when they
// are on disk: after a crash all of them are there or none. A Time that is zero
// becomes the present. It does not wait for a context once the write has begun.
func (l *Log) Append(ctx context.Context, publications ...pubsub.PublishArgs) (history.Cursor, error) {
	if err := ctx.Err(); err != nil {
		return history.Cursor{}, err
	}
	entries := make([]entry, len(publications))
	for i := range publications {
		args := publications[i]
		if args.Time.IsZero() {
			args.Time = time.Now()
		}
		body, err := encodePublication(l.types, &args)
		if err != nil {
			return history.Cursor{}, err
		}
		entries[i] = entry{kind: kindPublication, clock: clockOf(args.Time), body: body}
	}
	return l.write(entries)
}

// An entry is a record that has no offset yet.
type entry struct {
	offset uint64 // of a recorder
	kind   byte
	clock  uint64
	body   []byte
}

func (l *Log) write(entries []entry) (history.Cursor, error) {
	l.using.RLock()
	defer l.using.RUnlock()
	if l.closed {
		return history.Cursor{}, ErrClosed
	}
	if l.recorder != nil {
		return history.Cursor{}, ErrRecorded
	}
	if len(entries) == 0 {
		_, newest := l.Bounds()
		return newest, nil
	}
	if err := l.unclose(); err != nil {
		return history.Cursor{}, err
	}
	var tail record
	var current epoch
	err := l.commits.Commit(func(b *store.Batch) error {
		w := &l.writer
		w.begin(l, b)
		for _, e := range entries {
			w.put(b, e)
		}
		tail, current = w.tail, *w.epoch
		return nil
	})
	if err != nil {
		return history.Cursor{}, l.fail(err)
	}
	l.advance(tail, current)
	return history.Cursor{Epoch: current.number, Major: tail.offset}, nil
}

// unclose marks the log as not closed, before the first append.
func (l *Log) unclose() error {
	l.opening.Lock()
	defer l.opening.Unlock()
	if l.marked {
		return nil
	}
	if err := store.SetMark(l.engine, mark{}.encode()); err != nil {
		return fmt.Errorf("eventlog: %w", err)
	}
	l.marked = true
	return nil
}

// begin begins an epoch, unless it has begun: its name is later than all before,
// also if the log was put back to an earlier state.
func (w *writer) begin(l *Log, b *store.Batch) {
	if w.epoch != nil {
		return
	}
	b.Put(versionKey, encodeNumbers(versionKey, formatVersion))
	l.putState(b, func(s *state) {
		w.epoch = &epoch{number: uint64(time.Now().UnixNano()), base: w.next, previous: l.tail.offset}
		if n := len(l.epochs); n > 0 {
			w.epoch.number = max(w.epoch.number, l.epochs[n-1].number+1)
		}
		if s.open == openBehind {
			w.epoch.lossy = 1
		}
		s.open, s.reserved = open, w.next
	})
	w.upTo = w.next - 1
	w.epoch.put(b)
}

// putState changes the state, and adds it to a batch.
func (l *Log) putState(b *store.Batch, change func(*state)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
	l.state.put(b)
}

// put gives an entry the next offset.
func (w *writer) put(b *store.Batch, e entry) { w.putAt(b, e, w.next) }

// putAt gives an entry an offset that is not before the next one. Those between,
// but for what it stands for itself, were left out.
func (w *writer) putAt(b *store.Batch, e entry, offset uint64) {
	r := record{offset: offset, kind: e.kind, ordinal: w.tail.ordinal + 1, bytes: w.tail.bytes, clock: max(w.tail.clock, e.clock), body: e.body}
	r.before = r.first() - 1 - w.upTo
	r.put(b)
	r.body = nil
	w.tail, w.upTo, w.next = r, offset, offset+1
}

// advance makes known what is on disk.
func (l *Log) advance(tail record, current epoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live {
		l.live = true
		l.epochs = append(l.epochs, current)
	}
	if tail.offset > l.tail.offset {
		l.tail = tail
		l.last = max(l.last, tail.offset)
	}
	l.notifyLocked()
}

// fail reports an error of the engine. After a Commit that failed nothing is
// appended any more.
func (l *Log) fail(err error) error {
	err = fmt.Errorf("eventlog: %w", err)
	if errors.Is(err, store.ErrFailed) {
		l.finish(err)
	}
	return err
}
