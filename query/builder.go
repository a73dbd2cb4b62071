package query

import (
	"strings"

	"github.com/harkbus/pubsub/internal/decimal"
	"github.com/harkbus/pubsub/internal/instant"
	"github.com/harkbus/pubsub/query/internal/syntax"
)

// A builder makes a tree of tokens that come in post-order.
type builder struct {
	query      string
	limits     Limits
	conditions []Condition // one array for all conditions of the query
	operands   []Operand   // and one for all operands
	stack      []term
	nested     bool // a node stands below one of its own kind

	instructions int // of the regular expressions so far

	current Condition    // what is known of the condition to come
	first   int          // its first operand
	text    syntax.Token // the last text within a Date or Time
}

// A term is a finished part of the tree and where its text begins.
type term struct {
	expr  Expr
	begin int
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
	shortest := spelling(n, text)
	small, isSmall := decimal.ParseSmall(shortest)
	return Operand{kind: Number, text: shortest, number: n, small: small, isSmall: isSmall}
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
		if err := b.addPattern(t, &o); err != nil {
			return err
		}
	}
	b.operands = append(b.operands, o)
	return nil
}

func (b *builder) addPattern(t syntax.Token, o *Operand) error {
	p, needs, err := compilePattern(o.text, b.limits.Regexp-b.instructions)
	switch {
	case err != nil:
		e := invalid(b.query, t.Begin, "bad regular expression")
		e.Err = err
		return e
	case p == nil:
		return invalid(b.query, t.Begin, "the regular expressions up to here need %.0f instructions, more than %d: use shorter repetitions and fewer alternatives",
			float64(b.instructions)+needs, b.limits.Regexp)
	}
	b.instructions += p.instructions
	o.pattern = p
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

// A junction is a node of two terms or more.
type junction interface {
	AllOf | AnyOf
	Expr
}

// join replaces the terms from begin on by one node of them all.
func join[Node junction](b *builder, begin int) {
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
		_, same := t.expr.(Node)
		b.nested = b.nested || same
	}
	clear(terms)
	b.stack = append(b.stack[:first], term{node, begin})
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

func appendFlat[Node junction](flat, node Node) Node {
	for _, e := range node {
		if same, ok := e.(Node); ok {
			flat = appendFlat(flat, same)
		} else {
			flat = append(flat, flatten(e))
		}
	}
	return flat
}
