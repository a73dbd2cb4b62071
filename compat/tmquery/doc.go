// Package tmquery is what a program written for Tendermint v0.34 imports in
// place of its libs/pubsub/query: the same names but QueryParser, its generated
// parser, and queries that the bus finds by its index.
//
//	import "github.com/harkbus/pubsub/compat/tmquery"
//
//	q := tmquery.MustParse("tm.event = 'Tx' AND tx.height > 5")
//	conditions, err := q.Conditions() // tm.event = "Tx", tx.height > int64(5)
//
// # Language
//
// It takes Tendermint's language and no more: conditions joined by AND, each an
// attribute with = < <= > >= CONTAINS or EXISTS. OR, NOT and the like of package
// query are errors, because programs that take a query apart with
// [Query.Conditions], as Tendermint's indexers do, would answer them wrongly.
//
// Fewer texts are queries here than there: dates that do not exist are an error
// of [New] and not of Matches, and so are attributes with "!", a comma or a
// blank of Unicode, invalid UTF-8, and what is beyond [query.Limits].
//
// # Meaning
//
// [Query.Conditions] returns what it returned. Matching has the meaning of
// package query, which is that of CometBFT v1.0: it never fails, whatever the
// values are. It differs from Tendermint v0.34 where that
//
//   - returned an error for a value that is no number, or no time, so that nobody
//     got the message: such a value does not match;
//   - looked for a number anywhere in the value: here it is at its beginning, so
//     that "8uatom" is 8, "-8" is less than 0, and "atom8" no number;
//   - cut off decimals if the operand is an integer: 5.9 is not equal to 5;
//   - took "slash EXISTS" for every attribute that begins with "slash", and
//     "a.b EXISTS" for a.b alone: here they ask for attributes of those types too,
//     as slash.reason and a.b.c are;
//   - took an attribute without any value for one that exists;
//   - compared dates with times that have no T as dates: they are the instants
//     they are.
//
// Queries are the same if package query takes them for the same, however they
// are spelled: a client cannot subscribe to "a=1" and to "a = 1".
package tmquery
