package stream

import (
	"sync"
	"sync/atomic"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/wire"
)

// A form is a way to encode a publication.
type form uint8

const (
	plain   form = iota // {"type", "value"} as the encoder says
	carrier             // the same as a string in the carrier
	event               // plain as the end of a Server-Sent Event
	forms
)

// A publication is a message of the bus with its encodings, each made when it
// is first asked for, and once.
type publication struct {
	message pubsub.Message
	forms   [forms]encoding
	payload packing // of a message on a topic

	// Guarded by the mu of encodings.
	bytes int64
	gone  bool // not in a slot any more
}

type encoding struct {
	once   sync.Once
	cursor []byte // "cursor":"…","data":…,"events":…}}; nil in event
	result []byte // the same without the cursor

	packedCursor, packedResult packing // of these
}

// A packing is something compressed for a WebSocket, when that is first asked
// for.
type packing struct {
	once sync.Once
	b    []byte // nil: it gains nothing
}

// encodings finds the publications that are being sent. It keeps the last
// ones, as many as there are slots and as take less than limit bytes:
//
//	slot = sequence modulo the number of slots
//
// A subscriber that is further behind than that has what it reads encoded
// anew.
type encodings struct {
	encoder Encoder
	cursor  func(sequence uint64) history.Cursor
	failed  func(m pubsub.Message, err error)
	limit   int64 // bytes
	packs   *compressors

	slots [encodingSlots]atomic.Pointer[publication]
	made  atomic.Uint64 // encodings ever

	mu     sync.Mutex
	bytes  int64  // of the publications in slots
	oldest uint64 // no slot has a publication before this sequence
}

// encodingSlots is above the usual buffer of a subscription, so that a
// subscriber that is not cut finds what it is behind with.
const encodingSlots = 1024

// of returns the publication of a message.
func (e *encodings) of(m pubsub.Message) *publication {
	slot := &e.slots[m.Sequence()%encodingSlots]
	old := slot.Load()
	if old != nil && old.message.Sequence() == m.Sequence() {
		return old
	}
	fresh := &publication{message: m}
	if old != nil && old.message.Sequence() > m.Sequence() {
		fresh.gone = true
		return fresh
	}
	if !slot.CompareAndSwap(old, fresh) {
		return e.of(m)
	}
	if old != nil {
		e.mu.Lock()
		e.forget(old)
		e.mu.Unlock()
	}
	return fresh
}

// forget no longer counts p. The caller holds e.mu.
func (e *encodings) forget(p *publication) {
	if !p.gone {
		p.gone = true
		e.bytes -= p.bytes
	}
}

// encode returns the end of a result's frame, without and with the cursor.
func (e *encodings) encode(p *publication, f form) (result, withCursor []byte) {
	enc := &p.forms[f]
	enc.once.Do(func() {
		if f == event {
			e.fillEvent(enc, p)
		} else {
			e.fill(enc, p.message, f)
		}
		e.made.Add(1)
		e.count(p, int64(max(len(enc.cursor), len(enc.result))))
	})
	return enc.result, enc.cursor
}

// pack returns the end of a result's frame, compressed; nil if that gains
// nothing.
func (e *encodings) pack(p *publication, f form, withCursor bool) []byte {
	result, cursor := e.encode(p, f)
	if withCursor {
		return e.packOnce(p, &p.forms[f].packedCursor, cursor)
	}
	return e.packOnce(p, &p.forms[f].packedResult, result)
}

func (e *encodings) packOnce(p *publication, packed *packing, b []byte) []byte {
	packed.once.Do(func() {
		packed.b = e.packs.pack(b)
		e.count(p, int64(len(packed.b)))
	})
	return packed.b
}

// count takes note of n bytes of p, and drops the oldest publications while
// there are too many bytes.
func (e *encodings) count(p *publication, n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.gone {
		return
	}
	p.bytes += n
	e.bytes += n
	last := p.message.Sequence()
	for ; e.bytes > e.limit && e.oldest <= last; e.oldest++ {
		slot := &e.slots[e.oldest%encodingSlots]
		if old := slot.Load(); old != nil && old.message.Sequence() == e.oldest && slot.CompareAndSwap(old, nil) {
			e.forget(old)
		}
	}
	if last >= encodingSlots {
		e.oldest = max(e.oldest, last-encodingSlots+1)
	}
}

func (e *encodings) fill(enc *encoding, m pubsub.Message, f form) {
	buf := append(make([]byte, 0, 512), `"cursor":"`...)
	buf = append(e.cursor(m.Sequence()).Append(buf), `",`...)
	start := len(buf)
	buf = append(buf, `"data":`...)
	buf = e.appendData(buf, m, f)
	buf = appendEvents(append(buf, `,"events":`...), m)
	buf = append(buf, `}}`...)
	enc.cursor, enc.result = buf, buf[start:]
}

// fillEvent makes the form event of the plain one:
//
//	"data":…,"events":…}
//	id: the cursor
//	(an empty line)
func (e *encodings) fillEvent(enc *encoding, p *publication) {
	result, _ := e.encode(p, plain)
	buf := make([]byte, 0, len(result)+history.CursorLength+8)
	buf = append(append(buf, result[:len(result)-1]...), "\nid: "...) // without the brace of the response
	enc.result = append(e.cursor(p.message.Sequence()).Append(buf), "\n\n"...)
}

func (e *encodings) appendData(dst []byte, m pubsub.Message, f form) []byte {
	start := len(dst)
	dst, err := appendData(dst, e.encoder, m.Data())
	if err != nil {
		e.failed(m, err)
	}
	if f == plain {
		return dst
	}
	data := string(dst[start:])
	dst = append(appendString(append(dst[:start], `{"type":`...), wire.TypeCarrier), `,"value":`...)
	return append(appendString(dst, data), '}')
}
