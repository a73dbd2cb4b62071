package stream

import (
	"sync"
	"sync/atomic"
)

// batchSize is the most that one Write carries.
const batchSize = 32 << 10

// A batch is what one Write carries: frames, the first and the last of which
// may be cut.
type batch struct {
	buf    []byte // never grows beyond batchSize
	starts []int  // where frames begin in buf
	paid   int    // bytes of buf that were in the queue
	cut    bool   // the last frame goes on in the next batch
	spill  *writer
	full   bool // a frame of the source has gone to the queue
}

var batches = sync.Pool{New: func() any { return &batch{buf: make([]byte, 0, batchSize)} }}

// release empties b for reuse.
func (b *batch) release() {
	*b = batch{buf: b.buf[:0], starts: b.starts[:0]}
	batches.Put(b)
}

func (b *batch) room() int { return batchSize - len(b.buf) }

// begin puts the header of a frame into b.
func (b *batch) begin(opcode byte, payload int) {
	b.starts = append(b.starts, len(b.buf))
	b.buf = appendHeader(b.buf, opcode, payload)
}

// control puts a control frame into b, which has room for it.
func (b *batch) control(opcode byte, payload []byte) {
	b.begin(opcode, len(payload))
	b.buf = append(b.buf, payload...)
}

// open tells whether a source should go on.
func (b *batch) open() bool { return !b.full && b.room() >= 256 }

// add puts a frame of a source into b, or, if it does not fit, into the queue
// of the writer, and then all that follow.
func (b *batch) add(f frame) {
	if !b.full && f.size() <= b.room() {
		b.begin(f.opcode, f.payload())
		b.buf = append(append(b.buf, f.head...), f.tail...)
		return
	}
	b.full = true
	b.spill.mu.Lock()
	if b.spill.refusal() == nil {
		b.spill.push(f)
	}
	b.spill.mu.Unlock()
}

// boundary returns where the frame ends that byte n is in, or n if that is
// between frames; false if the frame goes on beyond b.
func (b *batch) boundary(n int) (end int, ok bool) {
	for _, start := range b.starts {
		if start >= n {
			return start, true
		}
	}
	return len(b.buf), !b.cut
}

// writeCounts counts what a server has written.
type writeCounts struct {
	writes atomic.Uint64
	frames atomic.Uint64
	bytes  atomic.Uint64
	stalls atomic.Uint64 // peers that did not read
}

func (c *writeCounts) add(bytes, frames int) {
	c.writes.Add(1)
	c.frames.Add(uint64(frames))
	c.bytes.Add(uint64(bytes))
}
