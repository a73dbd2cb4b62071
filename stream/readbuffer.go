package stream

import (
	"io"
	"sync"
	"unicode/utf8"
)

// A readBuffer holds one message of a client. It grows with what arrives, not
// with what a frame's header announces.
type readBuffer struct{ b []byte }

var readBuffers = sync.Pool{New: func() any { return &readBuffer{make([]byte, 0, 1024)} }}

// keptBuffer is the size up to which a buffer is used again.
const keptBuffer = 64 << 10

func (b *readBuffer) release() {
	if cap(b.b) <= keptBuffer {
		readBuffers.Put(b)
	}
}

// readAll returns what r has, which is valid until release. If it is to be text
// it fails at the first byte that cannot be part of UTF-8, without waiting for
// the end of the message.
func (b *readBuffer) readAll(r io.Reader, text bool) ([]byte, error) {
	b.b = b.b[:0]
	for checked := 0; ; {
		if len(b.b) == cap(b.b) {
			b.b = append(b.b, 0)[:len(b.b)]
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		if text {
			valid := false
			if checked, valid = checkUTF8(b.b, checked); !valid || err == io.EOF && checked < len(b.b) {
				return nil, errNotUTF8
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return b.b, nil
		default:
			return nil, err
		}
	}
}

// checkUTF8 tells whether b may be the beginning of UTF-8, if b[:from] is UTF-8,
// and how much of b is: all but a last character that is cut.
func checkUTF8(b []byte, from int) (to int, valid bool) {
	to = len(b)
	for i := to - 1; i >= max(from, to-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				to = i
			}
			break
		}
	}
	return to, utf8.Valid(b[from:to])
}
