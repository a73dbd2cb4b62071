package match

import (
	"strings"

	"github.com/harkbus/pubsub/query"
)

// A verdict is what the terms of a record say of an event.
type verdict uint8

const (
	fails verdict = iota
	holds
	undecided // it takes a regular expression, which may take long
)

// verdict runs the terms of a record on the event in hand, up to the first
// regular expression. The term numbered known is known to hold.
func (c *core) verdict(r *record, known int) verdict {
	switch r.terms {
	case 0:
		return holds
	case opaque:
		return try(c.live.at(r.position).query, c.event.keys)
	}
	for i := 0; ; {
		t := r.term(i)
		next := t.no
		switch {
		case i == known:
			next = t.yes
		case t.op == query.Matches:
			return undecided // the pattern is with the query
		case c.holdsTerm(r, t):
			next = t.yes
		}
		if next >= reject {
			if next == accept {
				return holds
			}
			return fails
		}
		i = int(next)
	}
}

// try leaves the verdict to the query itself.
func try(q *query.Query, events map[string][]string) verdict {
	switch matches, work := q.Weigh(events); {
	case work > 0:
		return undecided
	case matches:
		return holds
	default:
		return fails
	}
}

func (c *core) holdsTerm(r *record, t *term) bool {
	a := c.attribute(t.key)
	switch {
	case t.op == query.Exists:
		return len(a.values) > 0 || c.isType(t.key)
	case t.op == query.NotEqual:
		return len(a.values) > 0 && !c.someSatisfies(r, t, a)
	default:
		return c.someSatisfies(r, t, a)
	}
}

// someSatisfies reports whether some value satisfies the operator; for
// NotEqual, whether some value is equal.
func (c *core) someSatisfies(r *record, t *term, a *attribute) bool {
	if t.kind > query.String {
		return c.someCompares(r, t, a)
	}
	text := r.textOf(t)
	for _, v := range a.values {
		if satisfies(v, t.op, text) {
			return true
		}
	}
	return false
}

func satisfies(v string, op query.Op, text string) bool {
	switch op {
	case query.Equal, query.NotEqual:
		return v == text
	case query.Contains:
		return strings.Contains(v, text)
	case query.StartsWith:
		return strings.HasPrefix(v, text)
	case query.EndsWith:
		return strings.HasSuffix(v, text)
	default:
		return ordersAs(strings.Compare(v, text), op)
	}
}

// someCompares is someSatisfies on numbers and instants. The coordinates
// decide, unless they are equal.
func (c *core) someCompares(r *record, t *term, a *attribute) bool {
	s := scaleOf(t.kind)
	first := c.event.project(a, s).first
	operand := r.coordinateOf(t)
	for i, v := range a.values {
		at := c.event.coordinates[first+i]
		if at == none {
			continue
		}
		order := +1
		switch {
		case at < operand:
			order = -1
		case at == operand:
			order = compareExactly(s, v, r.textOf(t))
		}
		if ordersAs(order, t.op) {
			return true
		}
	}
	return false
}

func ordersAs(order int, op query.Op) bool {
	switch op {
	case query.Less:
		return order < 0
	case query.LessOrEqual:
		return order <= 0
	case query.Greater:
		return order > 0
	case query.GreaterOrEqual:
		return order >= 0
	default: // Equal, NotEqual
		return order == 0
	}
}
