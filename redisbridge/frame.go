package redisbridge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unsafe"
)

// A frame is what goes through Redis as one message: events that follow one
// another, or a note. All numbers are big-endian.
//
//	 0  2  'H' 'k'
//	 2  1  version of the format: 2
//	 3  1  kind
//	 4  1  flags: 1 signed, 2 closing
//	 5  1  codec
//	 6  1  0; set aside
//	 7  1  key id; 0 if not signed
//	 8  4  CRC-32C of all before and after it, without the MAC
//	12  2  partition; 65535 for what belongs to none
//	14  2  count of events
//	16  8  sequence of the first event; in a mark, of the next event to come
//	24  8  epoch of the origin
//	32  8  stamp: when it was sealed, µs since 1970 by the clock of Redis
//	40  2  length of what is set aside for later versions, then that
//	    1  length of the origin's name, then the name
//	    1  length of the namespace, then the namespace
//	       payload: per event 4 bytes of length, then the event as its codec has it
//	  [16  MAC: HMAC-SHA-256, cut to 128 bits, over the name of the channel or
//	       stream, a zero byte, and all before it]
//
// The stamp makes a frame fresh: see freshness. A sequence counts the
// publications of one origin in one partition from 1 on, those that were dropped
// included. In a reply it is the number of the request; who asked is in the name
// of the channel, which the MAC covers.
const (
	frameVersion  = 2
	headerSize    = 42
	checksumAt    = 8
	stampAt       = 32
	noPartition   = 0xffff
	frameTarget   = 16 << 10 // bytes after which a frame takes no more events
	frameEvents   = 64       // most events that a frame is given
	maxFrameCount = 1 << 12  // most events that a frame of another may have
	eventPrefix   = 4
)

type kind uint8

const (
	kindEvents kind = iota + 1
	kindMark        // where the origin stands
	kindReply       // the answer to a request
)

const (
	flagSigned  = 1 << 0
	flagClosing = 1 << 1
)

// A header is all of a frame but its payload.
type header struct {
	kind      kind
	codec     uint8
	closing   bool // in a mark: the origin says goodbye
	partition uint16
	count     uint16
	first     uint64
	epoch     uint64
	stamp     int64 // µs since 1970
	name      string
	namespace string
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendHeader appends what comes before the payload. The count and the
// checksum are put in by finish.
func appendHeader(dst []byte, h *header) []byte {
	flags := byte(0)
	if h.closing {
		flags |= flagClosing
	}
	dst = append(dst, 'H', 'k', frameVersion, byte(h.kind), flags, h.codec, 0, 0, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, h.partition)
	dst = binary.BigEndian.AppendUint16(dst, h.count)
	dst = binary.BigEndian.AppendUint64(dst, h.first)
	dst = binary.BigEndian.AppendUint64(dst, h.epoch)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.stamp))
	dst = append(dst, 0, 0)
	dst = append(append(dst, byte(len(h.name))), h.name...)
	return append(append(dst, byte(len(h.namespace))), h.namespace...)
}

// finish completes a frame that has its payload: count, checksum and, with a
// key, MAC.
func finish(frame []byte, count int, sign *Key) []byte {
	binary.BigEndian.PutUint16(frame[14:], uint16(count))
	if sign != nil {
		frame[4] |= flagSigned
		frame[7] = sign.ID
	}
	binary.BigEndian.PutUint32(frame[checksumAt:], checksum(frame))
	if sign != nil {
		frame = sign.appendMAC(frame)
	}
	return frame
}

// reseal returns a copy of a finished frame with another stamp.
func reseal(frame []byte, stamp int64, sign *Key) []byte {
	again := bytes.Clone(frame)
	binary.BigEndian.PutUint64(again[stampAt:], uint64(stamp))
	if sign != nil {
		again = again[:len(again)-macSize]
	}
	count := int(binary.BigEndian.Uint16(again[14:]))
	return finish(again, count, sign)
}

func checksum(frame []byte) uint32 {
	c := crc32.Update(0, castagnoli, frame[:checksumAt])
	return crc32.Update(c, castagnoli, frame[checksumAt+4:])
}

// A refusal is a reason to drop a frame; each has its counter in Stats.
type refusal string

const (
	errMalformed refusal = "malformed"
	errVersion   refusal = "of another version of the format"
	errForeign   refusal = "of another namespace or partition"
	errUnsigned  refusal = "not signed by a key we have"
	errOversized refusal = "too large"
	errStale     refusal = "a repetition of an old frame"
)

// Error returns the reason.
func (r refusal) Error() string { return string(r) }

// A gate lets frames in that are whole, ours and, with keys, signed.
type gate struct {
	namespace string
	keys      []Key
	maxFrame  int
}

// at returns the gate of a channel or stream.
func (g gate) at(place string) gate {
	keys := g.keys
	g.keys = nil
	for i := range keys {
		g.keys = append(g.keys, *keys[i].at(place))
	}
	return g
}

// open checks a frame and takes it apart. Payload and strings of the header are
// parts of text, which must have been made from bytes that nobody else holds,
// as the client makes it.
func (g *gate) open(text string, partition uint16) (h header, payload []byte, err error) {
	if len(text) > g.maxFrame+macSize {
		return h, nil, errOversized
	}
	if len(text) < headerSize+2 || text[0] != 'H' || text[1] != 'k' {
		return h, nil, errMalformed
	}
	if text[2] != frameVersion {
		return h, nil, errVersion
	}
	frame := unsafe.Slice(unsafe.StringData(text), len(text)) // copying would be most of the work
	if frame, err = g.authenticate(frame); err != nil {
		return h, nil, err
	}
	if binary.BigEndian.Uint32(frame[checksumAt:]) != checksum(frame) {
		return h, nil, errMalformed
	}
	at, err := h.parse(text[:len(frame)])
	if err != nil {
		return h, nil, err
	}
	if h.namespace != g.namespace || h.partition != partition {
		return h, nil, errForeign
	}
	return h, frame[at:], nil
}

// addresses tells whether a frame that was not let in is for us, as it says
// itself.
func (g *gate) addresses(text string, partition uint16) bool {
	var h header
	if len(text) < headerSize+2 || text[:3] != "Hk\x02" {
		return false
	}
	_, err := h.parse(text)
	return err == nil && h.kind == kindEvents && h.namespace == g.namespace && h.partition == partition
}

// authenticate takes the MAC off a frame and verifies it. A process without
// keys trusts everybody who can write to its Redis, and ignores MACs.
func (g *gate) authenticate(frame []byte) ([]byte, error) {
	signed := frame[4]&flagSigned != 0
	if !signed {
		if len(g.keys) > 0 {
			return nil, errUnsigned
		}
		return frame, nil
	}
	end := len(frame) - macSize
	if end < headerSize+2 {
		return nil, errMalformed
	}
	if len(g.keys) > 0 && !verify(g.keys, frame[7], frame[:end], frame[end:]) {
		return nil, errUnsigned
	}
	return frame[:end], nil
}

// parse reads the header of a frame of at least headerSize + 2 bytes and
// returns where the payload begins.
func (h *header) parse(frame string) (payload int, err error) {
	fixed := []byte(frame[:headerSize])
	h.kind = kind(fixed[3])
	h.closing = fixed[4]&flagClosing != 0
	h.codec = fixed[5]
	h.partition = binary.BigEndian.Uint16(fixed[12:])
	h.count = binary.BigEndian.Uint16(fixed[14:])
	h.first = binary.BigEndian.Uint64(fixed[16:])
	h.epoch = binary.BigEndian.Uint64(fixed[24:])
	h.stamp = int64(binary.BigEndian.Uint64(fixed[stampAt:]))
	later := headerSize + int(binary.BigEndian.Uint16(fixed[headerSize-2:]))
	if later > len(frame) {
		return 0, errMalformed
	}
	rest := frame[later:]
	var ok bool
	if h.name, rest, ok = cutShort(rest); !ok {
		return 0, errMalformed
	}
	if h.namespace, rest, ok = cutShort(rest); !ok {
		return 0, errMalformed
	}
	return len(frame) - len(rest), h.validate(len(rest))
}

// validate refuses what no sender of this version makes: above all a sequence
// so high that the ones after it would wrap around.
func (h *header) validate(payload int) error {
	switch {
	case h.kind < kindEvents || h.kind > kindReply,
		h.first > 1<<53 || h.first == 0 && h.kind <= kindMark,
		h.kind == kindEvents && (h.count == 0 || h.count > maxFrameCount || int(h.count)*eventPrefix > payload),
		h.kind != kindEvents && h.count != 0:
		return errMalformed
	}
	return nil
}

// cutShort cuts a string with one byte of length off s.
func cutShort(s string) (head, rest string, ok bool) {
	if len(s) == 0 || len(s) < 1+int(s[0]) {
		return "", "", false
	}
	end := 1 + int(s[0])
	return s[1:end], s[end:], true
}

// beginEvent and endEvent put the length before an event that is appended
// between them.
func beginEvent(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

func endEvent(dst []byte, begun int) {
	binary.BigEndian.PutUint32(dst[begun-eventPrefix:], uint32(len(dst)-begun))
}

// cutEvent cuts the next event off a payload.
func cutEvent(payload []byte) (event, rest []byte, err error) {
	if len(payload) < eventPrefix {
		return nil, nil, fmt.Errorf("%w: an event has no length", errMalformed)
	}
	n := binary.BigEndian.Uint32(payload)
	if uint64(n) > uint64(len(payload)-eventPrefix) {
		return nil, nil, fmt.Errorf("%w: an event is longer than its frame", errMalformed)
	}
	end := eventPrefix + int(n)
	return payload[eventPrefix:end:end], payload[end:], nil
}
