package match

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// A Loop tries every query on every event. It is for queries that are not
// *query.Query, whose inside cannot be indexed, and is what the tests hold the
// [Index] against.
//
// Add and Remove are for one goroutine at a time. Match and Len may be called
// from any goroutine at any time, also while a query that Match tries is
// inside Add or Remove: Match goes through the queries that were there when it
// began, without those removed since.
type Loop[V any] struct {
	failed func(v V, err error)

	queries atomic.Pointer[[]*looped[V]] // what is below its length is never written again
	byID    map[ID]*looped[V]
	last    ID
	count   atomic.Int64
}

type looped[V any] struct {
	query    Query
	value    V
	removed  atomic.Bool
	panicked atomic.Bool // once at least
}

// NewLoop returns an empty loop. Each time that a query fails the loop calls
// failed, if that is not nil, with its value: the query has returned an error,
// panicked, which comes as a [*PanicError], or exited its goroutine.
func NewLoop[V any](failed func(v V, err error)) *Loop[V] {
	l := &Loop[V]{failed: failed, byID: make(map[ID]*looped[V])}
	l.queries.Store(new([]*looped[V]))
	return l
}

// Add adds q with the value v. It panics if q is nil.
func (l *Loop[V]) Add(q Query, v V) ID {
	if q == nil {
		panic("match: Add of a nil query")
	}
	added := &looped[V]{query: q, value: v}
	queries := append(*l.queries.Load(), added) // behind the end of what Match reads
	l.queries.Store(&queries)
	l.last++
	l.byID[l.last] = added
	l.count.Add(1)
	return l.last
}

// Remove takes a query out and reports whether it was there. It takes constant
// time, averaged over many calls.
func (l *Loop[V]) Remove(id ID) bool {
	q, ok := l.byID[id]
	if !ok {
		return false
	}
	q.removed.Store(true)
	delete(l.byID, id)
	l.count.Add(-1)
	if all := *l.queries.Load(); len(all) > 2*len(l.byID)+8 {
		l.compact(all)
	}
	return true
}

func (l *Loop[V]) compact(all []*looped[V]) {
	left := make([]*looped[V], 0, len(l.byID))
	for _, q := range all {
		if !q.removed.Load() {
			left = append(left, q)
		}
	}
	l.queries.Store(&left)
}

// Match appends to dst the values of the queries that match events, in the
// order of Add. A query that fails is reported and skipped.
func (l *Loop[V]) Match(events map[string][]string, dst []V) []V {
	l.MatchInto(events, &dst)
	return dst
}

// MatchInto is Match for callers that go on although a query exits their
// goroutine by runtime.Goexit, as t.FailNow does. The other queries are tried
// while it exits, so that their values are in dst when the caller's deferred
// functions run.
func (l *Loop[V]) MatchInto(events map[string][]string, dst *[]V) {
	l.try(*l.queries.Load(), events, dst)
}

func (l *Loop[V]) try(queries []*looped[V], events map[string][]string, dst *[]V) {
	at := 0
	defer func() {
		if at < len(queries) { // this one exits the goroutine
			l.try(queries[at+1:], events, dst)
		}
	}()
	for ; at < len(queries); at++ {
		if q := queries[at]; !q.removed.Load() && l.matches(q, events) {
			*dst = append(*dst, q.value)
		}
	}
}

// matches asks one query, and reports it if it fails.
func (l *Loop[V]) matches(q *looped[V], events map[string][]string) (ok bool) {
	err := errExited
	defer func() {
		if v := recover(); v != nil {
			err = q.panic(v)
		}
		if err == nil {
			return
		}
		ok = false
		if l.failed != nil {
			l.failed(q.value, err)
		}
	}()
	ok, err = q.query.Matches(events)
	return ok
}

// panic makes an error of what q panicked with. A stack trace costs
// microseconds, and one tells where the fault is.
func (q *looped[V]) panic(v any) error {
	err := &PanicError{Value: v}
	if !q.panicked.Swap(true) {
		err.Stack = debug.Stack()
	}
	return err
}

var errExited = errors.New("match: query exited its goroutine")

// Len returns the number of queries.
func (l *Loop[V]) Len() int { return int(l.count.Load()) }

// A PanicError is a panic of a query's Matches.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked, the first time that its query did; then nil
}

// Error tells what the query panicked with.
func (e *PanicError) Error() string { return fmt.Sprintf("match: query panicked: %v", e.Value) }

// Unwrap returns the error that the query panicked with, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
