package syntax

import (
	"fmt"
	"time"
)

// A Token is the type of a token.
type Token byte

// The types of tokens. They have no type of their own, as in CometBFT.
const (
	TInvalid  = iota // not a token
	TTag             // tx.height
	TString          // 'text'
	TNumber          // 15.5
	TTime            // TIME 2006-01-02T15:04:05Z
	TDate            // DATE 2006-01-02
	TAnd             // AND
	TContains        // CONTAINS
	TExists          // EXISTS
	TEq              // =
	TLt              // <
	TLeq             // <=
	TGt              // >
	TGeq             // >=
)

// The layouts of TIME and DATE, for [time.Parse].
const (
	TimeFormat = time.RFC3339
	DateFormat = "2006-01-02"
)

// ParseTime returns the instant of a text as TIME has it.
func ParseTime(s string) (time.Time, error) { return time.Parse(TimeFormat, s) }

// ParseDate returns midnight, in UTC, of a text as DATE has it.
func ParseDate(s string) (time.Time, error) { return time.Parse(DateFormat, s) }

// names holds what errors call the tokens.
var names = [...]string{
	TInvalid: "invalid token",
	TTag:     "tag", TString: "string", TNumber: "number", TTime: "timestamp", TDate: "datestamp",
	TAnd: "AND operator", TContains: "CONTAINS operator", TExists: "EXISTS operator",
	TEq: "= operator", TLt: "< operator", TLeq: "<= operator", TGt: "> operator", TGeq: ">= operator",
}

// String returns what errors call the token.
func (t Token) String() string {
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("unknown token type %d", byte(t))
}

// operators holds the operators of conditions as they are written.
var operators = map[Token]string{
	TContains: "CONTAINS", TExists: "EXISTS",
	TEq: "=", TLt: "<", TLeq: "<=", TGt: ">", TGeq: ">=",
}
