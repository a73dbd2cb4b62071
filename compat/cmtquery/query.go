package cmtquery

import (
	"fmt"
	"slices"

	"github.com/harkbus/pubsub/compat/cmtquery/syntax"
	"github.com/harkbus/pubsub/query"
)

// All is a query that matches every publication: a nil *Query does.
var All *Query

// A Query tells which events match. It is immutable; its methods may be called
// from any goroutine.
type Query struct {
	tree  syntax.Query
	means *query.Query // nil if there is no condition
}

// New parses a query.
func New(text string) (*Query, error) {
	tree, err := syntax.Parse(text)
	if err != nil {
		return nil, err
	}
	return Compile(tree)
}

// MustCompile is like [New] and panics where New returns an error. It is for
// queries that are part of the program.
func MustCompile(text string) *Query {
	q, err := New(text)
	if err != nil {
		panic(err)
	}
	return q
}

// Compile returns the query of a tree, which must not be modified after. A
// tree without conditions matches every publication that has events.
func Compile(tree syntax.Query) (*Query, error) {
	if len(tree) == 0 {
		return &Query{tree: tree}, nil
	}
	for _, c := range tree {
		if err := validate(c); err != nil {
			return nil, fmt.Errorf("compile %s: %w", c, err)
		}
	}
	means, err := query.New(tree.String())
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(means.Conditions(), tree, sameKey) {
		return nil, fmt.Errorf("compile %s: a tag of it is none", tree)
	}
	return &Query{tree, means}, nil
}

// validate refuses what no text can say.
func validate(c syntax.Condition) error {
	if c.Op == syntax.TExists {
		return nil
	}
	if c.Arg == nil {
		return fmt.Errorf("%v without an argument", c.Op)
	}
	ordered := c.Arg.Type == syntax.TNumber || c.Arg.Type == syntax.TTime || c.Arg.Type == syntax.TDate
	switch c.Op {
	case syntax.TLt, syntax.TLeq, syntax.TGt, syntax.TGeq:
		if ordered {
			return nil
		}
	case syntax.TEq:
		if ordered || c.Arg.Type == syntax.TString {
			return nil
		}
	case syntax.TContains:
		if c.Arg.Type == syntax.TString {
			return nil
		}
	}
	return fmt.Errorf("%v with a %v", c.Op, c.Arg.Type)
}

func sameKey(c *query.Condition, tree syntax.Condition) bool { return c.Key == tree.Tag }

// Matches reports whether the events of one publication match. Its error is
// always nil.
func (q *Query) Matches(events map[string][]string) (bool, error) {
	switch {
	case q == nil:
		return true, nil
	case q.means == nil:
		return len(events) > 0, nil
	}
	return q.means.Matches(events)
}

// String returns the query in one spelling, "<empty>" for [All].
func (q *Query) String() string {
	if q == nil {
		return "<empty>"
	}
	return q.tree.String()
}

// Syntax returns the tree, nil for [All]. It must not be modified.
func (q *Query) Syntax() syntax.Query {
	if q == nil {
		return nil
	}
	return q.tree
}

// Indexed returns what the query means, by which the bus indexes it; nil if it
// has no condition.
func (q *Query) Indexed() (receiver any, means *query.Query) {
	if q == nil {
		return q, query.All
	}
	return q, q.means
}
