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
	undecided // it takes a regular expression, or long for another reason
)

// verdict runs the terms of a record on the event in hand, up to the first that
// takes long. The term numbered known is known to hold.
func (c *core) verdict(r *record, known int) verdict {
	switch r.terms {
	case 0:
		return holds
	case opaque:
		return c.weighed(c.live.at(r.position).query)
	}
	c.event.left = atOnce
	for i := 0; ; {
		t := r.term(i)
		next := t.no
		if i == known {
			next = t.yes
		} else {
			switch c.verdictOfTerm(r, t) {
			case undecided:
				return undecided
			case holds:
				next = t.yes
			}
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

// How many steps, as query.Query.Weigh counts them, may be taken in the index,
// beside what costs no more than reading the query.
const (
	atOnce    = 1 << 10 // by one query
	allAtOnce = 1 << 19 // by all of them and by the nodes together, for one event: 1 to 2 ms
)

// weighed leaves the verdict to the query itself.
func (c *core) weighed(q *query.Query) verdict {
	matches, work := c.event.scale.Weigh(q)
	if work > 0 {
		return undecided
	}
	return verdictOf(matches)
}

func verdictOf(ok bool) verdict {
	if ok {
		return holds
	}
	return fails
}

func (c *core) verdictOfTerm(r *record, t *term) verdict {
	if t.op == query.Matches {
		return undecided // the pattern is with the query
	}
	a := c.attribute(t.key)
	switch {
	case t.op == query.Exists:
		return verdictOf(len(a.values) > 0 || c.isType(t.key))
	case len(a.values) == 0:
		return fails
	}
	v := c.someSatisfies(r, t, a)
	if t.op == query.NotEqual && v != undecided {
		return verdictOf(v == fails)
	}
	return v
}

// someSatisfies tells whether some value satisfies the operator; for NotEqual,
// whether some value is equal.
func (c *core) someSatisfies(r *record, t *term, a *attribute) verdict {
	if a.weight() <= light {
		return verdictOf(c.loop(r, t, a))
	}
	a.asked++
	steps := t.op.Steps(t.kind, int(t.size), len(a.values), a.size)
	compares := t.op != query.Contains && t.op != query.StartsWith && t.op != query.EndsWith
	switch {
	case steps <= min(c.event.left, c.event.spare) && !(compares && a.asked > rarely):
		c.event.left -= steps
		c.event.spare -= steps
		return verdictOf(c.loop(r, t, a))
	case compares:
		return verdictOf(c.summarySatisfies(a, t.op, scaleOf(t.kind), r.textOf(t)))
	case t.op == query.Contains && a.asked > rarely && !c.mayContain(t, r):
		return fails
	}
	return undecided
}

const (
	light  = 256 // weight of values that are compared without counting
	rarely = 8   // how often heavier ones are looked at before they are summed up or digested
)

// loop is someSatisfies by a look at each value.
func (c *core) loop(r *record, t *term, a *attribute) bool {
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
