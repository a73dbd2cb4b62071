package query

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/harkbus/pubsub/internal/decimal"
	"github.com/harkbus/pubsub/internal/instant"
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
	expr, err := p.build(s, l)
	if err != nil {
		return nil, err
	}
	p.text = expr.appendText(p.text[:0], bindsLeast)
	q := &Query{expr: expr, text: s}
	if string(p.text) != s {
		q.text = string(p.text)
	}
	if len(q.text) > l.Length {
		return nil, &SyntaxError{Query: s, Offset: len(s), Reason: fmt.Sprintf("the canonical text has %d bytes, more than %d", len(q.text), l.Length)}
	}
	return q, nil
}

// checkText looks at the text as such.
func (l Limits) checkText(s string) error {
	if longest := min(l.Length, syntax.MaxText); len(s) > longest {
		return &SyntaxError{Query: s, Offset: longest, Reason: fmt.Sprintf("the text has %d bytes, more than %d", len(s), longest)}
	}
	if !utf8.ValidString(s) {
		return &SyntaxError{Query: s, Offset: validPrefix(s), Reason: "invalid UTF-8"}
	}
	return nil
}

func validPrefix(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return len(s)
}

func (l Limits) failed(s string, f *syntax.Failure) error {
	if f.TooDeep {
		return &SyntaxError{Query: s, Offset: f.Offset, Reason: fmt.Sprintf("nested deeper than %d", l.Depth)}
	}
	return &SyntaxError{Query: s, Offset: f.Offset, Expected: f.Expected, Got: s[f.Offset:]}
}

// A parser is what parsing needs for a while.
type parser struct {
	syntax *syntax.Parser
	text   []byte // canonical
	stack  []term // of build
}

// A term is a finished part of the tree and where its text begins.
type term struct {
	expr  Expr
	begin int
}

var parsers = sync.Pool{New: func() any { return &parser{syntax: syntax.New()} }}

const maxPooled = 1 << 20 // bytes that a parser may keep between queries

func (p *parser) release() {
	clear(p.stack)
	p.stack = p.stack[:0]
	p.syntax.Clear()
	if p.syntax.Size()+cap(p.text) <= maxPooled {
		parsers.Put(p)
	}
}

// build makes the tree of the tokens that the syntax left.
func (p *parser) build(s string, l Limits) (Expr, error) {
	conditions, operands := p.count()
	if conditions > l.Conditions {
		return nil, &SyntaxError{Query: s, Reason: fmt.Sprintf("%d conditions, more than %d", conditions, l.Conditions)}
	}
	b := builder{
		query:      s,
		limits:     l,
		conditions: make([]Condition, 0, conditions),
		operands:   make([]Operand, 0, operands),
		stack:      p.stack,
	}
	for t := range p.syntax.Tokens {
		if err := b.add(t); err != nil {
			return nil, err
		}
	}
	p.stack = b.stack
	if b.nested {
		return flatten(b.stack[0].expr), nil
	}
	return b.stack[0].expr, nil
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

// A builder makes a tree of tokens that come in post-order.
type builder struct {
	query      string
	limits     Limits
	conditions []Condition // one array for all conditions of the query
	operands   []Operand   // and one for all operands
	stack      []term
	nested     bool // a node stands below one of its own kind

	current Condition    // what is known of the condition to come
	first   int          // its first operand
	text    syntax.Token // the last text within a Date or Time
}

var ops = map[syntax.Rule]Op{
	syntax.Equal: Equal, syntax.NotEqual: NotEqual,
	syntax.Less: Less, syntax.LessOrEqual: LessOrEqual,
	syntax.Greater: Greater, syntax.GreaterOrEqual: GreaterOrEqual,
	syntax.Contains: Contains, syntax.StartsWith: StartsWith, syntax.EndsWith: EndsWith, syntax.Matches: Matches,
	syntax.In: In, syntax.Exists: Exists,
}

func (b *builder) add(t syntax.Token) error {
	switch t.Rule {
	case syntax.Key:
		b.current = Condition{Key: b.query[t.Begin:t.End]}
		b.first = len(b.operands)
	case syntax.String:
		b.operands = append(b.operands, Operand{kind: String, text: unquote(b.query[t.Begin+1 : t.End-1])})
	case syntax.Number:
		b.operands = append(b.operands, numberOperand(b.query[t.Begin:t.End]))
	case syntax.Text:
		b.text = t
	case syntax.Date:
		return b.addInstant(Date, instant.ParseDate, "no such date")
	case syntax.Time:
		return b.addInstant(Time, instant.ParseTime, "no such time")
	case syntax.Condition:
		return b.addCondition(t)
	case syntax.Not:
		top := &b.stack[len(b.stack)-1]
		*top = term{Not{top.expr}, t.Begin}
	case syntax.And:
		join[AllOf](b, t.Begin)
	case syntax.Or:
		join[AnyOf](b, t.Begin)
	default:
		if op, ok := ops[t.Rule]; ok {
			b.current.Op = op
		}
	}
	return nil
}

func unquote(s string) string { return strings.ReplaceAll(s, "''", "'") }

func numberOperand(text string) Operand {
	n, _ := decimal.Parse(text)
	return Operand{kind: Number, number: n, text: n.String()}
}

func (b *builder) addInstant(kind Kind, parse func(string) (instant.Instant, bool), reason string) error {
	text := b.query[b.text.Begin:b.text.End]
	at, ok := parse(text)
	if !ok || strings.HasPrefix(text, "0000") {
		return &SyntaxError{Query: b.query, Offset: b.text.Begin, Got: text, Reason: reason}
	}
	b.operands = append(b.operands, Operand{kind: kind, at: at, text: text})
	return nil
}

func (b *builder) addCondition(t syntax.Token) error {
	c := b.current
	c.Operands = b.operands[b.first:len(b.operands):len(b.operands)]
	if len(c.Operands) > b.limits.Operands {
		return &SyntaxError{Query: b.query, Offset: t.Begin, Reason: fmt.Sprintf("%d operands, more than %d", len(c.Operands), b.limits.Operands)}
	}
	if c.Op == Matches {
		pattern, err := regexp.Compile(c.Operands[0].text)
		if err != nil {
			return &SyntaxError{Query: b.query, Offset: t.Begin, Reason: "bad regular expression", Err: err}
		}
		c.Operands[0].pattern = pattern
	}
	b.conditions = append(b.conditions, c)
	b.stack = append(b.stack, term{&b.conditions[len(b.conditions)-1], t.Begin})
	return nil
}

// join replaces the terms from begin on by one node of them all.
func join[Node AllOf | AnyOf](b *builder, begin int) {
	first := len(b.stack) - 1
	for first > 0 && b.stack[first-1].begin >= begin {
		first--
	}
	terms := b.stack[first:]
	if len(terms) == 1 {
		return
	}
	node := make(Node, len(terms))
	for i, t := range terms {
		node[i] = t.expr
		_, same := any(t.expr).(Node)
		b.nested = b.nested || same
	}
	clear(terms)
	b.stack = append(b.stack[:first], term{any(node).(Expr), begin})
}

// flatten joins nodes that stand below one of their own kind with it.
func flatten(e Expr) Expr {
	switch e := e.(type) {
	case AllOf:
		return appendFlat(AllOf(nil), e)
	case AnyOf:
		return appendFlat(AnyOf(nil), e)
	case Not:
		return Not{flatten(e.Term)}
	default:
		return e
	}
}

func appendFlat[Node AllOf | AnyOf](flat, node Node) Node {
	for _, e := range node {
		if same, ok := any(e).(Node); ok {
			flat = appendFlat(flat, same)
		} else {
			flat = append(flat, flatten(e))
		}
	}
	return flat
}
