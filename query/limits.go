package query

import "cmp"

// Limits bound what one query may cost. A field that is zero or less stands
// for its default.
type Limits struct {
	// Length is how many bytes the text may have, as given and in its
	// canonical form. Default 4,096.
	Length int

	// Conditions is how many conditions a query may have. Default 256.
	Conditions int

	// Depth is how many parentheses and NOTs may stand around a condition.
	// Default 64, at most 10,000.
	Depth int

	// Operands is how many operands one IN may list. Default 256.
	Operands int

	// Regexp is how many instructions the programs may have together that the
	// regular expressions of all MATCHES compile to, which bounds their memory
	// and the time they take per byte of a value. Default 400.
	//
	// They are counted before anything is compiled, rather too many than too
	// few: x{2,5} is eight, .* three, and a class of characters one, one more
	// for every eight ranges, and one more for more than two, at least 8 for a
	// class of Unicode such as \pL (which has 84), and 32 for a range under
	// (?i) that ends beyond ASCII. What takes longer than others counts more:
	// \b, \B and (?m)^ and $ two, and under (?i) a letter of ASCII two, k and s
	// three, and any other that has cases six. Each expression has two for its
	// beginning and its end.
	Regexp int
}

const maxDepth = 10_000 // bounds the stack, whatever the caller asks for

// withDefaults returns the limits with defaults in place of what is not set.
func (l Limits) withDefaults() Limits {
	return Limits{
		Length:     cmp.Or(max(l.Length, 0), 4096),
		Conditions: cmp.Or(max(l.Conditions, 0), 256),
		Depth:      min(cmp.Or(max(l.Depth, 0), 64), maxDepth),
		Operands:   cmp.Or(max(l.Operands, 0), 256),
		Regexp:     cmp.Or(max(l.Regexp, 0), 400),
	}
}
