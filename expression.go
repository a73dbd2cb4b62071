package pubsub

import (
	"cmp"
	"slices"

	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/service"
)

// DefaultExpressionBudget is the budget of a server without the option
// ExpressionBudget: four queries of the default query.Limits, each run over a
// value of 16 KiB.
const DefaultExpressionBudget = expressionShare * (perQuery + 400*(16<<10+16))

// expressionShare is the part of the budget that one query may take: a fourth.
const expressionShare = 4

// perQuery is how many steps a query takes beside its expressions: its memory
// has to be loaded, and that of its programs, and its place found among all.
const perQuery = 128

// mostWeighed is how many bytes of queries are weighed for one publication: 0.1 s.
const mostWeighed = 12 << 20

// ExpressionBudget sets how many steps one publication may spend on the
// conditions of all queries together that take long, and a fourth of it on those
// of one. These are regular expressions, and, where values are many or long, what
// the index cannot answer by one pass over them for all: CONTAINS, STARTSWITH and
// ENDSWITH. A step is one instruction of an expression over one byte of a value,
// or as much of another condition as query.Query.Weigh counts for it, and takes
// 1 to 7 ns; each query that is run takes 128 steps more, so that many cheap ones
// are bounded as few expensive ones are. Without this option, and for budgets
// below one, it is DefaultExpressionBudget, which is at most 0.2 s.
//
// Up to 1,024 steps of a query are taken without counting, in the index or when it is
// weighed, as long as those of all queries are no more than 2¹⁹ in each of both; what
// comes then is counted. Of the queries that the index leaves undecided, as many are
// weighed as have texts of 12 MiB together; those beyond end as if beyond the budget.
//
// Only queries that depend on such conditions are counted. One that another
// condition decides takes nothing, nor one that the index rules out since no
// value has a literal of its expression, for which it looks if there are more
// than 8 queries. So a subscription with a literal or a second condition may
// outlive a publication that ends one with the same expression and nothing else;
// rely on the budget, not on what the index spares.
//
// The cheapest queries are run first, and among equals the oldest. Those that
// the budget does not reach cannot be answered for this publication: all
// subscriptions to them end with ErrExpressionBudget.
func ExpressionBudget(steps int64) Option {
	return func(s *Server) { s.expressions.budget = steps }
}

// expressions decides the queries of a publication that the index leaves
// undecided, because they take regular expressions, or long for another reason.
// That happens without the server's mu, and for a bounded time. What is beyond ends, and is not run
// later: an order of delivery that waited for it would be one that a stranger
// can hold up, and what is kept for it memory that a stranger can fill.
type expressions struct {
	budget  int64 // steps
	scale   query.Scale
	noted   []weighed // the undecided queries; reused, as all below
	matched []*topic  // whose query matches
	over    []weighed // beyond the budget
}

// weighed is a topic, and the steps that its query takes at most, with perQuery.
type weighed struct {
	*topic
	steps int64
	age   uint64 // the topic's born: to sort by it without a look at every topic
}

// note takes note of a topic that is to be decided, unless nobody would get the
// publication by it. The caller holds the server's mu.
func (x *expressions) note(t *topic) {
	if t.members() > 0 {
		x.noted = append(x.noted, weighed{topic: t})
	}
}

// decide answers what was noted for the events of a publication.
func (x *expressions) decide(events map[string][]string) {
	x.scale.Put(events)
	defer x.scale.Put(nil)
	open, text := x.noted[:0], 0
	for i, w := range x.noted {
		if text += len(w.text); text > mostWeighed {
			x.over = append(x.over, x.noted[i:]...)
			break
		}
		var matches bool
		if matches, w.steps = x.scale.Weigh(w.query.(*query.Query)); w.steps > 0 {
			w.steps += perQuery
			w.age = w.born
			open = append(open, w)
		} else if matches {
			x.matched = append(x.matched, w.topic)
		}
	}
	slices.SortFunc(open, func(a, b weighed) int {
		if a.steps != b.steps {
			return cmp.Compare(a.steps, b.steps)
		}
		return cmp.Compare(a.age, b.age)
	})
	left := x.limit()
	most := left / expressionShare
	for i, w := range open {
		if w.steps > min(left, most) {
			x.over = append(x.over, open[i:]...)
			return
		}
		left -= w.steps
		if matches, _ := w.query.Matches(events); matches {
			x.matched = append(x.matched, w.topic)
		}
	}
}

func (x *expressions) limit() int64 {
	if x.budget < 1 {
		return DefaultExpressionBudget
	}
	return x.budget
}

// clear makes x ready for the next publication.
func (x *expressions) clear() {
	clear(x.noted)
	clear(x.matched)
	clear(x.over)
	x.noted, x.matched, x.over = x.noted[:0], x.matched[:0], x.over[:0]
}

// decide answers for the topics that the index left undecided, without s.mu,
// which the caller holds. It has the pass, so that whoever subscribes meanwhile
// does so for later publications.
func (s *Server) decide(m *Message, undecided []*topic) {
	for i, t := range undecided {
		if i%step == step-1 {
			s.mu.Unlock()
			s.mu.LockFirst()
		}
		s.expressions.note(t)
	}
	s.mu.Unlock()
	s.queue.letIn()
	s.expressions.decide(m.events)
	s.mu.LockFirst()
}

// endOver ends the subscriptions to the queries that were beyond the budget, in
// bounded steps. The caller holds s.mu and has the pass.
func (s *Server) endOver() {
	n := 0
	for _, w := range s.expressions.over {
		for w.members() > 0 {
			if n++; n%step == 0 {
				s.mu.Unlock()
				s.mu.LockFirst()
				continue // somebody may have left
			}
			s.remove(w.member(), ErrExpressionBudget)
			s.totals.overBudget++
		}
	}
}

// fewLines is how many of the queries that one publication ended are logged.
const fewLines = 16

// tellOver logs why queries ended: of the first few, and how many more there
// are. The caller has the pass and no lock.
func (s *Server) tellOver() {
	over := s.expressions.over
	if len(over) > fewLines {
		s.reports.add(service.Logger.Info, "pubsub: many queries ended: their conditions take too long",
			"queries", len(over), "logged", fewLines, "budget", s.expressions.limit())
		over = over[:fewLines]
	}
	for _, w := range over {
		s.reports.add(service.Logger.Info, "pubsub: query ended: its conditions take too long",
			"query", w.text, "steps", w.steps, "budget", s.expressions.limit(), "instructions", w.query.(*query.Query).Instructions())
	}
}
