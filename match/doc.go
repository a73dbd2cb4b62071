// Package match finds, among many queries, those that an event matches, at a
// cost that follows the number of matches and not of queries.
//
//	x := match.New[*subscription]()
//	id := x.Add(query.MustParse("tm.event = 'Tx' AND tx.height > 5"), s)
//	found := x.Match(events, found[:0])   // of subscriptions, each once
//	x.Remove(id)
//
// An [Index] takes *query.Query and is for one goroutine at a time. A [Loop]
// has the same methods for any [Query], tries each on every event, and may be
// matched without a lock.
//
// # How a query is found
//
// Of a query's conditions a few are chosen of which at least one holds wherever
// the query does: its cover. For a AND b that is a or b, whichever is rarer
// among what is there already; for a OR b it is both. The query is filed by
// these and by nothing else:
//
//	                      ┌ table ────────────┐
//	= 'x'   = 5   = DATE  │ hash of node, key │
//	STARTSWITH  ENDSWITH  │ and value         │──┐
//	EXISTS  !=            └───────────────────┘  │      posting             record
//	                      ┌ table of grams ───┐  ├─▶ one entry ────────▶ ┌─────────────┐
//	CONTAINS  MATCHES     │ the same, behind  │  │                       │ all terms   │
//	                      │ a sieve           │──┘   2 … 15: a list ─▶   │ of the query│
//	                      └───────────────────┘      more: a node, with  │ in one block│
//	                      ┌ range trees ──────┐      tables of its own   └─────────────┘ value
//	<  <=  >  >=          │ an R-tree per set │──▶ one entry ────────▶     …
//	                      │ of keys           │
//	                      └───────────────────┘
//	NOT …   query.All       pile, tried on every event
//
// An event's values are hashed once and looked up under the keys that
// something is filed by. What is found is a candidate: its remaining terms are
// run, and it is a match or not. So the index never answers by itself, and
// collisions of hashes cost time only.
//
// Where more than 15 queries share a condition, like tm.event = 'Tx', they move
// to a node of their own, in which they are filed by their other conditions.
// Hot conditions split themselves in this way, to a depth of 6.
//
// The file of each structure begins with its picture: plan.go and cover.go
// choose, node.go, posting.go and pile.go hold, table.go, gram.go, sieve.go,
// affix.go and tree.go find, record.go and holds.go decide, slab.go and shelf.go
// store, event.go reads the event, batch.go overlaps the waiting for memory of
// several.
//
// # What it costs
//
//	Match    per key that something is filed by: one look-up in the event
//	         per value of these: one hash and one look-up (STARTSWITH, ENDSWITH: one per length in use)
//	         per byte of a value under CONTAINS: about 30 instructions per gram size in use, of 6
//	         per set of keys with ranges: a walk down a tree, as deep as log₁₆ of its size
//	         per candidate: its terms in the order of the query, until the answer is known
//	Add      the size of the query; it moves at most 1,024 entries of others (an OR of
//	         ranges 16 per range more), and mostly none
//	Remove   the same
//	memory   per query about 100 bytes, plus 16 per condition, plus its texts; no pointers
//
// Match takes no memory from the heap. With up to 8 queries it just tries them.
// With many keys among the queries it looks up the keys of the event, and not
// the other way round. With a million queries most time goes to waiting for
// memory. What an event needs is loaded in stages, each for all of its values at
// once, so that a match waits about twice, however many values there are:
//
//	values ─▶ hashes ─▶ slots of the table ─▶ records, and the caller's values beside them
//
// [Index.MatchBatch] overlaps the waits of up to 32 events.
//
// # When it degrades
//
// [Stats] tells: Candidates far above Matches, or Residual above 0.
//
//   - A query with no condition to file it by is tried on every event: NOT … on
//     its own, one alternative of OR that is a NOT, query.All, and a query whose
//     terms exceed 56 KiB. Add a condition that has to hold: tm.event = 'Tx' AND
//     NOT ….
//   - != and EXISTS, a regular expression without a literal of its own
//     (MATCHES '[a-z]+'), and CONTAINS of the empty text are tried wherever
//     their key is present. Write a literal into the expression, or add an
//     equality.
//   - A range with one end, h > 5, is a candidate for every event above 5, which
//     is what matches it. Together with ranges of other keys it is not: up to 8
//     ends are searched together.
//   - Ranges over texts are told apart by the first 8 bytes. Use STARTSWITH or =
//     for what lies behind them.
//   - Many queries with one and the same condition and nothing else to tell them
//     apart: all are tried. The caller saves that by adding equal queries once.
package match
