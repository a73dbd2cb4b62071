// Package query is the language of event queries: it parses their text,
// prints it in one canonical form, and tells whether a set of events matches.
//
//	q, err := query.New("tm.event = 'Tx' AND transfer.amount > 50")
//	ok, _ := q.Matches(map[string][]string{
//		"tm.event":        {"Tx"},
//		"transfer.amount": {"7uatom", "80uatom"},
//	}) // true: one of the amounts is above 50
//
// # Events
//
// Events are a map from a key, usually "type.attribute", to the values that
// the attribute has in one publication. A condition holds if any one value of
// its key satisfies it, and each condition looks for its own value.
//
// # Language
//
//	tm.event = 'Tx'                    equal, byte for byte; a quote is doubled: 'it''s'
//	tm.event != 'Tx'                   the key has a value and none is equal
//	tx.height > 5                      also >= < <= ; numbers are exact at any length
//	block.time >= TIME 2013-05-03T14:45:00Z
//	block.time <  DATE 2013-05-04
//	transfer.sender CONTAINS 'cosmos1' also STARTSWITH, ENDSWITH, MATCHES (RE2)
//	tx.code IN (0, 5, 'abc')
//	message.action EXISTS
//	a = 1 AND (b = 2 OR NOT c = 3)     NOT binds tightest, then AND, then OR
//
// A number is compared with the decimal number at the front of a value, so
// that "8.045stake" takes part as 8.045 and "stake" not at all. The whole
// grammar is in grammar.peg.
//
// # Guarantees
//
// Parsing takes time linear in the length of the text and never panics; what
// is wrong is told by a [*SyntaxError] that points at the place. [Limits] bound
// what a query from a stranger may cost. Matching takes time linear in the
// values that it looks at and no memory, but for what the regular expressions
// of MATCHES keep from one value to the next; it never fails, whatever the
// values are. An expression takes up to 7 ns for each of its instructions and
// each byte of a value, by how package regexp runs it: what takes longer counts
// as several instructions. 400 of them, which is the limit for one query, take up
// to 50 ms over 16 KiB. Other conditions take up to 7 ns for each byte of a
// number or a time and for each four bytes under CONTAINS, and as much for each
// half of a value else. [Query.Weigh] tells what a query would take, before it
// is run; package pubsub bounds it with a budget for each publication.
// New(q.String()) is the same query as q. A Query is immutable: any goroutine may
// use it.
//
// The language contains the event queries of CometBFT v1.0 and of Tendermint
// v0.34; docs/migration.md lists where a query means something else here.
package query
