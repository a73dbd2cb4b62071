package tmquery

import (
	"fmt"
	"time"

	"github.com/harkbus/pubsub/query"
)

// A Query tells which events match. It is immutable; its methods may be called
// from any goroutine.
type Query struct {
	text  string
	terms []term
	means *query.Query
}

// New parses a query.
func New(s string) (*Query, error) {
	terms, err := parse(s)
	if err != nil {
		return nil, err
	}
	means, err := translate(s, terms)
	if err != nil {
		return nil, err
	}
	return &Query{s, terms, means}, nil
}

// MustParse is like [New] and panics where New returns an error. It is for
// queries that are part of the program.
func MustParse(s string) *Query {
	q, err := New(s)
	if err != nil {
		panic(fmt.Sprintf("failed to parse %s: %v", s, err))
	}
	return q
}

// translate returns the query of package query that a text means.
func translate(s string, terms []term) (*query.Query, error) {
	q, err := query.New(s)
	if err != nil {
		return nil, err
	}
	conditions := q.Conditions()
	if len(conditions) != len(terms) {
		return nil, fmt.Errorf("tmquery: %q means something else to package query", s)
	}
	for i, c := range conditions {
		if c.Key != terms[i].key {
			return nil, fmt.Errorf("tmquery: the attribute %q has a blank that package query takes for the end of it", terms[i].key)
		}
	}
	return q, nil
}

// String returns the text that was parsed.
func (q *Query) String() string { return q.text }

// Indexed returns what the query means, by which the bus indexes it.
// There is none for nil.
func (q *Query) Indexed() (receiver any, means *query.Query) {
	if q == nil {
		return q, nil
	}
	return q, q.means
}

// Matches reports whether the events of one publication match. Its error is
// always nil.
func (q *Query) Matches(events map[string][]string) (bool, error) { return q.means.Matches(events) }

// A Condition is one comparison of a query.
type Condition struct {
	CompositeKey string   // such as tx.height
	Op           Operator // such as OpGreater
	Operand      any      // string, int64, float64 or time.Time; nil for OpExists
}

// Conditions returns the comparisons in their order. It returns an error if a
// number has no int64 or float64.
func (q *Query) Conditions() ([]Condition, error) {
	conditions := make([]Condition, len(q.terms))
	for i, t := range q.terms {
		operand, err := t.operand()
		if err != nil {
			return nil, fmt.Errorf("tmquery: %w", err)
		}
		conditions[i] = Condition{t.key, t.op, operand}
	}
	return conditions, nil
}

// An Operator says how the values of an attribute are compared with the operand.
type Operator uint8

// The operators.
const (
	OpLessEqual    Operator = iota // <=
	OpGreaterEqual                 // >=
	OpLess                         // <
	OpGreater                      // >
	OpEqual                        // =
	OpContains                     // CONTAINS: part of the value
	OpExists                       // EXISTS: there is a value
)

// The layouts of operands, for [time.Parse].
const (
	DateLayout = "2006-01-02" // of DATE
	TimeLayout = time.RFC3339 // of TIME
)

// Empty is a query that matches every publication.
type Empty struct{}

// Matches returns true and no error.
func (Empty) Matches(map[string][]string) (bool, error) { return true, nil }

// String returns "empty".
func (Empty) String() string { return "empty" }

// Indexed returns [query.All].
func (e Empty) Indexed() (receiver any, means *query.Query) { return e, query.All }
