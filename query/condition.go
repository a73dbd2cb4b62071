package query

import (
	"iter"
	"strings"
)

// A Condition compares the values of one key with its operands. Conditions
// come from parsing: one put together by hand has no operands that work.
type Condition struct {
	Key      string
	Op       Op
	Operands []Operand // one; for In one or more; for Exists none
}

// An Op is the operator of a condition.
type Op uint8

// The operators. A condition holds if any value of its key satisfies the
// operator; NotEqual alone asks that there is a value and that none is equal.
const (
	Equal          Op = iota + 1 // key = operand
	NotEqual                     // key != operand
	Less                         // key < operand
	LessOrEqual                  // key <= operand
	Greater                      // key > operand
	GreaterOrEqual               // key >= operand
	Contains                     // key CONTAINS 'text'
	StartsWith                   // key STARTSWITH 'text'
	EndsWith                     // key ENDSWITH 'text'
	Matches                      // key MATCHES 'regexp', RE2, unanchored
	In                           // key IN (operand, …): equal to one of them
	Exists                       // key EXISTS: the key has a value, or is the type of a key that is present
)

var opTexts = [...]string{
	Equal: "=", NotEqual: "!=", Less: "<", LessOrEqual: "<=", Greater: ">", GreaterOrEqual: ">=",
	Contains: "CONTAINS", StartsWith: "STARTSWITH", EndsWith: "ENDSWITH", Matches: "MATCHES",
	In: "IN", Exists: "EXISTS",
}

// String returns the operator as the canonical text has it.
func (op Op) String() string {
	if int(op) < len(opTexts) && op != 0 {
		return opTexts[op]
	}
	return "invalid operator"
}

// Holds implements [Expr].
func (c *Condition) Holds(events map[string][]string) bool {
	return c.holds(events[c.Key], events)
}

// holds is Holds for who has looked up the values of the key.
func (c *Condition) holds(values []string, events map[string][]string) bool {
	switch c.Op {
	case NotEqual:
		for _, v := range values {
			if !c.Satisfies(v) {
				return false
			}
		}
		return len(values) > 0
	case Exists:
		return len(values) > 0 || isType(c.Key, events)
	}
	for _, v := range values {
		if c.Satisfies(v) {
			return true
		}
	}
	return false
}

// isType reports whether s is the type of a key of events: all that stands
// before its last dot.
func isType(s string, events map[string][]string) bool {
	for key := range events {
		if len(key) > len(s) && key[len(s)] == '.' && strings.HasPrefix(key, s) &&
			strings.LastIndexByte(key, '.') == len(s) {
			return true
		}
	}
	return false
}

// Satisfies reports whether one value of the key satisfies the operator. The
// condition holds if any value does; with [NotEqual] it holds if all values do
// and there is one. With [Exists] it also holds without a value, if the key is
// the type of another.
func (c *Condition) Satisfies(value string) bool {
	switch c.Op {
	case Equal:
		return c.Operands[0].equals(value)
	case NotEqual:
		return !c.Operands[0].equals(value)
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		order, ok := c.Operands[0].compare(value)
		return ok && orders[c.Op]&(1<<(order+1)) != 0
	case Contains:
		return strings.Contains(value, c.Operands[0].text)
	case StartsWith:
		return strings.HasPrefix(value, c.Operands[0].text)
	case EndsWith:
		return strings.HasSuffix(value, c.Operands[0].text)
	case Matches:
		return c.Operands[0].pattern.MatchString(value)
	case In:
		for i := range c.Operands {
			if c.Operands[i].equals(value) {
				return true
			}
		}
		return false
	default: // Exists
		return true
	}
}

// orders holds the orders of a value and the operand that satisfy an operator:
// bit 0 is below the operand, bit 1 equal to it, bit 2 above.
var orders = [...]uint8{Less: 0b001, LessOrEqual: 0b011, Greater: 0b100, GreaterOrEqual: 0b110}

// SatisfiedBy yields the values of the key in events that satisfy the
// operator, in their order.
func (c *Condition) SatisfiedBy(events map[string][]string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range events[c.Key] {
			if c.Satisfies(v) && !yield(v) {
				return
			}
		}
	}
}

// String implements [Expr].
func (c *Condition) String() string { return string(c.appendText(nil, bindsLeast)) }

func (c *Condition) appendText(b []byte, above binding) []byte {
	// NOT EXISTS = 1 would ask whether the key NOT exists.
	parentheses := above == bindsNot && strings.EqualFold(c.Key, opTexts[Exists])
	if parentheses {
		b = append(b, '(')
	}
	b = append(b, c.Key...)
	b = append(b, ' ')
	b = append(b, c.Op.String()...)
	b = c.appendOperands(b)
	if parentheses {
		b = append(b, ')')
	}
	return b
}

func (c *Condition) appendOperands(b []byte) []byte {
	if c.Op == In {
		b = append(b, " ("...)
		for i, o := range c.Operands {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = o.appendText(b)
		}
		return append(b, ')')
	}
	for _, o := range c.Operands {
		b = o.appendText(append(b, ' '))
	}
	return b
}
