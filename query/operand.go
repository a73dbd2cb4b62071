package query

import (
	"cmp"
	"strings"
	"time"

	"github.com/harkbus/pubsub/internal/decimal"
	"github.com/harkbus/pubsub/internal/instant"
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

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case String:
		return "String"
	case Number:
		return "Number"
	case Date:
		return "Date"
	case Time:
		return "Time"
	default:
		return "invalid kind"
	}
}

// An Operand is what a condition compares with.
type Operand struct {
	kind    Kind
	isSmall bool            // Number that decimal.ParseSmall reads, as small
	text    string          // String: the text unquoted; else the canonical spelling
	number  decimal.Number  // Number
	small   int64           // Number, if isSmall
	at      instant.Instant // Date, Time
	pattern *pattern        // String of Matches
}

// Kind tells how the operand is compared.
func (o Operand) Kind() Kind { return o.kind }

// Text returns the text of a String without quotes, the shortest spelling of
// a Number, and the date or time of a Date or Time as it was written.
func (o Operand) Text() string { return o.text }

// Literal returns a text that is part of every value that the regular
// expression of a MATCHES matches, and "" if none is known or it is no regular
// expression.
func (o Operand) Literal() string {
	if o.pattern == nil {
		return ""
	}
	return o.pattern.literal
}

// Time returns the instant of a Date (its midnight) or a Time in UTC, and the
// zero time for other kinds.
func (o Operand) Time() time.Time {
	if o.kind == Date || o.kind == Time {
		return o.at.Time()
	}
	return time.Time{}
}

// equals reports whether a value is equal to the operand.
func (o *Operand) equals(value string) bool {
	if o.kind == String {
		return value == o.text
	}
	order, ok := o.compare(value)
	return ok && order == 0
}

// compare returns the order of a value and the operand, unless the value is
// not of the operand's kind.
func (o *Operand) compare(value string) (order int, ok bool) {
	switch o.kind {
	case String:
		return strings.Compare(value, o.text), true
	case Number:
		if o.isSmall {
			if n, ok := decimal.ParseSmall(value); ok {
				return cmp.Compare(n, o.small), true
			}
		}
		n, length := decimal.Parse(value)
		return n.Cmp(o.number), length > 0
	default: // Date, Time
		at, ok := instant.Parse(value)
		return at.Compare(o.at), ok
	}
}

// appendText appends the operand as the canonical text has it.
func (o *Operand) appendText(b []byte) []byte {
	switch o.kind {
	case String:
		return appendQuoted(b, o.text)
	case Date:
		b = append(b, "DATE "...)
	case Time:
		b = append(b, "TIME "...)
	}
	return append(b, o.text...)
}

func appendQuoted(b []byte, text string) []byte {
	b = append(b, '\'')
	for {
		before, after, found := strings.Cut(text, "'")
		b = append(b, before...)
		if !found {
			return append(b, '\'')
		}
		b = append(b, "''"...)
		text = after
	}
}
