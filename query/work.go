package query

// Instructions returns how many instructions the regular expressions of the
// query have together, as [Limits].Regexp counts them; 0 if it has none.
func (q *Query) Instructions() int { return int(q.instructions) }

func (c *Condition) instructions() int64 {
	if c.Op != Matches {
		return 0
	}
	return int64(c.Operands[0].pattern.instructions)
}

// Weigh tells what Matches would cost, for who must not wait for the work of a
// stranger's query.
//
// If work is 0, the answer takes little, and matches is what Matches returns.
// Otherwise it depends on conditions that take long, of which none was run, and
// work is what they take at most, in steps. A step takes 1 to 7 ns; it is
//
//	MATCHES                an instruction of the expression over a byte
//	numbers, DATE, TIME    a byte
//	CONTAINS               four bytes
//	other comparisons      16 bytes of the operand with one value; at least two a value
//	EXISTS of a type       a key of the events
//
// of all values of the key, and a value costs as much as one 16 bytes longer. A
// condition of MATCHES takes long wherever the key has a value, another one if
// it would take the query beyond 1,024 steps, those not counted over values of
// at most 256 bytes together. More than 2⁵⁰ steps are told as 2⁵⁰.
//
// Of the steps that need not be told, all queries on one [Scale] have 2¹⁹ together;
// once these are taken, conditions with values of more than 256 bytes are told.
//
// Weighing takes time linear in the conditions and in the number of the values;
// who weighs many queries for the same events has a [Scale].
func (q *Query) Weigh(events map[string][]string) (matches bool, work int64) {
	s := Scale{events: events, spare: allAtOnce}
	return s.Weigh(q)
}

// A Scale weighs queries for the events of one publication, and looks once only
// at how long their values are. It is for one goroutine at a time; used again,
// it takes no memory.
type Scale struct {
	events map[string][]string
	sizes  map[string]int64 // of keys with many values
	left   int64            // of what a query may take at once
	spare  int64            // of what all of them may
}

// Put puts events on the scale, or, if they are nil, lets go of those there.
func (s *Scale) Put(events map[string][]string) {
	s.events, s.spare = events, allAtOnce
	switch n := len(s.sizes); {
	case n > 1<<10:
		s.sizes = nil // not to keep the memory
	case n > 0:
		clear(s.sizes)
	}
}

const (
	atOnce    = 1 << 10 // steps of one query that are not worth telling
	allAtOnce = 1 << 19 // of all on one scale
	light     = 256     // size of values that may be compared without counting
	fewValues = light / perValue
)

// Weigh is [Query.Weigh] for the events on the scale.
func (s *Scale) Weigh(q *Query) (matches bool, work int64) {
	if q.expr == nil {
		return true, 0
	}
	if q.instructions == 0 {
		if a := q.expr.glance(s.events); a != open {
			return a == yes, 0
		}
	}
	s.left = atOnce
	a, work := s.weigh(q.expr)
	if a == open {
		return false, work
	}
	return a == yes, 0
}

// Total returns how many steps all conditions of a query take at most, whatever
// the others say.
func (s *Scale) Total(q *Query) (steps int64) {
	for _, c := range q.Conditions() {
		steps = min(steps+s.steps(c, s.events[c.Key]), maxWork)
	}
	return steps
}

// An answer is what is known without what takes long, in an order in which
// AND takes the least of its terms, OR the greatest, and NOT the opposite.
type answer int8

const (
	no   answer = -1
	open answer = 0
	yes  answer = +1
)

func answerOf(holds bool) answer {
	if holds {
		return yes
	}
	return no
}

// glance is Holds up to the first condition that is not light.
func (e AllOf) glance(events map[string][]string) answer {
	var key string
	var values []string
	for _, term := range e {
		var a answer
		if c, ok := term.(*Condition); ok {
			if c.Key != key {
				key, values = c.Key, events[c.Key]
			}
			a = c.glanceAt(values, events)
		} else {
			a = term.glance(events)
		}
		if a != yes {
			return a
		}
	}
	return yes
}

func (e AnyOf) glance(events map[string][]string) answer {
	for _, term := range e {
		if a := term.glance(events); a != no {
			return a
		}
	}
	return no
}

func (e Not) glance(events map[string][]string) answer { return -e.Term.glance(events) }

func (c *Condition) glance(events map[string][]string) answer {
	return c.glanceAt(events[c.Key], events)
}

func (c *Condition) glanceAt(values []string, events map[string][]string) answer {
	if c.isLight(values, events) {
		return answerOf(c.holds(values, events))
	}
	return open
}

// isLight reports whether it takes so little to try the condition that counting
// would take more.
func (c *Condition) isLight(values []string, events map[string][]string) bool {
	switch c.Op {
	case Matches:
		return len(values) == 0
	case Exists:
		return len(values) > 0 || len(events) <= light
	}
	return len(values) <= fewValues && size(values) <= light
}

func size(values []string) (n int64) {
	for _, v := range values {
		n += int64(len(v)) + perValue
	}
	return n
}

// weigh adds up the work of all that takes long below e, since Holds may do it
// before it comes to the term that makes it needless.
func (s *Scale) weigh(e Expr) (a answer, work int64) {
	switch e := e.(type) {
	case AllOf:
		return s.weighTerms(e, yes, func(a, b answer) answer { return min(a, b) })
	case AnyOf:
		return s.weighTerms(e, no, func(a, b answer) answer { return max(a, b) })
	case Not:
		a, work = s.weigh(e.Term)
		return -a, work
	default:
		return s.weighCondition(e.(*Condition))
	}
}

func (s *Scale) weighTerms(terms []Expr, a answer, join func(a, b answer) answer) (answer, int64) {
	var work int64
	for _, term := range terms {
		b, more := s.weigh(term)
		a, work = join(a, b), min(work+more, maxWork)
	}
	return a, work
}

const (
	maxWork  = 1 << 50
	perValue = 16 // bytes that take as long as to begin with a value
)

func (s *Scale) weighCondition(c *Condition) (answer, int64) {
	values := s.events[c.Key]
	if c.isLight(values, s.events) {
		return answerOf(c.holds(values, s.events)), 0
	}
	steps := s.steps(c, values)
	if c.Op != Matches && steps <= min(s.left, s.spare) {
		s.left -= steps
		s.spare -= steps
		return answerOf(c.holds(values, s.events)), 0
	}
	return open, steps
}

// steps returns what a condition takes at most.
func (s *Scale) steps(c *Condition, values []string) int64 {
	switch c.Op {
	case Exists:
		return int64(len(s.events))
	case Matches:
		instructions := c.instructions()
		if bytes := s.size(c.Key, values); bytes <= maxWork/instructions {
			return bytes * instructions
		}
		return maxWork
	}
	bytes := s.size(c.Key, values)
	var steps int64
	for i := range c.Operands {
		o := &c.Operands[i]
		steps = min(steps+c.Op.Steps(o.kind, len(o.text), len(values), bytes), maxWork)
	}
	return steps
}

// size is size, which it remembers where that is worth it.
func (s *Scale) size(key string, values []string) int64 {
	if len(values) <= fewValues {
		return size(values)
	}
	n, ok := s.sizes[key]
	if !ok {
		if s.sizes == nil {
			s.sizes = make(map[string]int64)
		}
		n = size(values)
		s.sizes[key] = n
	}
	return n
}

// Steps returns how many steps an operator other than MATCHES and EXISTS takes
// at most, for an operand of a kind with a text of a length, and so many values
// that have so many bytes, with 16 added for each.
func (op Op) Steps(k Kind, text, values int, bytes int64) int64 {
	switch {
	case k > String:
		return bytes
	case op == Contains:
		return bytes / 4
	}
	return int64(values) * int64(2+text/16)
}
