package stream

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

// opBare marks what goes out as it is, without the header of a frame.
const opBare = 0xff

const (
	finalBit       = 0x80
	maskBit        = 0x80
	maxHeader      = 10  // of a frame from server to client, which has no mask
	maxControlSize = 125 // of a control frame's payload
)

// A frame is a WebSocket message in one frame, or, with opBare, a piece of a
// response. Its payload is in two pieces so
// that the frames of many subscriptions share the second, which nobody may
// modify.
type frame struct {
	opcode     byte
	head, tail []byte
	sequence   uint64 // of the message that tail is the payload of; 0: tail is none's
}

// payload returns the number of bytes of the payload.
func (f *frame) payload() int { return len(f.head) + len(f.tail) }

// size returns the number of bytes on the wire.
func (f *frame) size() int {
	if f.opcode == opBare {
		return f.payload()
	}
	return headerSize(f.payload()) + f.payload()
}

func headerSize(payload int) int {
	switch {
	case payload <= maxControlSize:
		return 2
	case payload <= 0xffff:
		return 4
	default:
		return maxHeader
	}
}

// appendHeader appends the header of a frame that is whole and not masked.
func appendHeader(dst []byte, opcode byte, payload int) []byte {
	if opcode == opBare {
		return dst
	}
	dst = append(dst, finalBit|opcode)
	switch {
	case payload <= maxControlSize:
		return append(dst, byte(payload))
	case payload <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(payload))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(payload))
	}
}

// closePayload is the payload of a close frame; the reason is cut to what fits.
func closePayload(code int, reason string) []byte {
	if len(reason) > maxControlSize-2 {
		reason = truncateUTF8(reason, maxControlSize-2)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// truncateUTF8 returns the longest prefix of s of at most n bytes that does not
// end inside a character.
func truncateUTF8(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

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

// take puts a frame into b if all of it fits.
func (b *batch) take(f *frame) bool {
	if f.size() > b.room() {
		return false
	}
	b.begin(f.opcode, f.payload())
	b.buf = append(append(b.buf, f.head...), f.tail...)
	return true
}

// add puts a frame of a source into b, or, if it does not fit, into the queue
// of the writer, and then all that follow.
func (b *batch) add(f frame) {
	if !b.full && b.take(&f) {
		if f.sequence > 0 {
			b.spill.passed.Store(f.sequence)
		}
		return
	}
	b.full = true
	b.spill.mu.Lock()
	if b.spill.refusal() == nil {
		b.spill.hold(&f)
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
