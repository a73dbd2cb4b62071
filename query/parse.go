package query

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/harkbus/pubsub/query/internal/syntax"
)

// New parses a query within the limits. Its error is a [*SyntaxError]. It
// takes time linear in the length of the text.
func (l Limits) New(s string) (*Query, error) {
	l = l.withDefaults()
	if err := l.checkText(s); err != nil {
		return nil, err
	}
	p := parsers.Get().(*parser)
	defer p.release()
	if failure := p.syntax.Parse(s, l.Depth); failure != nil {
		return nil, l.failed(s, failure)
	}
	expr, instructions, err := p.build(s, l)
	if err != nil {
		return nil, err
	}
	p.text = expr.appendText(p.text[:0], bindsLeast)
	q := &Query{expr: expr, text: s, instructions: instructions}
	if string(p.text) != s {
		q.text = string(p.text)
	}
	if len(q.text) > l.Length {
		return nil, invalid(s, len(s), "the canonical text has %d bytes, more than %d", len(q.text), l.Length)
	}
	return q, nil
}

// checkText looks at the text as such.
func (l Limits) checkText(s string) error {
	if most := min(l.Length, syntax.MaxText); len(s) > most {
		return invalid(s, most, "the text has %d bytes, more than %d", len(s), most)
	}
	if !utf8.ValidString(s) {
		return invalid(s, validPrefix(s), "invalid UTF-8")
	}
	return nil
}

// validPrefix returns how long the beginning of s is that is valid UTF-8.
func validPrefix(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return len(s)
}

func (l Limits) failed(s string, f *syntax.Failure) error {
	if f.TooDeep {
		return invalid(s, f.Offset, "nested deeper than %d", l.Depth)
	}
	return unexpected(s, f.Offset, f.Expected)
}

// A parser is what parsing needs for a while.
type parser struct {
	syntax *syntax.Parser
	text   []byte // canonical
	stack  []term // of build
}

var parsers = sync.Pool{New: func() any { return &parser{syntax: syntax.New()} }}

const maxPooled = 4 << 20 // bytes that a parser may keep between queries

func (p *parser) release() {
	clear(p.stack)
	p.stack = p.stack[:0]
	p.syntax.Clear()
	if p.syntax.Size()+cap(p.text) <= maxPooled {
		parsers.Put(p)
	}
}

// build makes the tree of the tokens that the syntax left, and counts the
// instructions of its regular expressions.
func (p *parser) build(s string, l Limits) (expr Expr, instructions int64, err error) {
	conditions, operands := p.count()
	b := builder{
		query:      s,
		limits:     l,
		conditions: make([]Condition, 0, min(conditions, l.Conditions)),
		operands:   make([]Operand, 0, operands),
		stack:      p.stack,
	}
	defer func() { p.stack = b.stack }()
	for t := range p.syntax.Tokens {
		if err := b.add(t); err != nil {
			return nil, 0, err
		}
	}
	expr = b.stack[0].expr
	if b.nested {
		expr = flatten(expr)
	}
	return expr, int64(b.instructions), nil
}

func (p *parser) count() (conditions, operands int) {
	for t := range p.syntax.Tokens {
		switch t.Rule {
		case syntax.Condition:
			conditions++
		case syntax.String, syntax.Number, syntax.Date, syntax.Time:
			operands++
		}
	}
	return conditions, operands
}
