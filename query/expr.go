package query

import (
	"strings"
	"time"

	"github.com/harkbus/pubsub/internal/decimal"
)

// An Expr is a node of the tree of a query: [AllOf], [AnyOf], [Not] or
// [*Condition]. Trees are shared between queries and must not be modified.
type Expr interface {
	// String returns the canonical text of the node.
	String() string

	// appendText appends the canonical text, in parentheses where the node
	// stands below one that binds tighter than it does.
	appendText(b []byte, above binding) []byte
}

// AllOf holds if all its terms hold. It has two terms or more, and none of
// them is an AllOf: a AND (b AND c) is one AllOf of three.
type AllOf []Expr

// AnyOf holds if one of its terms holds. It has two terms or more, and none
// of them is an AnyOf.
type AnyOf []Expr

// Not holds if its term does not.
type Not struct{ Term Expr }

// A Condition compares the values of one key with its operands.
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

// A Kind is the kind of an operand; it decides how values are read.
type Kind uint8

// The kinds of operands.
const (
	String Kind = iota + 1 // 'text': values as they are, in byte order
	Number                 // 8.045: values by the decimal number at their front
	Date                   // DATE 2006-01-02: values that are a date or a time, as instants
	Time                   // TIME 2006-01-02T15:04:05Z: the same
)

// An Operand is what a condition compares with.
type Operand struct {
	kind Kind
	text string         // String: the text unquoted; else the canonical spelling
	num  decimal.Number // Number
	at   time.Time      // Date, Time
}

// Kind tells how the operand is compared.
func (o Operand) Kind() Kind { return o.kind }

// Text returns the text of a String without quotes, the shortest spelling of
// a Number, and the date or time of a Date or Time as it was written.
func (o Operand) Text() string { return o.text }

// Time returns the instant of a Date (its midnight UTC) or a Time, and the
// zero time for other kinds.
func (o Operand) Time() time.Time { return o.at }

var _ = strings.Builder{}
