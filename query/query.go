package query

import "slices"

// A Query tells which events match. It is immutable; its methods may be called
// from any goroutine.
type Query struct {
	expr         Expr   // nil for All
	text         string // canonical
	instructions int64  // of its regular expressions
}

// All matches every publication, also one without events. Its text is "empty",
// the one canonical text that [New] does not take.
var All = &Query{text: emptyText}

const emptyText = "empty"

// Empty matches every publication, as [All] does. It is here for code written
// for Tendermint.
type Empty struct{}

// Matches returns true and no error.
func (Empty) Matches(map[string][]string) (bool, error) { return true, nil }

// String returns "empty".
func (Empty) String() string { return emptyText }

// New parses a query within the default [Limits]. Its error is a
// [*SyntaxError].
func New(s string) (*Query, error) { return Limits{}.New(s) }

// MustParse is like [New] and panics where New returns an error. It is for
// queries that are part of the program.
func MustParse(s string) *Query {
	q, err := New(s)
	if err != nil {
		panic(err)
	}
	return q
}

// And returns the query that matches where both a and b match; [All] adds
// nothing. It joins their trees, not their texts, and is not bound by limits:
// the text of the result may be longer than New accepts by default.
func And(a, b *Query) *Query {
	switch {
	case a.expr == nil:
		return b
	case b.expr == nil:
		return a
	}
	expr := slices.Concat(a.terms(), b.terms())
	return &Query{expr: expr, text: expr.String(), instructions: a.instructions + b.instructions}
}

// Or returns the query that matches where a or b does; with [All] that is
// everywhere. Like And it joins trees and is not bound by limits.
func Or(a, b *Query) *Query {
	if a.expr == nil || b.expr == nil {
		return All
	}
	var expr AnyOf
	for _, q := range []*Query{a, b} {
		if any, ok := q.expr.(AnyOf); ok {
			expr = append(expr, any...)
		} else {
			expr = append(expr, q.expr)
		}
	}
	return &Query{expr: expr, text: expr.String(), instructions: a.instructions + b.instructions}
}

// terms returns what has to hold for q to match.
func (q *Query) terms() AllOf {
	if all, ok := q.expr.(AllOf); ok {
		return all
	}
	return AllOf{q.expr}
}

// Matches reports whether the events of one publication match: a map from
// keys to the values that each has. It takes no memory, and its error is
// always nil: it is there for interfaces that other queries implement too.
//
// Nothing bounds the time that it takes on values that are many or long but
// [Limits], when the query was parsed: see Weigh.
func (q *Query) Matches(events map[string][]string) (bool, error) {
	return q.expr == nil || q.expr.Holds(events), nil
}

// String returns the canonical text. Two queries are the same if their
// canonical texts are; the text does not change between releases.
func (q *Query) String() string { return q.text }

// Expr returns the tree of the query, nil for [All].
func (q *Query) Expr() Expr { return q.expr }

// Conditions returns all conditions of the query in the order of its text.
func (q *Query) Conditions() []*Condition { return appendConditions(nil, q.expr) }

func appendConditions(all []*Condition, e Expr) []*Condition {
	switch e := e.(type) {
	case *Condition:
		all = append(all, e)
	case Not:
		all = appendConditions(all, e.Term)
	case AllOf:
		for _, term := range e {
			all = appendConditions(all, term)
		}
	case AnyOf:
		for _, term := range e {
			all = appendConditions(all, term)
		}
	}
	return all
}
