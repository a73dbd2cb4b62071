package syntax

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Parser reads one query. It is not for several goroutines at a time.
type Parser struct{ scanner *Scanner }

// NewParser returns a parser of what r has.
func NewParser(r io.Reader) *Parser { return &Parser{NewScanner(r)} }

// Parse parses a text.
func Parse(s string) (Query, error) { return NewParser(strings.NewReader(s)).Parse() }

// Parse reads to the end and returns the query.
func (p *Parser) Parse() (Query, error) {
	var q Query
	for {
		c, err := p.condition()
		if err != nil {
			return nil, err
		}
		q = append(q, c)
		switch err := p.scanner.Next(); {
		case err == io.EOF:
			return q, nil
		case err != nil:
			return nil, err
		case p.scanner.Token() != TAnd:
			return nil, p.unexpected(TAnd)
		}
	}
}

func (p *Parser) condition() (c Condition, err error) {
	if _, err := p.want(TTag); err != nil {
		return c, err
	}
	c.Tag = p.scanner.Text()
	if c.Op, err = p.want(TLeq, TGeq, TLt, TGt, TEq, TContains, TExists); err != nil {
		return c, err
	}
	if args := operands[c.Op]; args != nil {
		kind, err := p.want(args...)
		if err != nil {
			return c, err
		}
		c.Arg = &Arg{kind, p.scanner.Text()}
	}
	return c, nil
}

// operands holds what an operator may be followed by.
var operands = map[Token][]Token{
	TLeq: {TNumber, TTime, TDate}, TGeq: {TNumber, TTime, TDate},
	TLt: {TNumber, TTime, TDate}, TGt: {TNumber, TTime, TDate},
	TEq:       {TNumber, TTime, TDate, TString},
	TContains: {TString},
	TExists:   nil,
}

// want reads a token that must be one of those.
func (p *Parser) want(tokens ...Token) (Token, error) {
	if err := p.scanner.Next(); err != nil {
		return TInvalid, fmt.Errorf("offset %d: %w", p.scanner.Pos(), err)
	}
	if got := p.scanner.Token(); slices.Contains(tokens, got) {
		return got, nil
	}
	return TInvalid, p.unexpected(tokens...)
}

func (p *Parser) unexpected(wanted ...Token) error {
	texts := make([]string, len(wanted))
	for i, t := range wanted {
		texts[i] = t.String()
	}
	return fmt.Errorf("offset %d: got %v, wanted %s", p.scanner.Pos(), p.scanner.Token(), strings.Join(texts, " or "))
}
