package jsonevents

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// A scanner checks JSON as RFC 8259 has it. Each method takes the place where
// something begins and returns the one after it, or, once something is wrong
// and err says what, bad.
//
//	skip ─┬─▶ text      8 bytes at a time
//	      ├─▶ number    8 digits at a time
//	      ├─▶ word      true, false, null
//	      └─▶ skipObject, skipArray ──▶ skip
type scanner struct {
	doc   []byte
	depth int // of objects and arrays that may stand in one another
	err   *Error
}

const bad = -1

func (s *scanner) fail(at int, format string, args ...any) int {
	if s.err == nil {
		s.err = &Error{Offset: at, Problem: fmt.Sprintf(format, args...)}
	}
	return bad
}

// blanks returns the place of the first byte from i on that is no blank.
func (s *scanner) blanks(i int) int {
	if i < len(s.doc) && s.doc[i] > ' ' {
		return i
	}
	return s.moreBlanks(i)
}

func (s *scanner) moreBlanks(i int) int {
	for i < len(s.doc) && isBlank(s.doc[i]) {
		i++
	}
	return i
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// at returns the byte at i, or 0 at the end, which stands nowhere in JSON.
func (s *scanner) at(i int) byte {
	if i < len(s.doc) {
		return s.doc[i]
	}
	return 0
}

// skip passes over the value that begins at i, inside of so many objects and
// arrays.
func (s *scanner) skip(i, depth int) int {
	switch c := s.at(i); {
	case c == '"':
		return s.quoted(i)
	case c == '{':
		return s.skipObject(i, depth+1)
	case c == '[':
		return s.skipArray(i, depth+1)
	case c == '-' || c-'0' <= 9:
		return s.number(i)
	}
	return s.word(i)
}

func (s *scanner) skipObject(i, depth int) int {
	if depth > s.depth {
		return s.tooDeep(i)
	}
	if i = s.blanks(i + 1); s.at(i) == '}' {
		return i + 1
	}
	for {
		if i = s.name(i); i < 0 {
			return bad
		}
		if i = s.skip(i, depth); i < 0 {
			return bad
		}
		i = s.blanks(i)
		switch s.at(i) {
		case ',':
			i = s.blanks(i + 1)
		case '}':
			return i + 1
		default:
			return s.misplaced(i, `a comma or "}"`)
		}
	}
}

func (s *scanner) skipArray(i, depth int) int {
	if depth > s.depth {
		return s.tooDeep(i)
	}
	if i = s.blanks(i + 1); s.at(i) == ']' {
		return i + 1
	}
	for {
		if i = s.skip(i, depth); i < 0 {
			return bad
		}
		i = s.blanks(i)
		switch s.at(i) {
		case ',':
			i = s.blanks(i + 1)
		case ']':
			return i + 1
		default:
			return s.misplaced(i, `a comma or "]"`)
		}
	}
}

// name passes over a name and its colon, to the value.
func (s *scanner) name(i int) int {
	if s.at(i) != '"' {
		return s.misplaced(i, "a name in double quotes")
	}
	if i = s.quoted(i); i < 0 {
		return bad
	}
	return s.colon(i)
}

// colon passes over a colon and the blanks around it, of which there are mostly
// none.
func (s *scanner) colon(i int) int {
	if i+1 < len(s.doc) && s.doc[i] == ':' && s.doc[i+1] > ' ' {
		return i + 1
	}
	return s.spacedColon(i)
}

func (s *scanner) spacedColon(i int) int {
	if i = s.blanks(i); s.at(i) != ':' {
		return s.misplaced(i, "a colon")
	}
	return s.blanks(i + 1)
}

// quoted passes over the string whose opening quote is at i.
func (s *scanner) quoted(i int) int {
	end, _ := s.text(i + 1)
	if end < 0 {
		return bad
	}
	return end + 1
}

const (
	each = 0x0101010101010101 // times a byte: that byte eight times
	high = 0x80 * each
)

// text returns the place of the quote that ends the string whose text begins at
// i, and whether that text stands for itself, without escapes.
func (s *scanner) text(i int) (end int, plain bool) {
	for doc := s.doc; i+8 <= len(doc); i += 8 {
		if special := special(doc[i:]); special != 0 {
			if i += bits.TrailingZeros64(special) / 8; doc[i] == '"' {
				return i, true
			}
			break
		}
	}
	return s.unusual(i)
}

// special returns a word in which the highest bit of each byte says whether that
// byte of a string is a quote, a backslash, a control character or not ASCII. It is
// exact for the first of these; a borrow may spoil those behind it.
func special(text []byte) uint64 {
	x := binary.LittleEndian.Uint64(text)
	quote, backslash := x^'"'*each, x^'\\'*each
	return ((quote - each) | (backslash - each) | (x - ' '*each) | x) & high
}

// unusual is text from a place where something special stands, or near the end.
func (s *scanner) unusual(i int) (end int, plain bool) {
	plain = true
	for doc := s.doc; i < len(doc); {
		switch c := doc[i]; {
		case c == '"':
			return i, plain
		case c == '\\':
			plain = false
			i = s.escape(i)
		case c < ' ':
			return s.fail(i, "a control character, U+%04X, in a string; write it as an escape", c), false
		case c < utf8.RuneSelf:
			i++
		default:
			i = s.character(i)
		}
		if i < 0 {
			return bad, false
		}
		for i+8 <= len(doc) && special(doc[i:]) == 0 {
			i += 8
		}
	}
	return s.fail(len(s.doc), "the document ends in a string; send all of it"), false
}

// escape passes over an escape in a string.
func (s *scanner) escape(i int) int {
	switch s.at(i + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 <= len(s.doc) && areHex(s.doc[i+2:i+6]) {
			return i + 6
		}
		return s.fail(i, `\u without four hexadecimal digits`)
	}
	return s.fail(i, `a backslash before what needs none; write \\ for a backslash`)
}

func areHex(digits []byte) bool {
	for _, c := range digits {
		if c-'0' > 9 && c|0x20-'a' > 5 {
			return false
		}
	}
	return true
}

// character passes over a character in a string that is not ASCII.
func (s *scanner) character(i int) int {
	r, size := utf8.DecodeRune(s.doc[i:])
	if r == utf8.RuneError && size == 1 {
		return s.fail(i, "a byte that is not UTF-8, 0x%02X; send the document in UTF-8", s.doc[i])
	}
	return i + size
}

// number passes over a number.
func (s *scanner) number(i int) int {
	begin := i
	if s.at(i) == '-' {
		i++
	}
	first := i
	if i = s.digits(i); i == first {
		return s.noNumber(begin)
	}
	if s.doc[first] == '0' && i > first+1 {
		return s.fail(begin, "a number that begins with 0; write it without, or as a string")
	}
	if s.at(i) == '.' {
		first = i + 1
		if i = s.digits(first); i == first {
			return s.noNumber(begin)
		}
	}
	if s.at(i)|0x20 == 'e' {
		if i++; s.at(i) == '+' || s.at(i) == '-' {
			i++
		}
		first = i
		if i = s.digits(i); i == first {
			return s.noNumber(begin)
		}
	}
	return i
}

// digits passes over digits.
func (s *scanner) digits(i int) int {
	doc := s.doc
	for i+8 <= len(doc) {
		x := binary.LittleEndian.Uint64(doc[i:]) ^ '0'*each
		other := ((x + (0x80-10)*each) | x) & high // exact for the first
		if other != 0 {
			return i + bits.TrailingZeros64(other)/8
		}
		i += 8
	}
	for i < len(doc) && doc[i]-'0' <= 9 {
		i++
	}
	return i
}

func (s *scanner) noNumber(i int) int {
	if hasPrefix(s.doc[i:], "-Infinity") {
		return s.word(i)
	}
	return s.fail(i, "a number that lacks digits")
}

// word passes over true, false and null.
func (s *scanner) word(i int) int {
	rest := s.doc[i:]
	switch {
	case hasPrefix(rest, "true"), hasPrefix(rest, "null"):
		return i + 4
	case hasPrefix(rest, "false"):
		return i + 5
	case hasPrefix(rest, "NaN"), hasPrefix(rest, "Infinity"), hasPrefix(rest, "-Infinity"):
		return s.fail(i, "a number that JSON does not have; send null or a string")
	}
	return s.misplaced(i, "a value")
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func (s *scanner) tooDeep(i int) int {
	s.fail(i, "objects and arrays more than %d deep; send it flatter, or raise Limits.Depth", s.depth)
	s.err.Limit = true
	return bad
}

// misplaced fails with what stands at i in place of what should.
func (s *scanner) misplaced(i int, wanted string) int {
	switch {
	case i >= len(s.doc):
		return s.fail(len(s.doc), "the document ends where %s belongs; send all of it", wanted)
	case s.doc[i] == '\'':
		return s.fail(i, "a single quote where %s belongs; JSON has double quotes", wanted)
	case s.doc[i] >= utf8.RuneSelf:
		if s.character(i) == bad {
			return bad
		}
	}
	r, _ := utf8.DecodeRune(s.doc[i:])
	return s.fail(i, "%q where %s belongs", r, wanted)
}
