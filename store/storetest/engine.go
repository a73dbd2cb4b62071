package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"slices"
	"sort"
	"sync"
	"syscall"

	"github.com/harkbus/pubsub/store"
)

// An Engine is a store.Engine that keeps everything in memory, and in one file of
// a Disk that only grows. A batch is
//
//	4  length of what follows after the sum
//	4  CRC-32C of it
//	   per change: uvarint 0 for a removal, otherwise 1 + length of the value;
//	               uvarint length of the key; key; value
//
// It is as good as an engine should be, so that what goes wrong is the fault of
// those above or of the disk.
type Engine struct {
	disk *Disk
	file *File

	committing sync.Mutex // excludes other commits; held during a sync
	failed     error      // of the first commit that failed

	mu     sync.RWMutex
	keys   []string // sorted
	values map[string][]byte
	closed bool
}

var _ store.Engine = (*Engine)(nil)

// FileName is the name of the file that the engine of a Disk keeps everything in.
const FileName = "journal"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Open opens the engine on the disk, which is there at most once.
func (d *Disk) Open() (*Engine, error) {
	d.mu.Lock()
	taken := d.open != nil
	d.mu.Unlock()
	if taken {
		return nil, &store.InUseError{Dir: "the simulated disk"}
	}
	e := &Engine{disk: d, values: make(map[string][]byte)}
	if err := e.recover(); err != nil {
		return nil, fmt.Errorf("storetest: open: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = e
	return e, nil
}

// recover reads the file as far as it is whole, and writes it again. What was
// read may be in the cache of the system alone: of a sync that failed, or of a
// process that was killed before.
func (e *Engine) recover() error {
	data, err := e.disk.Read(FileName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	rest := data
	for {
		b, after, ok := cutBatch(rest)
		if !ok {
			break
		}
		e.apply(b)
		rest = after
	}
	err = e.rewrite(data[:len(data)-len(rest)])
	if errors.Is(err, syscall.ENOSPC) {
		err = e.keep(len(data) - len(rest))
	}
	return err
}

const newName = "journal.new"

// rewrite writes a new file in place of the old one.
func (e *Engine) rewrite(data []byte) (err error) {
	if e.file, err = e.disk.Create(newName); err != nil {
		return err
	}
	if _, err = e.file.Write(data); err != nil {
		return err
	}
	if err = e.file.Sync(); err != nil {
		return err
	}
	return e.disk.Rename(newName, FileName)
}

// keep goes on with the old file, from where it is whole, for there is no room
// for a new one.
func (e *Engine) keep(size int) (err error) {
	if err = e.disk.Remove(newName); err != nil {
		return err
	}
	if err = e.disk.Truncate(FileName, size); err != nil {
		return err
	}
	if e.file, err = e.disk.Append(FileName); err != nil {
		return err
	}
	return e.file.Sync()
}

func appendBatch(dst []byte, b *store.Batch) []byte {
	dst = append(dst, make([]byte, 8)...)
	for o := range b.All() {
		size := uint64(0)
		if !o.Delete {
			size = 1 + uint64(len(o.Value))
		}
		dst = binary.AppendUvarint(dst, size)
		dst = binary.AppendUvarint(dst, uint64(len(o.Key)))
		dst = append(append(dst, o.Key...), o.Value...)
	}
	binary.BigEndian.PutUint32(dst, uint32(len(dst)-8))
	binary.BigEndian.PutUint32(dst[4:], crc32.Checksum(dst[8:], castagnoli))
	return dst
}

func cutBatch(src []byte) (b *store.Batch, rest []byte, ok bool) {
	if len(src) < 8 {
		return nil, nil, false
	}
	size, sum := binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:])
	if size == 0 || uint64(size) > uint64(len(src)-8) || crc32.Checksum(src[8:8+size], castagnoli) != sum {
		return nil, nil, false
	}
	b = new(store.Batch)
	for in := bytes.NewReader(src[8 : 8+size]); in.Len() > 0; {
		size, _ := binary.ReadUvarint(in)
		length, _ := binary.ReadUvarint(in)
		key := make([]byte, length)
		_, _ = in.Read(key)
		if size == 0 {
			b.Delete(key)
			continue
		}
		value := make([]byte, size-1)
		_, _ = in.Read(value)
		b.Put(key, value)
	}
	return b, src[8+size:], true
}

// apply makes the changes of a batch. The caller holds e.mu, or is alone.
func (e *Engine) apply(b *store.Batch) {
	for o := range b.All() {
		key := string(o.Key)
		i, there := slices.BinarySearch(e.keys, key)
		switch {
		case o.Delete && there:
			e.keys = slices.Delete(e.keys, i, i+1)
			delete(e.values, key)
		case !o.Delete:
			if !there {
				e.keys = slices.Insert(e.keys, i, key)
			}
			e.values[key] = append([]byte{}, o.Value...)
		}
	}
}

// Commit implements store.Engine.
func (e *Engine) Commit(b *store.Batch) error {
	e.committing.Lock()
	defer e.committing.Unlock()
	if err := e.check(); err != nil {
		return err
	}
	if e.failed != nil {
		return e.failed
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := e.file.Write(appendBatch(nil, b))
	if err == nil {
		err = e.file.Sync()
	}
	if err != nil {
		e.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
		return e.failed
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.apply(b)
	return nil
}

func (e *Engine) check() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return store.ErrClosed
	}
	return nil
}

// Get implements store.Engine.
func (e *Engine) Get(key []byte) ([]byte, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, store.ErrClosed
	}
	value, ok := e.values[string(key)]
	if !ok {
		return nil, store.ErrNotFound
	}
	return value, nil
}

// Ascend implements store.Engine.
func (e *Engine) Ascend(low, high []byte) iter.Seq2[store.Pair, error] {
	return func(yield func(store.Pair, error) bool) {
		for {
			pair, err := e.end(low, high, false)
			if err != nil {
				yield(store.Pair{}, err)
				return
			}
			if pair.Key == nil || !yield(pair, nil) {
				return
			}
			low = append(slices.Clip(pair.Key), 0)
		}
	}
}

// Descend implements store.Engine.
func (e *Engine) Descend(low, high []byte) iter.Seq2[store.Pair, error] {
	return func(yield func(store.Pair, error) bool) {
		for {
			pair, err := e.end(low, high, true)
			if err != nil {
				yield(store.Pair{}, err)
				return
			}
			if pair.Key == nil || !yield(pair, nil) {
				return
			}
			high = pair.Key
		}
	}
}

// end returns the first or the last pair of a range; its Key is nil if there is
// none.
func (e *Engine) end(low, high []byte, last bool) (store.Pair, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return store.Pair{}, store.ErrClosed
	}
	i, j := sort.SearchStrings(e.keys, string(low)), len(e.keys)
	if high != nil {
		j = sort.SearchStrings(e.keys, string(high))
	}
	if i >= j {
		return store.Pair{}, nil
	}
	if last {
		i = j - 1
	}
	return store.Pair{Key: []byte(e.keys[i]), Value: e.values[e.keys[i]]}, nil
}

// Close implements store.Engine.
func (e *Engine) Close() error {
	e.committing.Lock()
	defer e.committing.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	if e.disk.open == e {
		e.disk.open = nil
	}
	return nil
}

// The files of the mark.
const (
	markName    = "mark"
	newMarkName = "mark.new"
)

var _ store.Marker = (*Engine)(nil)

// Mark implements store.Marker.
func (e *Engine) Mark() ([]byte, error) {
	mark, err := e.disk.Read(markName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return mark, err
}

// SetMark implements store.Marker.
func (e *Engine) SetMark(mark []byte) error {
	f, err := e.disk.Create(newMarkName)
	if err != nil {
		return err
	}
	if _, err := f.Write(mark); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return e.disk.Rename(newMarkName, markName)
}
