package history

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// A Cursor is a place in a history: just after one publication. Cursors of one
// history sort like its publications, and so do their texts, which are opaque
// to everybody else and have 50 characters,
//
//	epoch - major - minor, 16 hexadecimal digits each
//
// What the numbers mean is the history's affair. The zero Cursor is before
// everything.
type Cursor struct {
	Epoch uint64 // higher for each new start of what keeps the history
	Major uint64 // in a [Window] and in a log the offset of the publication; the first has 1
	Minor uint64 // 0 where Major is enough
}

// Last is after everything.
var Last = Cursor{^uint64(0), ^uint64(0), ^uint64(0)}

// CursorLength is the length of a cursor's text.
const CursorLength = 3*16 + 2

// ErrBadCursor is wrapped by the error of ParseCursor.
var ErrBadCursor = errors.New("not a cursor")

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	if len(s) == CursorLength && s[16] == '-' && s[33] == '-' {
		epoch, ok1 := parseHex(s[:16])
		major, ok2 := parseHex(s[17:33])
		minor, ok3 := parseHex(s[34:])
		if ok1 && ok2 && ok3 {
			return Cursor{epoch, major, minor}, nil
		}
	}
	return Cursor{}, fmt.Errorf("history: cursor %.64q: %w: give one as it was received", s, ErrBadCursor)
}

// parseHex takes lower-case digits alone, so that a cursor has one text.
func parseHex(s string) (uint64, bool) {
	var b [8]byte
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return 0, false
	}
	n := binary.BigEndian.Uint64(b[:])
	return n, string(appendHex(nil, n)) == s
}

// String returns the text of the cursor.
func (c Cursor) String() string { return string(c.Append(make([]byte, 0, CursorLength))) }

// Append appends the text of the cursor.
func (c Cursor) Append(dst []byte) []byte {
	dst = append(appendHex(dst, c.Epoch), '-')
	dst = append(appendHex(dst, c.Major), '-')
	return appendHex(dst, c.Minor)
}

func appendHex(dst []byte, n uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return hex.AppendEncode(dst, b[:])
}

// Before reports whether c is earlier than d.
func (c Cursor) Before(d Cursor) bool {
	switch {
	case c.Epoch != d.Epoch:
		return c.Epoch < d.Epoch
	case c.Major != d.Major:
		return c.Major < d.Major
	}
	return c.Minor < d.Minor
}

// Next returns the least cursor after c, whether there is a publication or
// not. Last is the Next of itself.
func (c Cursor) Next() Cursor {
	switch {
	case c.Minor != ^uint64(0):
		return Cursor{c.Epoch, c.Major, c.Minor + 1}
	case c.Major != ^uint64(0):
		return Cursor{c.Epoch, c.Major + 1, 0}
	case c.Epoch != ^uint64(0):
		return Cursor{c.Epoch + 1, 0, 0}
	}
	return c
}

// Previous returns the greatest cursor before c, whether there is a publication
// or not. The zero Cursor is the Previous of itself.
func (c Cursor) Previous() Cursor {
	const most = ^uint64(0)
	switch {
	case c.Minor != 0:
		return Cursor{c.Epoch, c.Major, c.Minor - 1}
	case c.Major != 0:
		return Cursor{c.Epoch, c.Major - 1, most}
	case c.Epoch != 0:
		return Cursor{c.Epoch - 1, most, most}
	}
	return c
}

// MarshalText implements encoding.TextMarshaler.
func (c Cursor) MarshalText() ([]byte, error) { return c.Append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}
