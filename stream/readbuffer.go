package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"unicode/utf8"
)

// A readBuffer holds one message of a client, or one body. It grows with what
// arrives, not with what a header announces, and what it grows beyond freeInput
// is held of the quota of input until it is released.
type readBuffer struct {
	b     []byte
	visit *visit
	hold  *hold // nil: nothing
	extra int   // bytes that reading takes besides b
}

var readBuffers = sync.Pool{New: func() any { return &readBuffer{b: make([]byte, 0, 1024)} }}

// freeInput is the size up to which a message is let in whatever others send,
// and a buffer used again.
const freeInput = 4 << 10

// newReadBuffer returns a buffer for what the visitor sends.
func (v *visit) newReadBuffer() *readBuffer {
	b := readBuffers.Get().(*readBuffer)
	b.b, b.visit = b.b[:0], v
	return b
}

// release is called once, when what was read is not needed any more.
func (b *readBuffer) release() {
	if b.hold != nil {
		b.hold.release()
	}
	b.visit, b.hold, b.extra = nil, nil, 0
	if cap(b.b) <= freeInput {
		readBuffers.Put(b)
	}
}

// readAll returns what r has, which is valid until release. If it is to be text
// it fails at the first byte that cannot be part of UTF-8, without waiting for
// the end of the message.
func (b *readBuffer) readAll(r io.Reader, text bool) ([]byte, error) {
	if b.extra > 0 {
		if err := b.charge(cap(b.b)); err != nil {
			return nil, err
		}
	}
	for checked := 0; ; {
		if err := b.grow(); err != nil {
			return nil, err
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

// readLine returns the next line, without its end, of at most limit bytes; it
// is valid until the next call. At the end the error is io.EOF.
func (b *readBuffer) readLine(r *bufio.Reader, limit int) ([]byte, error) {
	for b.b = b.b[:0]; ; {
		piece, err := r.ReadSlice('\n')
		if len(b.b)+len(bytes.TrimSuffix(piece, []byte{'\n'})) > limit {
			return nil, fmt.Errorf("a line is too long: %w", &http.MaxBytesError{Limit: int64(limit)})
		}
		for len(piece) > 0 {
			if err := b.grow(); err != nil {
				return nil, err
			}
			n := copy(b.b[len(b.b):cap(b.b)], piece)
			b.b, piece = b.b[:len(b.b)+n], piece[n:]
		}
		switch {
		case err == nil || errors.Is(err, io.EOF) && len(b.b) > 0:
			return b.b, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// grow sees to it that there is room in the buffer, if the quota allows it.
func (b *readBuffer) grow() error {
	if len(b.b) < cap(b.b) {
		return nil
	}
	size := 2 * cap(b.b)
	if size > 256<<10 {
		size = cap(b.b) + cap(b.b)/4
	}
	if err := b.charge(size); err != nil {
		return err
	}
	b.b = append(make([]byte, 0, size), b.b...)
	return nil
}

// charge holds a size of the quota.
func (b *readBuffer) charge(size int) error {
	if size += b.extra; size <= freeInput || b.visit == nil {
		return nil
	}
	if b.hold == nil {
		b.hold = &hold{quota: b.visit.server.quotas.input, ip: networkOf(b.visit.ip), identity: b.visit.identity().Name}
	}
	if refused := b.hold.more(int64(size) - b.hold.n); refused != nil {
		return refused
	}
	return nil
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
