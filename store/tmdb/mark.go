package tmdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/harkbus/pubsub/store"
)

var _ store.Marker = (*Engine)(nil)

// Mark implements store.Marker. A part of a node's database has none.
func (e *Engine) Mark() ([]byte, error) {
	if e.dir == "" {
		return nil, errors.ErrUnsupported
	}
	mark, err := os.ReadFile(filepath.Join(e.dir, "mark"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store/tmdb: %w", err)
	}
	return mark, nil
}

// SetMark implements store.Marker.
func (e *Engine) SetMark(mark []byte) error {
	if e.dir == "" {
		return errors.ErrUnsupported
	}
	path := filepath.Join(e.dir, "mark")
	err := writeSynced(path+".new", mark)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("store/tmdb: %w", err)
	}
	return syncFolders(e.dir)
}

func writeSynced(path string, data []byte) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
