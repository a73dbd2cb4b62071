package stream

import (
	"errors"
	"fmt"
	"strconv"
)

// A Cursor is a place in the history of a server: just after one publication.
// As text, cursors sort like the publications; the text is 33 characters,
//
//	epoch, 16 hexadecimal digits - offset, 16 hexadecimal digits
//
// The zero Cursor is before everything.
type Cursor struct {
	Epoch  uint64 // higher for each new start of what keeps the history
	Offset uint64 // of the publication; the first has 1
}

const cursorLength = 33

// ErrBadCursor is wrapped by the error of ParseCursor.
var ErrBadCursor = errors.New("not a cursor")

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	if len(s) == cursorLength && s[16] == '-' {
		epoch, ok1 := parseHex(s[:16])
		offset, ok2 := parseHex(s[17:])
		if ok1 && ok2 {
			return Cursor{epoch, offset}, nil
		}
	}
	return Cursor{}, fmt.Errorf("stream: cursor %q: %w: give one as it was received", truncateUTF8(s, 64), ErrBadCursor)
}

// parseHex takes lower-case digits alone, so that a cursor has one text.
func parseHex(s string) (uint64, bool) {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return n, err == nil
}

// String returns the text of the cursor.
func (c Cursor) String() string { return string(c.append(nil)) }

func (c Cursor) append(dst []byte) []byte {
	return appendHex(append(appendHex(dst, c.Epoch), '-'), c.Offset)
}

func appendHex(dst []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[n>>shift&15])
	}
	return dst
}

// Before reports whether c is earlier than d.
func (c Cursor) Before(d Cursor) bool {
	if c.Epoch != d.Epoch {
		return c.Epoch < d.Epoch
	}
	return c.Offset < d.Offset
}

// MarshalText implements encoding.TextMarshaler.
func (c Cursor) MarshalText() ([]byte, error) { return c.append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}
