package match

import (
	"github.com/harkbus/pubsub/query"
)

// A Query tells which events match. The [Index] takes *query.Query, the [Loop]
// any.
type Query interface {
	Matches(events map[string][]string) (bool, error)
	String() string
}

// An ID names one query in an [Index] or a [Loop] from Add to Remove. It is
// never 0, and is not given again, neither after Remove nor after the last query
// is gone.
type ID uint64

// An Index holds queries, each with a value V, and finds those that match an
// event at a cost that follows the number of matches, not of queries.
//
// An Index is for one goroutine at a time: Match too writes counters and
// scratch, so the caller holds an exclusive lock around every call.
type Index[V any] struct {
	core   core
	values shelf[V] // beside the records of core
}

// New returns an empty index.
func New[V any]() *Index[V] {
	x := &Index[V]{}
	x.core.init()
	x.core.beside = &x.values
	return x
}

// Add files q with the value v. A query may be added more than once; each has
// its own ID and is matched on its own. Add panics if q is nil, before anything
// has changed.
func (x *Index[V]) Add(q *query.Query, v V) ID {
	if q == nil {
		panic("match: Add of a nil query")
	}
	id, record := x.core.add(q)
	x.values.put(record, v, x.core.slab.infos[record/chunkUnits].units)
	return id
}

// Remove takes a query out and reports whether it was there.
func (x *Index[V]) Remove(id ID) bool {
	record, ok := x.core.remove(id)
	if ok {
		x.values.drop(record)
	}
	return ok
}

// Match appends to dst the values of the queries that match events, each
// once, in any order. It keeps nothing of events, and takes no memory once the
// index has met events of that size, up to 16,384 values or matches, unless it comes
// through several nodes with long values (heavy.go).
//
// It runs the regular expressions of MATCHES, and searches through values that are
// many or long, for as long as they take: if
// strangers choose them and the values, use [Index.Find].
func (x *Index[V]) Match(events map[string][]string, dst []V) []V {
	x.core.match(events)
	dst = x.appendValues(dst, x.core.found)
	return x.appendDecided(dst, x.core.open, events)
}

// Find is Match without what takes long: regular expressions, and searches
// through values that are many or long. It appends to undecided the values of the
// queries that match or not as these say, so that the caller can see what that
// costs ([query.Query.Weigh]), and do it ([query.Query.Matches]) without the lock
// around the index, or not at all.
func (x *Index[V]) Find(events map[string][]string, matched, undecided []V) (m, u []V) {
	x.core.match(events)
	return x.appendValues(matched, x.core.found), x.appendValues(undecided, x.core.open)
}

func (x *Index[V]) appendValues(dst []V, records []ref) []V {
	for _, record := range records {
		dst = append(dst, *x.values.at(record))
	}
	return dst
}

// appendDecided runs the regular expressions of undecided queries.
func (x *Index[V]) appendDecided(dst []V, records []ref, events map[string][]string) []V {
	for _, record := range records {
		if x.core.ask(record, events) {
			dst = append(dst, *x.values.at(record))
		}
	}
	return dst
}

// Len returns the number of queries.
func (x *Index[V]) Len() int { return int(x.core.live.n) }

// Stats returns the counters of the index.
func (x *Index[V]) Stats() Stats { return x.core.snapshot() }
