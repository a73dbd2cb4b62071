package tmdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/syndtr/goleveldb/leveldb/storage"
	dbm "github.com/tendermint/tm-db"
)

// DefaultBallast is the size of the ballast, unless Options say something else. It
// has room for what goleveldb writes when it is opened: two journals as tables,
// of 4 MiB each, and a manifest.
const DefaultBallast = 16 << 20

// Options are how to open a directory. The zero Options are the default.
type Options struct {
	Ballast int // bytes; 0: DefaultBallast; negative: none
}

// Open opens a directory with the default options.
func Open(dir string) (*Engine, error) { return Options{}.Open(dir) }

// Open opens a directory, and makes it if there is none. It fails with a
// *store.InUseError while somebody else has it open.
func (o Options) Open(dir string) (*Engine, error) {
	owner, err := own(dir)
	if err != nil {
		return nil, err
	}
	size := o.Ballast
	if size == 0 {
		size = DefaultBallast
	}
	b := &ballast{file: &ballastFile{filepath.Join(dir, "ballast"), size}}
	if size < 0 {
		b = nil
	}
	e, err := open(b, &folder{dir})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store/tmdb: open %s: %w", dir, err), owner.leave())
	}
	e.dir, e.release = dir, func() error { return errors.Join(e.db.Close(), owner.leave()) }
	if err := syncFolders(dir, filepath.Dir(dir)); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// syncFolders makes safe the names in folders: goleveldb does so in its own, which
// may be as new as those above it.
func syncFolders(folders ...string) error {
	if runtime.GOOS == "windows" { // cannot
		return nil
	}
	for _, folder := range folders {
		f, err := os.Open(folder)
		if err != nil {
			return fmt.Errorf("store/tmdb: %w", err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("store/tmdb: sync: %w", err)
		}
	}
	return nil
}

// A place is where a goleveldb is kept.
type place interface {
	open() (dbm.DB, error)
	files() (storage.Storage, error)
}

type folder struct{ dir string }

func (f *folder) open() (dbm.DB, error) { return dbm.NewGoLevelDB("data", f.dir) }

func (f *folder) files() (storage.Storage, error) {
	return storage.OpenFile(filepath.Join(f.dir, "data.db"), false)
}

// open opens a database that has a ballast, which gives way if there is no room.
func open(b *ballast, p place) (*Engine, error) {
	if err := b.keep(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return nil, err
	}
	if err := clearUnfinished(p); err != nil {
		return nil, err
	}
	db, err := p.open()
	if errors.Is(err, syscall.ENOSPC) && b != nil {
		if err := b.drop(); err != nil {
			return nil, err
		}
		db, err = p.open()
	}
	if err != nil {
		return nil, err
	}
	return &Engine{db: db, ballast: b, release: db.Close}, nil
}

// clearUnfinished makes a database empty that was not finished when it was made:
// it has a manifest, and nothing that names it. goleveldb takes that for damage.
// There are no journals and no tables before there is such a name.
func clearUnfinished(p place) (err error) {
	files, err := p.files()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	if _, err := files.GetMeta(); !errors.Is(err, os.ErrNotExist) {
		return nil // goleveldb knows what to say
	}
	fds, err := files.List(storage.TypeAll)
	if err != nil || slices.ContainsFunc(fds, func(fd storage.FileDesc) bool { return fd.Type != storage.TypeManifest }) {
		return err
	}
	for _, fd := range fds {
		if err := files.Remove(fd); err != nil {
			return err
		}
	}
	return nil
}

// A ballast is a file that is there to be removed when there is no room to open
// the database. The caller of its methods excludes others.
type ballast struct {
	file interface {
		exists() bool
		create() error // all of it, and safe
		remove() error // also what there is of it
	}
	there bool // as far as it is known
}

// keep makes the ballast unless it is there.
func (b *ballast) keep() error {
	if b == nil || b.there {
		return nil
	}
	if !b.file.exists() {
		if err := b.file.create(); err != nil {
			return errors.Join(err, b.file.remove())
		}
	}
	b.there = true
	return nil
}

func (b *ballast) drop() error {
	b.there = false
	if !b.file.exists() {
		return nil
	}
	return b.file.remove()
}

type ballastFile struct {
	path string
	size int
}

// exists tells whether the file is there in full: of one that was being made when
// the process ended there is less.
func (f *ballastFile) exists() bool {
	info, err := os.Stat(f.path)
	return err == nil && info.Size() == int64(f.size)
}

func (f *ballastFile) remove() error {
	err := os.Remove(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (f *ballastFile) create() error { return writeSynced(f.path, incompressible(f.size)) }

// incompressible returns bytes that take their room on file systems that compress,
// too.
func incompressible(size int) []byte {
	b := make([]byte, size)
	x := uint64(1)
	for i := range b { // xorshift
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
