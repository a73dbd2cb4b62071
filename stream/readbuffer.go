package stream

import (
	"io"
	"sync"
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

// readAll returns what r has, which is valid until release.
func (b *readBuffer) readAll(r io.Reader) ([]byte, error) {
	b.b = b.b[:0]
	for {
		if len(b.b) == cap(b.b) {
			b.b = append(b.b, 0)[:len(b.b)]
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		switch err {
		case nil:
		case io.EOF:
			return b.b, nil
		default:
			return nil, err
		}
	}
}
