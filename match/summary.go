package match

import (
	"strings"

	"github.com/harkbus/pubsub/internal/decimal"
	"github.com/harkbus/pubsub/internal/instant"
	"github.com/harkbus/pubsub/query"
)

// A summary is what comparisons need to know about the values of a key that has
// many or long ones. It is made when they are first asked for, in one pass, and
// lets each cost no more than a look at the operand:
//
//	<  <=  >  >=   the extremes
//	=  !=  IN      the set
//
// T is what values are on a scale, equal where they are ==.
type summary[T comparable] struct {
	on        bool // some value is on the scale
	low, high T
	set       map[T]struct{} // empty until it is first asked for
}

// summaries are those of the event in hand, to be used again.
type summaries[T comparable] struct {
	all  []summary[T]
	used int
}

// at returns a summary by its number, which is 1 + its place; if that is 0 it
// gives one out.
func (x *summaries[T]) at(number *uint32) (s *summary[T], isNew bool) {
	if *number > 0 {
		return &x.all[*number-1], false
	}
	if x.used == len(x.all) {
		x.all = append(x.all, summary[T]{})
	}
	x.used++
	*number = uint32(x.used)
	return &x.all[x.used-1], true
}

// clear lets go of the event.
func (x *summaries[T]) clear() {
	for i := range x.all[:x.used] {
		s := &x.all[i]
		if len(s.set) > usual {
			s.set = nil
		}
		clear(s.set)
		*s = summary[T]{set: s.set}
	}
	if x.used > fewSummaries {
		x.all = nil
	}
	x.used = 0
}

const fewSummaries = 64 // that are kept for the next event

// A line tells how to read values on a scale, and their order.
type line[T comparable] struct {
	read    func(string) (T, bool)
	compare func(a, b T) int
}

var (
	decimals = line[decimal.Number]{
		func(v string) (decimal.Number, bool) { n, length := decimal.Parse(v); return n, length > 0 },
		decimal.Number.Cmp,
	}
	times     = line[instant.Instant]{instant.Parse, instant.Instant.Compare}
	spellings = line[string]{func(v string) (string, bool) { return v, true }, strings.Compare}
)

// summarySatisfies is someSatisfies by the summary of the values.
func (c *core) summarySatisfies(a *attribute, op query.Op, s scale, text string) bool {
	ev, number := &c.event, &a.summed[s]
	switch s {
	case numbers:
		return satisfied(&ev.numbers, number, &decimals, a.values, op, text)
	case instants:
		return satisfied(&ev.instants, number, &times, a.values, op, text)
	default:
		return satisfied(&ev.texts, number, &spellings, a.values, op, text)
	}
}

func satisfied[T comparable](x *summaries[T], number *uint32, l *line[T], values []string, op query.Op, text string) bool {
	s, isNew := x.at(number)
	if isNew {
		s.span(l, values)
	}
	operand, _ := l.read(text)
	if !s.on {
		return false
	}
	switch op {
	case query.Less, query.LessOrEqual:
		return ordersAs(l.compare(s.low, operand), op)
	case query.Greater, query.GreaterOrEqual:
		return ordersAs(l.compare(s.high, operand), op)
	}
	if len(s.set) == 0 {
		s.collect(l, values)
	}
	_, ok := s.set[operand]
	return ok
}

// span finds the extremes.
func (s *summary[T]) span(l *line[T], values []string) {
	for _, v := range values {
		at, ok := l.read(v)
		switch {
		case !ok:
		case !s.on:
			s.on, s.low, s.high = true, at, at
		case l.compare(at, s.low) < 0:
			s.low = at
		case l.compare(at, s.high) > 0:
			s.high = at
		}
	}
}

// collect fills the set.
func (s *summary[T]) collect(l *line[T], values []string) {
	if s.set == nil {
		s.set = make(map[T]struct{})
	}
	for _, v := range values {
		if at, ok := l.read(v); ok {
			s.set[at] = struct{}{}
		}
	}
}
