package query

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A SyntaxError tells where and why a text is no query.
type SyntaxError struct {
	Query    string   // the text
	Offset   int      // of the place in bytes; len(Query) is the end
	Expected []string // what could stand there, such as AND, "(" or a value
	Got      string   // what stands there, as far as the next blank; "" at the end
	Reason   string   // why it cannot stand there, where Expected does not tell
	Err      error    // the cause, where another package found it
}

// Error describes the error in one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("query: offset %d: %s", e.Offset, e.reason())
}

// Unwrap returns the cause, where another package found it.
func (e *SyntaxError) Unwrap() error { return e.Err }

func (e *SyntaxError) reason() string {
	switch {
	case e.Err != nil:
		cause, _ := draw(e.Err.Error(), maxCause)
		return e.Reason + ": " + cause
	case len(e.Expected) == 0:
		return e.Reason
	case e.Offset >= len(e.Query):
		return "expected " + list(e.Expected) + ", got the end"
	default:
		return fmt.Sprintf("expected %s, got %q", list(e.Expected), e.Got)
	}
}

// list joins words as in "a, b or c".
func list(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// unexpected returns the error that something else should stand at a place.
func unexpected(query string, offset int, expected []string) *SyntaxError {
	return &SyntaxError{Query: query, Offset: offset, Expected: expected, Got: word(query[offset:])}
}

// invalid returns the error that what stands at a place is wrong.
func invalid(query string, offset int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Query: query, Offset: offset, Got: word(query[offset:]), Reason: fmt.Sprintf(format, args...)}
}

// word returns the beginning of s up to the next blank, or 32 runes of it.
func word(s string) string {
	runes := 0
	for i, r := range s {
		if i > 0 && unicode.IsSpace(r) {
			return s[:i]
		}
		if runes++; runes > 32 {
			return s[:i] + "…"
		}
	}
	return s
}

// maxCause is how many columns of the message of a cause Error shows.
const maxCause = 300

// How many columns of the text Picture shows on either side of the place.
const (
	columnsBefore = 50
	columnsAfter  = 26
)

// Picture shows the place of the error in two lines for a terminal or another
// view in a font of fixed width:
//
//	tx.height >= 5 AND tx.height =< 9
//	                              ^
//
// Of a long text it shows the part around the place, between dots. What would
// not print in its place is shown as a symbol: ␀ for NUL, ␉ for a tab, ␣ for a
// wide blank, � for what has no symbol.
func (e *SyntaxError) Picture() string {
	offset := min(max(e.Offset, 0), len(e.Query))
	before, column := pictureBefore(e.Query[:offset])
	return before + pictureAfter(e.Query[offset:]) + "\n" + strings.Repeat(" ", column) + "^"
}

// pictureBefore draws the end of s and returns how many columns that takes.
func pictureBefore(s string) (drawn string, columns int) {
	start := len(s)
	for start > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:start])
		if _, width := glyph(r, size); columns+width > columnsBefore {
			break
		} else {
			columns += width
		}
		if start -= size; len(s)-start > 4*columnsBefore {
			break // nothing but combining characters
		}
	}
	drawn, _ = draw(s[start:], columnsBefore)
	if start > 0 {
		return "…" + drawn, columns + 1
	}
	return drawn, columns
}

// pictureAfter draws the beginning of s.
func pictureAfter(s string) string {
	drawn, length := draw(s[:min(len(s), 4*columnsAfter)], columnsAfter)
	if length < len(s) {
		drawn += "…"
	}
	return drawn
}

// draw draws s as far as it fits in some columns, and returns how much of s it
// has drawn.
func draw(s string, columns int) (drawn string, length int) {
	var b strings.Builder
	for length < len(s) {
		r, size := utf8.DecodeRuneInString(s[length:])
		shown, width := glyph(r, size)
		if columns -= width; columns < 0 {
			break
		}
		b.WriteRune(shown)
		length += size
	}
	return b.String(), length
}

// glyph returns what to show for a rune of some bytes, and its columns.
func glyph(r rune, size int) (shown rune, width int) {
	const controlPictures, deletePicture, openBox = '␀', '␡', '␣'
	switch {
	case r == utf8.RuneError && size == 1:
		return utf8.RuneError, 1
	case r < ' ':
		return controlPictures + r, 1
	case r == 0x7F:
		return deletePicture, 1
	case r < 0x7F:
		return r, 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return r, 0
	case unicode.IsSpace(r):
		return openBox, 1
	case !unicode.IsPrint(r):
		return utf8.RuneError, 1
	case unicode.Is(wide, r):
		return r, 2
	default:
		return r, 1
	}
}

// wide holds the characters that take two columns: those of width W and F in
// EastAsianWidth.txt of Unicode 15, with the unassigned ones between them.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115F, 1}, {0x231A, 0x231B, 1}, {0x23E9, 0x23EC, 1}, {0x2614, 0x2615, 1},
		{0x2648, 0x2653, 1}, {0x26A1, 0x26A1, 1}, {0x26BD, 0x26BE, 1}, {0x2705, 0x2705, 1},
		{0x270A, 0x270B, 1}, {0x2728, 0x2728, 1}, {0x274C, 0x274C, 1}, {0x2753, 0x2755, 1},
		{0x2795, 0x2797, 1}, {0x2B1B, 0x2B1C, 1}, {0x2E80, 0x303E, 1}, {0x3041, 0x4DBF, 1},
		{0x4E00, 0xA4CF, 1}, {0xA960, 0xA97F, 1}, {0xAC00, 0xD7A3, 1}, {0xF900, 0xFAFF, 1},
		{0xFE10, 0xFE19, 1}, {0xFE30, 0xFE6F, 1}, {0xFF01, 0xFF60, 1}, {0xFFE0, 0xFFE6, 1},
	},
	R32: []unicode.Range32{
		{0x16FE0, 0x18CFF, 1}, {0x1AFF0, 0x1B2FF, 1}, {0x1F300, 0x1F320, 1}, {0x1F32D, 0x1F64F, 1},
		{0x1F680, 0x1F6FF, 1}, {0x1F7E0, 0x1F7EB, 1}, {0x1F90C, 0x1F9FF, 1}, {0x1FA70, 0x1FAFF, 1},
		{0x20000, 0x3FFFD, 1},
	},
}
