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

// Weigh tells what Matches would cost, for who must not wait for the regular
// expressions of a stranger. It runs none of them.
//
// If work is 0, no regular expression is needed, and matches is what Matches
// returns. Otherwise the answer depends on them, and work is what they take at
// most, in steps of one instruction over one byte: each has its instructions
// run over all values of its key, and a value costs as much as one 16 bytes
// longer. A step takes 1 to 7 ns. More than 2⁵⁰ steps are told as 2⁵⁰.
func (q *Query) Weigh(events map[string][]string) (matches bool, work int64) {
	if q.instructions == 0 {
		matches, _ = q.Matches(events)
		return matches, 0
	}
	a, work := weigh(q.expr, events)
	if a == open {
		return false, work
	}
	return a == yes, 0
}

// An answer is what is known without regular expressions, in an order in which
// AND takes the least of its terms, OR the greatest, and NOT the opposite.
type answer int8

const (
	no   answer = -1
	open answer = 0
	yes  answer = +1
)

// weigh adds up the work of all expressions below e, since Holds may run them
// before it comes to the term that makes them needless.
func weigh(e Expr, events map[string][]string) (a answer, work int64) {
	switch e := e.(type) {
	case AllOf:
		return weighTerms(e, events, yes, func(a, b answer) answer { return min(a, b) })
	case AnyOf:
		return weighTerms(e, events, no, func(a, b answer) answer { return max(a, b) })
	case Not:
		a, work = weigh(e.Term, events)
		return -a, work
	default:
		return e.(*Condition).weigh(events)
	}
}

func weighTerms(terms []Expr, events map[string][]string, a answer, join func(a, b answer) answer) (answer, int64) {
	var work int64
	for _, term := range terms {
		b, more := weigh(term, events)
		a, work = join(a, b), min(work+more, maxWork)
	}
	return a, work
}

const (
	maxWork  = 1 << 50
	perValue = 16 // bytes that take as long as to begin with a value
)

func (c *Condition) weigh(events map[string][]string) (answer, int64) {
	if c.Op != Matches {
		if c.Holds(events) {
			return yes, 0
		}
		return no, 0
	}
	var bytes int64
	for _, v := range events[c.Key] {
		bytes += int64(len(v)) + perValue
	}
	instructions := c.instructions()
	switch {
	case bytes == 0:
		return no, 0
	case bytes > maxWork/instructions:
		return open, maxWork
	}
	return open, bytes * instructions
}
