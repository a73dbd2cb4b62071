package query

import (
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

// A term is a finished part of the tree and where its text begins.
type term struct {
	expr  Expr
	begin int
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

// build makes the tree of the tokens that the syntax left.
func (p *parser) build(s string, l Limits) (Expr, error) {
	conditions, operands := p.count()
	b := builder{
		query:      s,
		limits:     l,
		conditions: make([]Condition, 0, min(conditions, l.Conditions)),
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

var ops = [...]Op{
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
		return b.addOperand(t, Operand{kind: String, text: unquote(b.query[t.Begin+1 : t.End-1])})
	case syntax.Number:
		return b.addOperand(t, numberOperand(b.query[t.Begin:t.End]))
	case syntax.Text:
		b.text = t
	case syntax.Date:
		return b.addInstant(t, Date, instant.ParseDate)
	case syntax.Time:
		return b.addInstant(t, Time, instant.ParseTime)
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
		if int(t.Rule) < len(ops) && ops[t.Rule] != 0 {
			b.current.Op = ops[t.Rule]
		}
	}
	return nil
}

func unquote(s string) string { return strings.ReplaceAll(s, "''", "'") }

func numberOperand(text string) Operand {
	n, _ := decimal.Parse(text)
	return Operand{kind: Number, number: n, text: spelling(n, text)}
}

// spelling returns the shortest spelling of n, as a part of text if it is one.
func spelling(n decimal.Number, text string) string {
	var b [64]byte
	shortest := n.Append(b[:0])
	if string(shortest) == text {
		return text
	}
	return string(shortest)
}

func (b *builder) addInstant(t syntax.Token, kind Kind, parse func(string) (instant.Instant, bool)) error {
	text := b.query[b.text.Begin:b.text.End]
	at, ok := parse(text)
	if !ok || strings.HasPrefix(text, "0000") {
		return invalid(b.query, b.text.Begin, "there is no such %s", strings.ToLower(kind.String()))
	}
	return b.addOperand(t, Operand{kind: kind, at: at, text: text})
}

func (b *builder) addOperand(t syntax.Token, o Operand) error {
	if b.current.Op == In && len(b.operands)-b.first == b.limits.Operands {
		return invalid(b.query, t.Begin, "more than %d operands of one IN", b.limits.Operands)
	}
	if b.current.Op == Matches {
		pattern, err := compilePattern(o.text, b.limits.Regexp)
		if err != nil {
			e := invalid(b.query, t.Begin, "bad regular expression")
			e.Err = err
			return e
		}
		o.pattern = pattern
	}
	b.operands = append(b.operands, o)
	return nil
}

func (b *builder) addCondition(t syntax.Token) error {
	if len(b.conditions) == b.limits.Conditions {
		return invalid(b.query, t.Begin, "more than %d conditions", b.limits.Conditions)
	}
	c := b.current
	c.Operands = b.operands[b.first:len(b.operands):len(b.operands)]
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
