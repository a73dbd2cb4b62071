package codec

import (
	"errors"
	"fmt"
	"time"
)

// An Event is one publication as it travels.
type Event struct {
	Time   time.Time           // when it was accepted, to the nanosecond
	Events map[string][]string // its events
	Type   string              // what Data is; see Registry
	Data   []byte
}

// A Codec turns events into bytes and back. Its methods may be called from
// several goroutines at once.
type Codec interface {
	// ID names the codec on the wire. 1 to 127 are Hark's own, 128 to 255 free.
	ID() uint8

	// Append appends e to dst. It keeps nothing of e.
	Append(dst []byte, e *Event) ([]byte, error)

	// Decode fills e from src, which holds what Append appended and may be
	// anything else. It must not panic. The memory it takes must be in proportion
	// to len(src): Hark's own take at most 64 times as much and 4 KiB, for events of
	// nothing but empty values or tiny keys, and a few times as much for others.
	// e.Data may be a part of src; nobody writes to src any more.
	Decode(src []byte, e *Event) error
}

// Hark's codecs. All three are decoded everywhere, whichever is used to encode.
var (
	Binary   Codec = binaryCodec{}   // compact; the default
	Protobuf Codec = protobufCodec{} // for programs in other languages
	JSON     Codec = jsonCodec{}     // for people
)

const firstFree = 128

func isOurs(id uint8) bool { return id < firstFree }

// Check returns an error for a codec of a user whose ID is taken.
func Check(c Codec) error {
	id := c.ID()
	switch {
	case id == 0:
		return errors.New("has the ID 0: use 128 to 255")
	case isOurs(id) && c != Binary && c != Protobuf && c != JSON:
		return fmt.Errorf("has the ID %d: below 128 are Hark's own", id)
	}
	return nil
}

// A Set finds a codec by its ID.
type Set [4]Codec

// SetWith returns Hark's codecs and one more, which may be one of them.
func SetWith(c Codec) Set {
	s := Set{Binary, Protobuf, JSON}
	if !isOurs(c.ID()) {
		s[3] = c
	}
	return s
}

// Find returns the codec with an ID, or an error that names the ID.
func (s *Set) Find(id uint8) (Codec, error) {
	for _, c := range s {
		if c != nil && c.ID() == id {
			return c, nil
		}
	}
	return nil, fmt.Errorf("codec: unknown codec %d", id)
}

var errShort = errors.New("codec: the event ends too early")

// safely calls what somebody else wrote.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("codec: panic: %v", r)
		}
	}()
	return f()
}

// Append is c.Append that turns a panic of a user's codec into an error. On an
// error it returns dst.
func Append(c Codec, dst []byte, e *Event) (out []byte, err error) {
	if isOurs(c.ID()) { // these are fuzzed
		out, err = c.Append(dst, e)
	} else {
		err = safely(func() error { out, err = c.Append(dst, e); return err })
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Decode is c.Decode that turns a panic of a user's codec into an error.
func Decode(c Codec, src []byte, e *Event) error {
	if isOurs(c.ID()) {
		return c.Decode(src, e)
	}
	return safely(func() error { return c.Decode(src, e) })
}
