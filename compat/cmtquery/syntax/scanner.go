package syntax

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Scanner divides a text into tokens. It is not for several goroutines at a
// time.
type Scanner struct {
	source io.Reader // nil once it has been read
	input  string

	tok      Token
	text     string
	pos, end int // of the token
	err      error
}

// NewScanner returns a scanner of what r has; it reads all of it at the first
// call of Next.
func NewScanner(r io.Reader) *Scanner { return &Scanner{source: r} }

// Token returns the type of the current token.
func (s *Scanner) Token() Token { return s.tok }

// Text returns the text of the current token, of a string without its quotes,
// of TIME and DATE what follows the word.
func (s *Scanner) Text() string { return s.text }

// Pos returns where the current token begins, in bytes.
func (s *Scanner) Pos() int { return s.pos }

// Err returns the error that the last call of Next returned.
func (s *Scanner) Err() error { return s.err }

// Next goes to the next token. It returns io.EOF at the end.
func (s *Scanner) Next() error {
	s.tok, s.text = TInvalid, ""
	s.err = s.load()
	if s.err == nil {
		s.err = s.scan()
	}
	return s.err
}

func (s *Scanner) load() error {
	if s.source == nil {
		return nil
	}
	input, err := io.ReadAll(s.source)
	s.source, s.input = nil, string(input)
	return err
}

func (s *Scanner) scan() error {
	s.take(unicode.IsSpace)
	s.pos = s.end
	first, size := utf8.DecodeRuneInString(s.input[s.end:])
	switch {
	case size == 0:
		return io.EOF
	case isDigit(first):
		s.number()
	case isFirstOfTag(first):
		return s.word()
	case first == '\'':
		return s.quoted()
	case strings.ContainsRune("=<>", first):
		s.comparison()
	default:
		return fmt.Errorf("invalid input %c at offset %d", first, s.pos)
	}
	return nil
}

// take reads on while runes are of a kind, and returns what it read.
func (s *Scanner) take(is func(rune) bool) string {
	rest := s.input[s.end:]
	if i := strings.IndexFunc(rest, func(r rune) bool { return !is(r) }); i >= 0 {
		rest = rest[:i]
	}
	s.end += len(rest)
	return rest
}

// skip reads prefix, if it comes next.
func (s *Scanner) skip(prefix string) bool {
	found := strings.HasPrefix(s.input[s.end:], prefix)
	if found {
		s.end += len(prefix)
	}
	return found
}

func (s *Scanner) number() {
	s.take(isDigit)
	if s.skip(".") {
		s.take(isDigit)
	}
	s.tok, s.text = TNumber, s.input[s.pos:s.end]
}

func (s *Scanner) comparison() {
	for _, tok := range []Token{TLeq, TGeq, TLt, TGt, TEq} { // the long ones first
		if s.skip(operators[tok]) {
			s.tok, s.text = tok, operators[tok]
			return
		}
	}
}

func (s *Scanner) quoted() error {
	text, _, closed := strings.Cut(s.input[s.pos+1:], "'")
	if !closed {
		s.end = len(s.input)
		return fmt.Errorf("a string that does not end, at offset %d", s.pos)
	}
	s.end += len(text) + 2
	s.tok, s.text = TString, string([]rune(text)) // each byte that is no UTF-8 becomes U+FFFD
	return nil
}

// word reads a tag, or what begins like one.
func (s *Scanner) word() error {
	s.text = s.take(isOfTag)
	switch s.text {
	case "TIME":
		if s.skip(" ") {
			return s.stamp(TTime, "-T:+Z", ParseTime)
		}
	case "DATE":
		if s.skip(" ") {
			return s.stamp(TDate, "-", ParseDate)
		}
	case "AND":
		s.tok = TAnd
		return nil
	case "EXISTS":
		s.tok = TExists
		return nil
	case "CONTAINS":
		s.tok = TContains
		return nil
	}
	s.tok = TTag
	return nil
}

// stamp reads what follows TIME or DATE: digits and marks.
func (s *Scanner) stamp(tok Token, marks string, parse func(string) (time.Time, error)) error {
	s.text = s.take(func(r rune) bool { return isDigit(r) || strings.ContainsRune(marks, r) })
	at, err := parse(s.text)
	if err == nil && (at.Year() < 1900 || at.Year() > 2999) {
		err = errors.New("the year is not from 1900 to 2999")
	}
	if err != nil {
		return fmt.Errorf("invalid %v at offset %d: %w", tok, s.pos, err)
	}
	s.tok = tok
	return nil
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isFirstOfTag(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func isOfTag(r rune) bool { return r == '.' || r == '-' || isFirstOfTag(r) }
