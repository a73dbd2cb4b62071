package match

import (
	"fmt"
	"slices"
	"strings"

	"github.com/harkbus/pubsub/query"
)

// An Explanation tells why a query matched an event, or why it did not.
type Explanation struct {
	Query      *query.Query
	Matched    bool
	Conditions []ExplainedCondition // in the order of the query's text
}

// An ExplainedCondition is one condition of an [Explanation].
type ExplainedCondition struct {
	*query.Condition
	Holds  bool     // for the event
	Looked bool     // false if the answer was known before this condition's turn
	Values []string // the values of its key that satisfy it
	Filed  bool     // the index finds the query by this condition
}

// Explain tries q on events and tells about each condition. It is for people
// who debug a query, not for every event: it takes memory and time.
func Explain(q *query.Query, events map[string][]string) Explanation {
	e := Explanation{Query: q}
	looked := make(map[*query.Condition]bool)
	e.Matched = q.Expr() == nil || tried(q.Expr(), events, looked)
	for _, condition := range q.Conditions() {
		e.Conditions = append(e.Conditions, ExplainedCondition{
			Condition: condition,
			Holds:     condition.Holds(events),
			Looked:    looked[condition],
			Values:    slices.Collect(condition.SatisfiedBy(events)),
		})
	}
	return e
}

// ExplainSteps returns how many steps Explain takes at most, as
// [query.Query.Weigh] counts them.
func ExplainSteps(q *query.Query, events map[string][]string) int64 {
	var s query.Scale
	s.Put(events)
	return 3 * s.Total(q) // tried, Holds, SatisfiedBy
}

// tried tells whether e holds, and notes the conditions that had to be asked.
func tried(e query.Expr, events map[string][]string, looked map[*query.Condition]bool) bool {
	switch e := e.(type) {
	case query.AllOf:
		return !slices.ContainsFunc(e, func(term query.Expr) bool { return !tried(term, events, looked) })
	case query.AnyOf:
		return slices.ContainsFunc(e, func(term query.Expr) bool { return tried(term, events, looked) })
	case query.Not:
		return !tried(e.Term, events, looked)
	case *query.Condition:
		looked[e] = true
		return e.Holds(events)
	default:
		panic(fmt.Sprintf("match: unknown expression %T", e))
	}
}

// String lists the conditions, one a line:
//
//	matched: tm.event = 'Tx' AND tx.height > 5
//	+ tm.event = 'Tx'  by 'Tx'  (indexed)
//	+ tx.height > 5  by '7', '8'
//
// with a minus before one that does not hold, and a dot before one that was
// not asked because the answer was known.
func (e Explanation) String() string {
	var b strings.Builder
	verdict := "no match"
	if e.Matched {
		verdict = "matched"
	}
	fmt.Fprintf(&b, "%s: %s\n", verdict, e.Query)
	for _, c := range e.Conditions {
		fmt.Fprintf(&b, "%s %s", c.sign(), c.Condition)
		if len(c.Values) > 0 {
			fmt.Fprintf(&b, "  by '%s'", strings.Join(c.Values, "', '"))
		}
		if c.Filed {
			b.WriteString("  (indexed)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (c ExplainedCondition) sign() string {
	switch {
	case !c.Looked:
		return "."
	case c.Holds:
		return "+"
	default:
		return "-"
	}
}

// Explain tries the query named id on events. Other than the function
// [Explain], it also tells which conditions the index finds the query by.
func (x *Index[V]) Explain(events map[string][]string, id ID) (e Explanation, ok bool) {
	position, ok := x.core.position(id)
	if !ok {
		return Explanation{}, false
	}
	held := x.core.live.at(position)
	e = Explain(held.query, events)
	filed := x.core.filed(held.record)
	term := 0
	for i := range e.Conditions {
		c := &e.Conditions[i]
		terms := 1
		if c.Op == query.In {
			terms = len(c.Operands)
		}
		for ; terms > 0; terms-- {
			c.Filed = c.Filed || filed[term]
			term++
		}
	}
	return e, true
}

// filed returns the terms that lead to a query, there and on the way.
func (c *core) filed(self ref) map[int]bool {
	terms := make(map[int]bool)
	r := c.record(self)
	for at := self; at != 0; at = c.entry(at).next {
		e := c.entry(at)
		switch e.way {
		case byNothing, byTurn:
		case byRange:
			c.addBounds(terms, r, (*c.trees.at(c.block(e.block).tree)).bounds)
		default:
			terms[int(e.term)] = true
		}
		for n := *c.nodes.at(e.node); n.parent != nil; n = n.parent {
			c.addCommon(terms, r, n)
		}
	}
	return terms
}

// addBounds adds the ranges that a tree has the ends of.
func (c *core) addBounds(terms map[int]bool, r *record, bounds []bound) {
	for i := range int(r.terms) {
		t := r.term(i)
		if a := (atom{op: t.op, kind: t.kind, key: t.key}); a.way() == byRange && slices.ContainsFunc(bounds, boundOf(&a).sameEnd) {
			terms[i] = true
		}
	}
}

// addCommon adds the terms by which an entry came to be in a node.
func (c *core) addCommon(terms map[int]bool, r *record, n *node) {
	for i := range int(r.terms) {
		t := r.term(i)
		text := r.textOf(t)
		a := atom{op: t.op, kind: t.kind, text: text}
		if t.key != n.key || a.way() != n.way && n.way != byPresence {
			continue // any condition implies that its key is there
		}
		offsets := 1
		if n.way == byGram {
			offsets += len(text) - gramSize(len(text))
		}
		for offset := range offsets {
			if c.hash(n.parent, n.way, t.key, text, r.coordinateOf(t), offset) == n.hash {
				terms[i] = true
			}
		}
	}
}
