package redisbridge

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
	// ID stands in each frame. 1 to 127 are Hark's own, 128 to 255 free.
	ID() uint8

	// Append appends e to dst. It keeps nothing of e.
	Append(dst []byte, e *Event) ([]byte, error)

	// Decode fills e from src, which holds what Append appended and may be
	// anything else. It must not panic, and must not take more memory than a
	// small multiple of len(src). e.Data may be a part of src; nobody writes
	// to src any more.
	Decode(src []byte, e *Event) error
}

// Hark's codecs. A bridge decodes all three, whichever it sends.
var (
	Binary   Codec = binaryCodec{}   // compact; the default
	Protobuf Codec = protobufCodec{} // for programs in other languages
	JSON     Codec = jsonCodec{}     // for people
)

const firstFreeCodec = 128

func isHarks(id uint8) bool { return id < firstFreeCodec }

func isOneOfHarks(c Codec) bool { return c == Binary || c == Protobuf || c == JSON }

// codecs finds a codec by the ID in a frame.
type codecs [4]Codec

func codecsWith(own Codec) codecs {
	c := codecs{Binary, Protobuf, JSON}
	if !isHarks(own.ID()) {
		c[3] = own
	}
	return c
}

func (c *codecs) find(id uint8) (Codec, error) {
	for _, codec := range c {
		if codec != nil && codec.ID() == id {
			return codec, nil
		}
	}
	return nil, fmt.Errorf("redisbridge: unknown codec %d", id)
}

var errShort = errors.New("redisbridge: the event ends too early")

// safely calls a codec or a decoder that somebody else wrote.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("redisbridge: panic: %v", r)
		}
	}()
	return f()
}

// decode guards against codecs of others; Hark's own are fuzzed.
func decode(codec Codec, raw []byte, e *Event) error {
	if isHarks(codec.ID()) {
		return codec.Decode(raw, e)
	}
	return safely(func() error { return codec.Decode(raw, e) })
}
