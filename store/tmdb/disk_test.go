package tmdb

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"
	dbm "github.com/tendermint/tm-db"

	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

// openOnDisk opens an engine with all files on a simulated disk: goleveldb below
// it is the real one, with buffers so small that a few commits rotate journals
// and compact tables.
func openOnDisk(d *storetest.Disk) (store.Engine, error) {
	e, err := open(&ballast{file: ballastOnDisk{d}}, onDisk{d})
	if err != nil {
		return nil, err
	}
	return e, nil
}

type onDisk struct{ disk *storetest.Disk }

func (o onDisk) files() (storage.Storage, error) { return &diskStorage{o.disk}, nil }

func (o onDisk) open() (dbm.DB, error) {
	files := &diskStorage{o.disk}
	db, err := leveldb.Open(files, &opt.Options{WriteBuffer: 4 << 10, CompactionTableSize: 2 << 10, CompactionTotalSize: 8 << 10, Compression: opt.NoCompression})
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	return &levelDB{db: db}, nil
}

// ballastOnDisk has room for what goleveldb writes here when it is opened.
type ballastOnDisk struct{ disk *storetest.Disk }

const ballastBytes = 24 << 10

func (b ballastOnDisk) exists() bool {
	data, err := b.disk.Read("ballast")
	return err == nil && len(data) == ballastBytes
}

func (b ballastOnDisk) create() error {
	f, err := b.disk.Create("ballast")
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, ballastBytes)); err != nil {
		return err
	}
	return f.Sync()
}

func (b ballastOnDisk) remove() error {
	err := b.disk.Remove("ballast")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// diskStorage lets goleveldb keep its files on a simulated disk.
type diskStorage struct{ disk *storetest.Disk }

var _ storage.Storage = (*diskStorage)(nil)

type unlocker struct{}

func (unlocker) Unlock() {}

func (s *diskStorage) Lock() (storage.Locker, error) { return unlocker{}, nil }
func (s *diskStorage) Log(string)                    {}
func (s *diskStorage) Close() error                  { return nil }

func (s *diskStorage) SetMeta(fd storage.FileDesc) error {
	f, err := s.disk.Create("CURRENT.new")
	if err != nil {
		return err
	}
	if _, err := f.Write([]byte(fd.String())); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return s.disk.Rename("CURRENT.new", "CURRENT")
}

func (s *diskStorage) GetMeta() (storage.FileDesc, error) {
	text, err := s.disk.Read("CURRENT")
	if err != nil {
		return storage.FileDesc{}, err
	}
	fd, ok := parseName(string(text))
	if !ok {
		return fd, &storage.ErrCorrupted{Err: errors.New("CURRENT")}
	}
	if _, err := s.disk.Read(fd.String()); err != nil {
		return fd, err
	}
	return fd, nil
}

var fileTypes = map[string]storage.FileType{"log": storage.TypeJournal, "ldb": storage.TypeTable, "tmp": storage.TypeTemp}

func parseName(name string) (fd storage.FileDesc, ok bool) {
	number, found := strings.CutPrefix(name, "MANIFEST-")
	fd.Type = storage.TypeManifest
	if !found {
		var ending string
		if number, ending, found = strings.Cut(name, "."); !found {
			return fd, false
		}
		fd.Type = fileTypes[ending]
	}
	n, err := strconv.ParseInt(number, 10, 64)
	fd.Num = n
	return fd, err == nil && fd.Type != 0
}

func (s *diskStorage) List(kind storage.FileType) (fds []storage.FileDesc, err error) {
	for _, name := range s.disk.List() {
		if fd, ok := parseName(name); ok && fd.Type&kind != 0 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

type diskReader struct{ *bytes.Reader }

func (diskReader) Close() error { return nil }

func (s *diskStorage) Open(fd storage.FileDesc) (storage.Reader, error) {
	data, err := s.disk.Read(fd.String())
	if err != nil {
		return nil, err
	}
	return diskReader{bytes.NewReader(data)}, nil
}

type diskWriter struct{ *storetest.File }

func (diskWriter) Close() error { return nil }

func (s *diskStorage) Create(fd storage.FileDesc) (storage.Writer, error) {
	f, err := s.disk.Create(fd.String())
	if err != nil {
		return nil, err
	}
	return diskWriter{f}, nil
}

func (s *diskStorage) Remove(fd storage.FileDesc) error { return s.disk.Remove(fd.String()) }

func (s *diskStorage) Rename(from, to storage.FileDesc) error {
	return s.disk.Rename(from.String(), to.String())
}

// A levelDB is goleveldb as tm-db has it, on files that are not on disk, which
// tm-db's own constructors do not take.
type levelDB struct {
	dbm.DB // nil: of the methods only those below are called
	db     *leveldb.DB
}

func (l *levelDB) Close() error { return l.db.Close() }

func (l *levelDB) Get(key []byte) ([]byte, error) {
	value, err := l.db.Get(key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	return value, err
}

func (l *levelDB) NewBatch() dbm.Batch { return &levelBatch{db: l.db} }

type levelBatch struct {
	dbm.Batch
	db    *leveldb.DB
	batch leveldb.Batch
}

func (b *levelBatch) Set(key, value []byte) error { b.batch.Put(key, value); return nil }
func (b *levelBatch) Delete(key []byte) error     { b.batch.Delete(key); return nil }
func (b *levelBatch) Close() error                { return nil }
func (b *levelBatch) WriteSync() error            { return b.db.Write(&b.batch, &opt.WriteOptions{Sync: true}) }

func (l *levelDB) Iterator(start, end []byte) (dbm.Iterator, error) {
	it := l.db.NewIterator(&util.Range{Start: start, Limit: end}, nil)
	return &levelIterator{it: it, valid: it.First(), next: it.Next}, nil
}

func (l *levelDB) ReverseIterator(start, end []byte) (dbm.Iterator, error) {
	it := l.db.NewIterator(&util.Range{Start: start, Limit: end}, nil)
	return &levelIterator{it: it, valid: it.Last(), next: it.Prev}, nil
}

type levelIterator struct {
	dbm.Iterator
	it interface {
		Key() []byte
		Value() []byte
		Error() error
		Release()
	}
	valid bool
	next  func() bool
}

func (i *levelIterator) Valid() bool   { return i.valid }
func (i *levelIterator) Next()         { i.valid = i.next() }
func (i *levelIterator) Key() []byte   { return bytes.Clone(i.it.Key()) }
func (i *levelIterator) Value() []byte { return append([]byte{}, i.it.Value()...) }
func (i *levelIterator) Error() error  { return i.it.Error() }
func (i *levelIterator) Close() error  { i.it.Release(); return nil }
