package match_test

import (
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

func TestIndexFindsWhatMatches(t *testing.T) {
	x := match.New[string]()
	a := x.Add(query.MustParse("a = 'x'"), "a")
	b := x.Add(query.MustParse("b > 5"), "b")
	x.Add(query.All, "all")
	events := map[string][]string{"a": {"x"}, "b": {"7"}}
	require.ElementsMatch(t, []string{"a", "b", "all"}, x.Match(events, nil))
	require.True(t, x.Remove(a))
	require.False(t, x.Remove(a), "an ID is good once")
	require.ElementsMatch(t, []string{"b", "all"}, x.Match(events, nil))
	c := x.Add(query.MustParse("c EXISTS"), "c")
	require.NotEqual(t, a, c, "an ID is not given again")
	require.True(t, x.Remove(b))
	require.False(t, x.Remove(a))
	require.Equal(t, 2, x.Len())
	require.False(t, x.Remove(0))
}

// A stub is a user-written query.
type stub func(events map[string][]string) (bool, error)

func (f stub) Matches(events map[string][]string) (bool, error) { return f(events) }
func (stub) String() string                                     { return "stub" }

func TestLoopSkipsAndReportsQueriesThatFail(t *testing.T) {
	failures := make(map[string]error)
	l := match.NewLoop(func(v string, err error) { failures[v] = err })
	broken := errors.New("broken")
	l.Add(stub(func(map[string][]string) (bool, error) { return true, broken }), "errs")
	l.Add(stub(func(map[string][]string) (bool, error) { panic(broken) }), "panics")
	l.Add(query.All, "fine")
	require.Equal(t, []string{"fine"}, l.Match(nil, nil))
	require.Equal(t, broken, failures["errs"])
	var panicked *match.PanicError
	require.ErrorAs(t, failures["panics"], &panicked)
	require.ErrorIs(t, panicked, broken)
	require.NotEmpty(t, panicked.Stack)
	require.EqualError(t, panicked, "match: query panicked: broken")
	require.Len(t, failures, 2)
}

// A stack trace costs microseconds, so a query that always panics has one.
func TestQueryThatPanicsAgainCostsLittle(t *testing.T) {
	var stacks [][]byte
	l := match.NewLoop(func(_ int, err error) {
		var panicked *match.PanicError
		require.ErrorAs(t, err, &panicked)
		stacks = append(stacks, panicked.Stack)
	})
	for i := range 2 {
		l.Add(stub(func(map[string][]string) (bool, error) { panic("no") }), i)
	}
	for range 3 {
		require.Empty(t, l.Match(nil, nil))
	}
	require.Len(t, stacks, 6)
	require.NotEmpty(t, stacks[0])
	require.NotEmpty(t, stacks[1], "each query has its own")
	for _, later := range stacks[2:] {
		require.Nil(t, later)
	}
}

// A query that exits its goroutine takes nobody's match along.
func TestQueryThatExitsItsGoroutineHidesNothing(t *testing.T) {
	failures := make(map[string]error)
	l := match.NewLoop(func(v string, err error) { failures[v] = err })
	l.Add(query.All, "first")
	l.Add(stub(func(map[string][]string) (bool, error) { runtime.Goexit(); return true, nil }), "exits")
	l.Add(query.All, "second")
	l.Add(stub(func(map[string][]string) (bool, error) { runtime.Goexit(); return true, nil }), "exits too")
	l.Add(stub(func(map[string][]string) (bool, error) { panic(nil) }), "panics")
	l.Add(query.All, "third")
	var matched []string
	returned := false
	var wg sync.WaitGroup
	wg.Go(func() {
		l.MatchInto(nil, &matched)
		returned = true
	})
	wg.Wait()
	require.False(t, returned)
	require.Equal(t, []string{"first", "second", "third"}, matched)
	require.EqualError(t, failures["exits"], "match: query exited its goroutine")
	require.EqualError(t, failures["exits too"], "match: query exited its goroutine")
	var panicked *match.PanicError
	require.ErrorAs(t, failures["panics"], &panicked)
	require.Len(t, failures, 3)
}

func TestQueryMayAddAndRemoveWhileItIsTried(t *testing.T) {
	l := match.NewLoop[int](nil)
	var ids []match.ID
	for range 20 {
		ids = append(ids, l.Add(query.All, len(ids)))
	}
	l.Add(stub(func(map[string][]string) (bool, error) {
		for _, id := range ids {
			l.Remove(id)
		}
		l.Add(query.All, 100)
		return true, nil
	}), 50)
	require.Len(t, l.Match(nil, nil), 21)
	require.Equal(t, []int{50, 100}, l.Match(nil, nil))
	require.Equal(t, 3, l.Len())
}
