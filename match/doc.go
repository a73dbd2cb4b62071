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
// the query does: its cover. For a AND b that is a or b, whichever fewer queries
// ask for; for a OR b it is both. The query is filed by
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
// Hot conditions split themselves in this way, to a depth of 24. Where all
// conditions of a query are hot, it goes where most others of its node are, so
// that an event comes through few nodes, one below the other, and not through
// many side by side:
//
//	k1 = 'a' AND k2 = 'b' AND …         k1 ┬ 'a' ─▶ node: k2 ┬ 'a' ─▶ …
//	of two values each                     └ 'b' ─▶ …        └ 'b' ─▶ …
//
// How many queries ask for a condition is known before one is filed by it, so
// the order in which queries come does not matter. What an Add has not the
// time to move waits in the node of its condition, and later ones move it.
//
// What values have in common does not make them alike: numbers are hashed with
// all of their digits, and long texts after STARTSWITH, ENDSWITH, CONTAINS and
// MATCHES that share what they are filed by move to a node where they are filed
// by other bytes of theirs.
//
// The file of each structure begins with its picture: plan.go, tally.go and
// cover.go choose, keys.go names, node.go, posting.go and pile.go hold, table.go, gram.go, sieve.go,
// affix.go and tree.go find, record.go and holds.go decide, slab.go, shelf.go
// and roster.go store, event.go reads the event, heavy.go bounds what its values cost, batch.go overlaps the waiting for memory of
// several.
//
// # What it costs
//
//	Match    per key that something is filed by: one look-up in the event
//	         per value of these: one hash and one look-up (STARTSWITH, ENDSWITH: one per length in use)
//	         per byte of a value under CONTAINS: about 30 instructions per gram size in use, of 6
//	         per set of keys with ranges, all of which the event has: a walk down a tree,
//	         as deep as log₁₆ of its size
//	         per candidate: its terms in the order of the query, until the answer is known
//	Add      the size of the query; it moves at most 1,024 entries of others (an OR of
//	         ranges 16 per range more), and mostly none
//	Remove   the same
//	memory   per query about 100 bytes, plus 16 per condition, plus its texts; no pointers;
//	         per key about 200 more, with ranges 600; an empty index has 25 KB. Remove
//	         gives it back piece by piece, each when the last in it has gone: a few
//	         that stay of very many, spread among them, keep up to three quarters of
//	         it. When the last query is gone all of it is given back
//
//	per key with values of more than 256 bytes together, each counting 16 more: one pass for
//	         all comparisons, which notes the extremes and a set (summary.go); looked up in
//	         more than one node, 2¹⁹ steps for the event, and then at most 64 an entry of the
//	         node: its entries are tried, with the help of a pass for each of 4 sizes of what
//	         texts are made of (heavy.go), which takes up to 9 MiB of memory for the event
//	per MATCHES of a candidate: up to 7 ns per instruction and byte of its values
//	per CONTAINS, STARTSWITH and ENDSWITH of a candidate: a look at all values
//
// The last two are what a stranger's query can make long. [Index.Find] runs no
// expressions, and of a query no more than 1,024 steps of the rest, as
// [query.Query.Weigh] counts them, of all queries together what is left of the 2¹⁹
// steps: it returns the queries that take more, with
// which the caller does what it can afford, outside its lock.
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
//   - Regular expressions are tried one by one on each candidate, over all values
//     of their key: [Stats] counts them as Undecided. Anchor them, keep
//     repetitions short, and add a condition that rules most events out, or a
//     literal to the expression: what is ruled out takes no step of a budget, and
//     without it a large value may end the subscription.
//   - != and EXISTS, a regular expression without a literal of its own
//     (MATCHES '[a-z]+'), and CONTAINS of the empty text are tried wherever
//     their key is present. Write a literal into the expression, or add an
//     equality.
//   - A range with one end, h > 5, is a candidate for every event above 5, which
//     is what matches it. Together with ranges of other keys it is not: up to 8
//     ends are searched together, those of the rarest keys.
//   - Ranges over very many different sets of the same few keys: an event that
//     has all of the keys walks one tree for each set, 64 for each key, and what
//     comes then is found by some of its ends. Ask for the same keys in all
//     queries (h >= 0), or add an equality.
//   - Where every condition of a query holds for a large part of the events, the
//     candidates are those queries with which an event agrees on the conditions
//     that lead to them: of 20 keys with two values each about 35 of 200,000; of
//     8 out of 20 keys, with one value as frequent as all others together, 4 % of
//     20,000, since each event agrees with many different sets of keys. Add a
//     condition that is rare.
//   - What is rare is judged by the queries: a condition that few of them ask for
//     and that all events satisfy costs one candidate for each of these few, 15
//     at most for one condition.
//   - An event with many values for each of many keys passes through a node for
//     each combination that queries ask for.
//   - Ranges over texts are told apart by the first 16 bytes, those over numbers
//     by the first 32 digits (15 of numbers below 1e-250 or above 1e300). Of more
//     than 4 ends that are searched together some only by 8 bytes and 15 digits.
//     Use STARTSWITH or = for what lies behind.
//   - CONTAINS and MATCHES of texts that have all of their runs of 8 bytes in
//     common with many others, such as numbers whose digits stand far apart: of
//     20,000 texts that differ in 6 bytes 10 apart an event tries up to half.
//     With letters of two kinds only it is 3 %. Add an equality.
//   - A run of 8 bytes that is all over a value is looked at wherever it is: a
//     value of 300 equal bytes costs 300 candidates for each query that is filed
//     by such a run, of which there are few.
//   - An event that comes through many nodes with values that are many or long passes
//     through these without being looked up: it is tried on all of their queries, at
//     about 0.1 µs each. What it cannot afford to search, it leaves undecided. Ask for
//     long values in few nodes: without an equality that many queries share, or by a
//     comparison.
//   - Different texts to be contained, each asked for by many and alike at their
//     end: up to ten times as many candidates as ask for one of them.
//   - Many queries with one and the same condition and nothing else to tell them
//     apart: all are tried. The caller saves that by adding equal queries once.
package match
