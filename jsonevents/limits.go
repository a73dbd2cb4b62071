package jsonevents

import "cmp"

// Limits bound what one document may cost. A field that is zero or less stands
// for its default.
type Limits struct {
	// Depth is how many objects and arrays may stand in one another. Default
	// 100, at most 10,000.
	Depth int

	// Values is how many values may become events. Default 10,000.
	Values int

	// Keys is how many different keys there may be, of values and of the objects
	// and arrays around them, where all are wanted; where queries say which, it is
	// those whose type alone is asked for. Default 10,000.
	Keys int

	// Bytes is how many bytes the events may have: their values, and each of
	// their keys once. Default 1 MiB.
	Bytes int
}

const maxDepth = 10_000 // bounds the stack, whatever the caller asks for

// withDefaults returns the limits with defaults in place of what is not set.
func (l Limits) withDefaults() Limits {
	return Limits{
		Depth:  min(cmp.Or(max(l.Depth, 0), 100), maxDepth),
		Values: cmp.Or(max(l.Values, 0), 10_000),
		Keys:   cmp.Or(max(l.Keys, 0), 10_000),
		Bytes:  cmp.Or(max(l.Bytes, 0), 1<<20),
	}
}
