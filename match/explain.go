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
//	+ tm.event = 'Tx'     by 'Tx'
//	+ tx.height > 5       by '7', '8'
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
			fmt.Fprintf(&b, "\tby '%s'", strings.Join(c.Values, "', '"))
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
	return Explain(x.core.live.at(position).query, events), true
}
