package store

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// An Engine is an ordered map of keys to values on disk. Keys are compared byte
// by byte and are not empty; values may be. Its methods may be called from any
// goroutine. After Close they return [ErrClosed].
type Engine interface {
	// Get returns the value of a key, or ErrNotFound. The caller may keep it and
	// must not change it.
	Get(key []byte) ([]byte, error)

	// Ascend iterates over the keys from low up to but not including high, in
	// order. A nil low is before all keys, a nil high after all. The pairs may be
	// kept and must not be changed. The loop body may call any method.
	Ascend(low, high []byte) iter.Seq2[Pair, error]

	// Descend iterates over the same keys from the last to the first.
	Descend(low, high []byte) iter.Seq2[Pair, error]

	// Commit applies a batch, all of it or nothing, in its order, and returns when
	// it is on disk. If it fails, whether the batch is there is known only
	// when the engine has been opened again, and every later Commit fails with
	// ErrFailed. The batch belongs to the caller again when Commit returns. An empty
	// one is not written.
	Commit(b *Batch) error

	// Close waits for the calls that are under way and lets go of the files. Only
	// the first call does something.
	Close() error
}

// A Pair is a key with its value.
type Pair struct{ Key, Value []byte }

var (
	// ErrNotFound is returned by Get for a key that is not there.
	ErrNotFound = errors.New("store: not found")

	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store: closed")

	// ErrFailed is wrapped by the error of every Commit after one that failed, and
	// by that one's. Open the engine again.
	ErrFailed = errors.New("store: a write failed, and none is taken until the engine is opened again")

	// ErrFull is wrapped by the error of Commit while the disk has too little room
	// left to open the engine again if it were closed. Batches that only delete
	// are taken.
	ErrFull = errors.New("store: the disk is full")
)

// An InUseError says that another process, or this one, has the engine open.
type InUseError struct {
	Dir     string
	PID     int       // 0 if it is not known who it is
	Program string    // the command, without its arguments
	Since   time.Time // when it was opened
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("store: %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("store: %s is in use by %s (process %d) since %s", e.Dir, e.Program, e.PID, e.Since.Format(time.DateTime))
}
