package syntax

import (
	"math/big"
	"strings"
	"time"
)

// A Query is the tree of a query: conditions that must all hold.
type Query []Condition

// String returns the query in one spelling.
func (q Query) String() string {
	texts := make([]string, len(q))
	for i, c := range q {
		texts[i] = c.String()
	}
	return strings.Join(texts, " AND ")
}

// A Condition compares the values of an attribute with an argument.
type Condition struct {
	Tag string // tx.height
	Op  Token  // TEq, TLt, TLeq, TGt, TGeq, TContains or TExists
	Arg *Arg   // nil for TExists
}

// String returns the condition in one spelling.
func (c Condition) String() string {
	s := c.Tag + " " + operators[c.Op]
	if c.Arg == nil {
		return s
	}
	return s + " " + c.Arg.String()
}

// An Arg is what a condition compares with. Parsing makes it; one made by hand
// has no text.
type Arg struct {
	Type Token // TString, TNumber, TTime or TDate
	text string
}

// String returns the argument as a query has it.
func (a *Arg) String() string {
	switch {
	case a == nil:
		return ""
	case a.Type == TString:
		return "'" + a.text + "'"
	case a.Type == TTime:
		return "TIME " + a.text
	case a.Type == TDate:
		return "DATE " + a.text
	}
	return a.text
}

// Value returns the text: of a string what stands between the quotes, of TIME
// and DATE what follows the word.
func (a *Arg) Value() string {
	if a == nil {
		return ""
	}
	return a.text
}

// Number returns the text as a number: an integer exactly, a number with a
// point in 125 bits. It returns nil if the text is none.
func (a *Arg) Number() *big.Float {
	if a == nil {
		return nil
	}
	precision := uint(125)
	if n, ok := new(big.Int).SetString(a.text, 10); ok {
		precision = max(64, uint(n.BitLen()))
	}
	f, _, err := big.ParseFloat(a.text, 10, precision, big.ToNearestEven)
	if err != nil {
		return nil
	}
	return f
}

// Time returns the instant of a TIME or DATE, and the zero time of all else.
func (a *Arg) Time() time.Time {
	var at time.Time
	switch {
	case a == nil:
	case a.Type == TTime:
		at, _ = ParseTime(a.text)
	case a.Type == TDate:
		at, _ = ParseDate(a.text)
	}
	return at
}
