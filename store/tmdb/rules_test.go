package tmdb

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	dbm "github.com/tendermint/tm-db"

	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

// The version that tm-db asks for loses databases in a power loss, and those
// later than this one lose empty values.
func TestGoleveldbIsPinned(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "github.com/syndtr/goleveldb", "github.com/tendermint/tm-db").Output()
	require.NoError(t, err)
	require.Equal(t, "github.com/syndtr/goleveldb v1.0.1-0.20210819022825-2ae1ddf74ef7\ngithub.com/tendermint/tm-db v0.6.7\n", string(out))
}

// A strictDB is a database of which only some methods may be called, and that can
// be made to fail or to wait.
type strictDB struct {
	dbm.DB
	open    int        // iterators
	corrupt error      // what iterators end with after a pair
	writing chan error // if not nil, what WriteSync waits for and returns
	entered chan struct{}
	synced  int
}

func (s *strictDB) Set(_, _ []byte) error     { panic("Set without a sync") }
func (s *strictDB) SetSync(_, _ []byte) error { panic("SetSync beside batches") }
func (s *strictDB) Delete([]byte) error       { panic("Delete without a sync") }
func (s *strictDB) DeleteSync([]byte) error   { panic("DeleteSync beside batches") }
func (s *strictDB) NewBatch() dbm.Batch       { return &strictBatch{s.DB.NewBatch(), s} }

type strictBatch struct {
	dbm.Batch
	db *strictDB
}

func (b *strictBatch) Write() error { panic("Write without a sync") }

func (b *strictBatch) WriteSync() error {
	if b.db.open > 0 {
		panic("an iterator is open")
	}
	b.db.synced++
	if b.db.writing != nil {
		b.db.entered <- struct{}{}
		if err := <-b.db.writing; err != nil {
			return err
		}
	}
	return b.Batch.WriteSync()
}

func (s *strictDB) Iterator(start, end []byte) (dbm.Iterator, error) {
	it, err := s.DB.Iterator(start, end)
	s.open++
	return &strictIterator{it, s, 0}, err
}

func (s *strictDB) ReverseIterator(start, end []byte) (dbm.Iterator, error) {
	it, err := s.DB.ReverseIterator(start, end)
	s.open++
	return &strictIterator{it, s, 0}, err
}

type strictIterator struct {
	dbm.Iterator
	db *strictDB
	n  int
}

func (i *strictIterator) Valid() bool {
	return i.Iterator.Valid() && (i.db.corrupt == nil || i.n == 0)
}

func (i *strictIterator) Next() {
	i.n++
	i.Iterator.Next()
}

func (i *strictIterator) Error() error {
	if i.db.corrupt != nil {
		return i.db.corrupt
	}
	return i.Iterator.Error()
}

func (i *strictIterator) Close() error {
	i.db.open--
	return i.Iterator.Close()
}

func strict(t *testing.T) (*strictDB, *Engine) {
	db := &strictDB{DB: dbm.NewMemDB()}
	e, err := Use(db, "hark/")
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return db, e
}

func batch(keys ...string) *store.Batch {
	b := new(store.Batch)
	for _, key := range keys {
		b.Put([]byte(key), []byte("value of "+key))
	}
	return b
}

func keys(t *testing.T, e store.Engine) (all []string) {
	t.Helper()
	for pair, err := range e.Ascend(nil, nil) {
		require.NoError(t, err)
		all = append(all, string(pair.Key))
	}
	return all
}

func TestAllIsWrittenWithASync(t *testing.T) {
	db, e := strict(t)
	b := batch("a", "b")
	b.Delete([]byte("b"))
	require.NoError(t, e.Commit(b))
	require.NoError(t, e.Commit(batch("c")))
	require.Equal(t, []string{"a", "c"}, keys(t, e))
	require.Equal(t, 2, db.synced)
}

func TestNoIteratorIsOpenWhileTheLoopRuns(t *testing.T) {
	db, e := strict(t)
	require.NoError(t, e.Commit(batch("a", "b", "c")))
	for range e.Ascend(nil, nil) {
		require.Zero(t, db.open)
		require.NoError(t, e.Commit(batch("d")))
		for range e.Descend(nil, nil) {
			require.Zero(t, db.open)
			break
		}
	}
	require.Zero(t, db.open)
}

func TestErrorsOfIteratorsAreReturned(t *testing.T) {
	db, e := strict(t)
	require.NoError(t, e.Commit(batch("a", "b", "c")))
	db.corrupt = errors.New("checksum mismatch")
	for name, pairs := range map[string]func(low, high []byte) (n int, last error){
		"Ascend": func(low, high []byte) (n int, last error) {
			for _, last = range e.Ascend(low, high) {
				n++
			}
			return n, last
		},
		"Descend": func(low, high []byte) (n int, last error) {
			for _, last = range e.Descend(low, high) {
				n++
			}
			return n, last
		},
	} {
		n, err := pairs(nil, nil)
		require.ErrorIs(t, err, db.corrupt, name)
		require.Equal(t, 2, n, "%s: a pair and the error", name)
		_, err = pairs([]byte("a"), []byte("b"))
		require.ErrorIs(t, err, db.corrupt, name)
	}
	_, err := e.Get([]byte("not there"))
	require.ErrorIs(t, err, db.corrupt, "whether it is there is not known")
	require.Zero(t, db.open)
}

// With a PrefixDB they would.
func TestReadersDoNotWaitForASync(t *testing.T) {
	db, e := strict(t)
	require.NoError(t, e.Commit(batch("a")))
	db.writing, db.entered = make(chan error), make(chan struct{})
	done := make(chan error)
	go func() { done <- e.Commit(batch("b")) }()
	<-db.entered
	value, err := e.Get([]byte("a"))
	require.NoError(t, err)
	require.Equal(t, "value of a", string(value))
	require.Equal(t, []string{"a"}, keys(t, e))
	db.writing <- nil
	require.NoError(t, <-done)
	require.Equal(t, []string{"a", "b"}, keys(t, e))
}

func TestNothingIsTakenAfterAFailedSync(t *testing.T) {
	db, e := strict(t)
	db.writing, db.entered = make(chan error, 1), make(chan struct{}, 1)
	db.writing <- syscall.EIO
	err := e.Commit(batch("a"))
	require.ErrorIs(t, err, store.ErrFailed)
	require.ErrorIs(t, err, syscall.EIO)
	synced := db.synced
	for range 3 {
		require.ErrorIs(t, e.Commit(batch("b")), store.ErrFailed)
	}
	require.Equal(t, synced, db.synced)
	require.Empty(t, keys(t, e))
	require.NoError(t, e.Close())
	db.writing = nil
	e, err = Use(db, "hark/")
	require.NoError(t, err)
	require.NoError(t, e.Commit(batch("b")))
	require.NoError(t, e.Close())
}

// A database that panics in a Commit leaves no more known than one that fails.
func TestNothingIsTakenAfterAPanic(t *testing.T) {
	db, e := strict(t)
	db.open = 1 // which it panics about
	require.Panics(t, func() { _ = e.Commit(batch("a")) })
	db.open = 0
	require.ErrorIs(t, e.Commit(batch("a")), store.ErrFailed)
}

// What was deleted is passed over key by key until it is compacted. Who deletes
// from one end remembers where the rest begins, and starts there.
func TestDeletedKeysCostTimeFromThePrefixAndNotFromTheHead(t *testing.T) {
	e := mustOpen(t, t.TempDir())
	const deleted = 10_000
	key := func(i int) []byte { return []byte{'k', byte(i >> 16), byte(i >> 8), byte(i)} }
	var b store.Batch
	for i := range deleted + 1 {
		b.Put(key(i), []byte("x"))
	}
	require.NoError(t, e.Commit(&b))
	b.Reset()
	for i := range deleted {
		b.Delete(key(i))
	}
	require.NoError(t, e.Commit(&b))
	first := func(low []byte) time.Duration {
		best := time.Hour
		for range 5 {
			began := time.Now()
			for pair, err := range e.Ascend(low, nil) {
				require.NoError(t, err)
				require.Equal(t, key(deleted), pair.Key)
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	prefix, head := first([]byte("k")), first(key(deleted))
	t.Logf("from the prefix %v, from the head %v", prefix, head)
	require.Greater(t, prefix, 5*head)
}

func TestPartsOfADatabaseDoNotOverlap(t *testing.T) {
	db := dbm.NewMemDB()
	e, err := Use(db, "hark/")
	require.NoError(t, err)
	var inUse *store.InUseError
	for _, prefix := range []string{"", "h", "hark/", "hark/log/"} {
		_, err := Use(db, prefix)
		require.ErrorAs(t, err, &inUse, prefix)
		require.Equal(t, os.Getpid(), inUse.PID)
	}
	other, err := Use(db, "hark0")
	require.NoError(t, err)
	require.NoError(t, e.Commit(batch("a")))
	require.NoError(t, other.Commit(batch("b")))
	require.Equal(t, []string{"a"}, keys(t, e))
	require.NoError(t, e.Close())
	require.NoError(t, other.Close())
	all, err := Use(db, "")
	require.NoError(t, err)
	require.Equal(t, []string{"hark/a", "hark0b"}, keys(t, all), "Close leaves the database open")
	require.NoError(t, all.Close())
}

// A process that ended while it made the directory leaves an empty one.
func TestUnfinishedDirectoryIsEmpty(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.db"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data.db", "MANIFEST-000000"), []byte("half a man"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ballast"), []byte("half"), 0o644))
	e := mustOpen(t, dir)
	require.Empty(t, keys(t, e))
	require.NoError(t, e.Commit(batch("a")))
}

// What may hold something is never made empty.
func TestDamagedDirectoryIsLeftAsItIs(t *testing.T) {
	dir := t.TempDir()
	e := mustOpen(t, dir)
	require.NoError(t, e.Commit(batch("a")))
	require.NoError(t, e.Close())
	data := filepath.Join(dir, "data.db")
	require.NoError(t, os.Remove(filepath.Join(data, "CURRENT")))
	_ = os.Remove(filepath.Join(data, "CURRENT.bak"))
	before, err := filepath.Glob(filepath.Join(data, "*0*"))
	require.NoError(t, err)
	for range 2 {
		_, err := small.Open(dir)
		require.ErrorContains(t, err, "corrupted")
		require.ErrorContains(t, err, dir)
	}
	now, err := filepath.Glob(filepath.Join(data, "*0*"))
	require.NoError(t, err)
	require.Equal(t, before, now)
}

func TestBallastIsThereInFull(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ballast")
	for range 3 {
		e := mustOpen(t, dir)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.EqualValues(t, small.Ballast, info.Size())
		require.NoError(t, e.Close())
		require.NoError(t, os.Truncate(path, 17))
	}
	require.NoError(t, os.Remove(path))
	e, err := Options{Ballast: -1}.Open(dir)
	require.NoError(t, err)
	require.NoFileExists(t, path)
	require.NoError(t, e.Close())
}

// A full disk takes what makes room, and all else as soon as the ballast can be
// made again.
func TestFullDiskTakesDeletesAlone(t *testing.T) {
	d := storetest.NewDisk(1)
	e, err := openOnDisk(d)
	require.NoError(t, err)
	require.NoError(t, e.Commit(batch("a", "b")))
	d.SetRoom(0)
	require.ErrorIs(t, e.Commit(batch("c")), syscall.ENOSPC)
	require.NoError(t, e.Close())
	e, err = openOnDisk(d)
	require.NoError(t, err, "the ballast makes room")
	require.Equal(t, []string{"a", "b"}, keys(t, e))
	for range 3 {
		err := e.Commit(batch("c"))
		require.ErrorIs(t, err, store.ErrFull)
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	var b store.Batch
	b.Delete([]byte("a"))
	require.NoError(t, e.Commit(&b))
	require.Equal(t, []string{"b"}, keys(t, e))
	require.False(t, slices.Contains(d.List(), "ballast"))
	d.SetRoom(1 << 20)
	require.NoError(t, e.Commit(batch("c")))
	require.True(t, slices.Contains(d.List(), "ballast"))
	require.NoError(t, e.Close())
}
