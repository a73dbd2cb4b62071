package store

import "errors"

// A Marker is an engine that keeps a few bytes beside its own files, so that they
// tell what should be in these when these are damaged.
type Marker interface {
	// Mark returns what SetMark was last given; nil if it never was.
	// errors.ErrUnsupported: the engine has no place for it.
	Mark() ([]byte, error)

	// SetMark returns when the mark is on disk.
	SetMark(mark []byte) error
}

// Mark returns the mark of an engine, or nil if it keeps none.
func Mark(e Engine) ([]byte, error) {
	m, ok := e.(Marker)
	if !ok {
		return nil, nil
	}
	mark, err := m.Mark()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	return mark, err
}

// SetMark sets the mark of an engine, if it keeps one.
func SetMark(e Engine, mark []byte) error {
	m, ok := e.(Marker)
	if !ok {
		return nil
	}
	err := m.SetMark(mark)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
