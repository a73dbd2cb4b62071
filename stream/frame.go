package stream

import "encoding/binary"

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
