package tmdb

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	dbm "github.com/tendermint/tm-db"

	"github.com/harkbus/pubsub/store"
)

// An Engine is a store.Engine on a database of tm-db. Its methods may be called
// from any goroutine.
type Engine struct {
	db      dbm.DB
	dir     string   // "" with a database that somebody else opened
	prefix  []byte   // of all its keys
	copies  bool     // the database keeps what it is given
	ballast *ballast // nil: none
	release func() error

	committing sync.Mutex // excludes other commits, also during a sync
	failed     error      // of the first commit that failed

	using  sync.RWMutex // excl: close; shared: read. A commit does not hold it.
	closed bool         // written with committing held too
}

var _ store.Engine = (*Engine)(nil)

// key returns a key as it is in the database.
func (e *Engine) key(key []byte) []byte {
	if len(e.prefix) == 0 {
		return key
	}
	return append(slices.Clip(e.prefix), key...)
}

// Get implements store.Engine.
func (e *Engine) Get(key []byte) ([]byte, error) {
	e.using.RLock()
	defer e.using.RUnlock()
	if e.closed {
		return nil, store.ErrClosed
	}
	value, err := e.db.Get(e.key(key))
	if err != nil {
		return nil, fmt.Errorf("store/tmdb: get: %w", err)
	}
	if value == nil {
		return e.getEmpty(key)
	}
	return value, nil
}

// getEmpty finds out whether there is a key for which the database returned nil. A
// goleveldb later than ours does so for empty values, and an iterator does not.
func (e *Engine) getEmpty(key []byte) ([]byte, error) {
	pairs, _, err := e.readLocked(key, after(key), 1, false)
	switch {
	case err != nil:
		return nil, err
	case len(pairs) == 0:
		return nil, store.ErrNotFound
	}
	return pairs[0].Value, nil
}

// after returns the least key after another one.
func after(key []byte) []byte { return append(slices.Clip(key), 0) }

// How much is read at once: little at first, because most loops end soon.
const (
	firstChunk = 8
	maxChunk   = 512
	chunkBytes = 128 << 10
)

// Ascend implements store.Engine.
func (e *Engine) Ascend(low, high []byte) iter.Seq2[store.Pair, error] {
	return e.chunks(func(last []byte, size int) ([]store.Pair, bool, error) {
		if last != nil {
			low = after(last)
		}
		return e.read(low, high, size, false)
	})
}

// Descend implements store.Engine.
func (e *Engine) Descend(low, high []byte) iter.Seq2[store.Pair, error] {
	return e.chunks(func(last []byte, size int) ([]store.Pair, bool, error) {
		if last != nil {
			high = last
		}
		return e.read(low, high, size, true)
	})
}

// chunks yields the pairs that read returns from the key after the last on. No
// iterator is open while the loop body runs.
func (e *Engine) chunks(read func(last []byte, size int) (pairs []store.Pair, more bool, err error)) iter.Seq2[store.Pair, error] {
	return func(yield func(store.Pair, error) bool) {
		var last []byte
		for size := firstChunk; ; size = min(2*size, maxChunk) {
			pairs, more, err := read(last, size)
			for _, pair := range pairs {
				if !yield(pair, nil) {
					return
				}
				last = pair.Key
			}
			if err != nil {
				yield(store.Pair{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

func (e *Engine) read(low, high []byte, size int, backward bool) (pairs []store.Pair, more bool, err error) {
	e.using.RLock()
	defer e.using.RUnlock()
	if e.closed {
		return nil, false, store.ErrClosed
	}
	return e.readLocked(low, high, size, backward)
}

// readLocked returns the first pairs of a range, or the last, and whether there may
// be more. The caller holds e.using.
func (e *Engine) readLocked(low, high []byte, size int, backward bool) (pairs []store.Pair, more bool, err error) {
	start, end := e.limits(low, high)
	if start != nil && end != nil && bytes.Compare(start, end) >= 0 || high != nil && len(high) == 0 {
		return nil, false, nil // tm-db leaves open what this is
	}
	open := e.db.Iterator
	if backward {
		open = e.db.ReverseIterator
	}
	it, err := open(start, end)
	if err != nil {
		return nil, false, fmt.Errorf("store/tmdb: iterate: %w", err)
	}
	room := chunkBytes
	for ; it.Valid(); it.Next() {
		if more = len(pairs) == size || room <= 0; more {
			break
		}
		pair := store.Pair{Key: it.Key()[len(e.prefix):], Value: it.Value()}
		if pair.Value == nil {
			pair.Value = []byte{}
		}
		room -= len(pair.Key) + len(pair.Value)
		pairs = append(pairs, pair)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return pairs, false, fmt.Errorf("store/tmdb: iterate: %w", err)
	}
	return pairs, more, nil
}

// limits returns a range of keys as it is in the database, where no limit is empty.
func (e *Engine) limits(low, high []byte) (start, end []byte) {
	if start = e.key(low); len(start) == 0 {
		start = nil
	}
	if high != nil {
		return start, e.key(high)
	}
	return start, afterPrefix(e.prefix)
}

// afterPrefix returns the least key after all that have a prefix; nil: there is
// none.
func afterPrefix(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] < 0xff {
			end := slices.Clone(prefix[:n])
			end[n-1]++
			return end
		}
	}
	return nil
}

// Commit implements store.Engine.
func (e *Engine) Commit(b *store.Batch) error {
	e.committing.Lock()
	defer e.committing.Unlock()
	switch {
	case e.closed:
		return store.ErrClosed
	case e.failed != nil:
		return e.failed
	case b.Len() == 0:
		return nil
	}
	if !b.OnlyDeletes() {
		if err := e.ballast.keep(); err != nil {
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		}
	}
	e.failed = store.ErrFailed // should the database panic
	if err := e.write(b); err != nil {
		e.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
		return e.failed
	}
	e.failed = nil
	return nil
}

// write writes a batch, with a sync as all of them.
func (e *Engine) write(b *store.Batch) (err error) {
	batch := e.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	for o := range b.All() {
		key, value := e.key(o.Key), o.Value
		if e.copies {
			key, value = slices.Clone(key), append([]byte{}, value...)
		}
		if o.Delete {
			err = batch.Delete(key)
		} else {
			err = batch.Set(key, value)
		}
		if err != nil {
			return err
		}
	}
	return batch.WriteSync()
}

// Close implements store.Engine.
func (e *Engine) Close() error {
	e.committing.Lock()
	defer e.committing.Unlock()
	e.using.Lock()
	defer e.using.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	return e.release()
}
