package match

import (
	"strings"

	"github.com/harkbus/pubsub/query"
)

// holds runs the terms of a record on the event in hand. The term numbered
// known is known to hold.
func (c *core) holds(r record, known int) bool {
	switch r.terms() {
	case 0:
		return true
	case opaque:
		return c.ask(r)
	}
	for i := 0; ; {
		t := r.term(i)
		next := t.no
		switch {
		case i == known:
			next = t.yes
		case t.op == query.Matches:
			return c.ask(r) // the pattern is with the query
		case c.holdsTerm(&t):
			next = t.yes
		}
		if next >= reject {
			return next == accept
		}
		i = int(next)
	}
}

// ask leaves the answer to the query itself.
func (c *core) ask(r record) bool {
	ok, _ := c.live.at(r.position()).query.Matches(c.event.keys)
	return ok
}

func (c *core) holdsTerm(t *term) bool {
	a := c.attribute(t.key)
	switch {
	case t.op == query.Exists:
		return len(a.values) > 0 || c.isType(t.key)
	case t.op == query.NotEqual:
		return len(a.values) > 0 && !c.someSatisfies(a, t)
	default:
		return c.someSatisfies(a, t)
	}
}

// someSatisfies reports whether some value satisfies the operator; for
// NotEqual, whether some value is equal.
func (c *core) someSatisfies(a *attribute, t *term) bool {
	if t.kind > query.String {
		return c.someCompares(a, t)
	}
	for _, v := range a.values {
		if satisfies(v, t) {
			return true
		}
	}
	return false
}

func satisfies(v string, t *term) bool {
	switch t.op {
	case query.Equal, query.NotEqual:
		return v == t.text
	case query.Contains:
		return strings.Contains(v, t.text)
	case query.StartsWith:
		return strings.HasPrefix(v, t.text)
	case query.EndsWith:
		return strings.HasSuffix(v, t.text)
	default:
		return ordersAs(strings.Compare(v, t.text), t.op)
	}
}

// someCompares is someSatisfies on numbers and instants. The coordinates
// decide, unless they are equal.
func (c *core) someCompares(a *attribute, t *term) bool {
	s := scaleOf(t.kind)
	first := int(c.event.project(a, s).first) - 1
	for i, v := range a.values {
		at := c.event.coordinate[first+i]
		if at == none {
			continue
		}
		order := +1
		switch {
		case at < t.coordinate:
			order = -1
		case at == t.coordinate:
			order = compareExactly(s, v, t.text)
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
