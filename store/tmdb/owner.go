package tmdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/harkbus/pubsub/store"
)

// An owner has a directory, and says who it is for others who want it. The lock is
// that of goleveldb in a folder of its own, so that it is taken before the
// database is opened, which may take a while.
type owner struct {
	lock    storage.Storage
	process string // path of the file that says who it is
}

// A process is who has a directory.
type process struct {
	PID     int       `json:"pid"`
	Program string    `json:"program"`
	Since   time.Time `json:"since"`
}

// own takes a directory.
func own(dir string) (*owner, error) {
	folder := filepath.Join(dir, "owner")
	file := filepath.Join(folder, "process")
	lock, err := storage.OpenFile(folder, false)
	if isLocked(err) {
		return nil, inUse(dir, file)
	}
	if err != nil {
		return nil, fmt.Errorf("store/tmdb: open %s: %w", dir, err)
	}
	_ = os.Remove(file) // of one that crashed
	o := &owner{lock, file}
	o.sign()
	return o, nil
}

// sign says who has the directory. That is a courtesy, and a disk may be full.
func (o *owner) sign() {
	text, err := json.Marshal(process{os.Getpid(), filepath.Base(os.Args[0]), time.Now().Round(time.Second)})
	if err == nil && os.WriteFile(o.process+".new", text, 0o644) == nil {
		_ = os.Rename(o.process+".new", o.process)
	}
}

// leave gives the directory back.
func (o *owner) leave() error {
	err := os.Remove(o.process)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, o.lock.Close())
}

func inUse(dir, file string) error {
	var p process
	if text, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(text, &p) // whoever it is
	}
	return &store.InUseError{Dir: dir, PID: p.PID, Program: p.Program, Since: p.Since}
}

// isLocked tells whether goleveldb could not take its lock because somebody has it.
func isLocked(err error) bool {
	const sharingViolation = syscall.Errno(32) // of Windows
	return errors.Is(err, syscall.EAGAIN) || runtime.GOOS == "windows" && errors.Is(err, sharingViolation)
}
