// Package cmtquery is what a program written for CometBFT v1.0 imports in place
// of its libs/pubsub/query: the same names, and queries that the bus finds by
// its index.
//
//	import "github.com/harkbus/pubsub/compat/cmtquery"
//
//	q := cmtquery.MustCompile("tm.event = 'Tx' AND tx.height > 5")
//	for _, condition := range q.Syntax() { … }
//
// It takes CometBFT's language, described in package syntax, and no more: OR,
// NOT and the like of package query are errors, because programs that take a
// query apart with [Query.Syntax], as CometBFT's indexers do, would answer them
// wrongly. Queries beyond [query.Limits] are errors too.
//
// Matching has the meaning of package query, which is CometBFT's but for what
// docs/migration.md lists as healed. Whoever takes a query apart gives it the
// meaning he gives it.
//
// Queries are the same if package query takes them for the same, however they
// are spelled: a client cannot subscribe to "a = 1" and to "a = 1.0".
//
// One thing is not CometBFT's: [ExpandEvents] returns types of this package,
// since the types of CometBFT's abci would bring all of its module along.
package cmtquery
