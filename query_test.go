package pubsub_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/compat/cmtquery"
	"github.com/harkbus/pubsub/compat/tmquery"
	"github.com/harkbus/pubsub/query"
)

// records counts log lines; it is a service.Logger.
type records struct {
	mu    sync.Mutex
	lines []string
}

func (r *records) Debug(msg string, keyvals ...any) { r.add("debug", msg, keyvals) }
func (r *records) Info(msg string, keyvals ...any)  { r.add("info", msg, keyvals) }
func (r *records) Error(msg string, keyvals ...any) { r.add("error", msg, keyvals) }

func (r *records) add(level, msg string, keyvals []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, level+": "+msg+" "+fmt.Sprintln(keyvals...))
}

func (r *records) with(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// queryFunc is a user-written query.
type queryFunc struct {
	name    string
	matches func(events map[string][]string) (bool, error)
}

func (q queryFunc) String() string                                   { return q.name }
func (q queryFunc) Matches(events map[string][]string) (bool, error) { return q.matches(events) }

// A query that returns an error or panics, or that does both, is logged once,
// counted and skipped; everybody else gets the message.
func TestFailingQueryHidesNothingFromOthers(t *testing.T) {
	var log records
	server := newServer(t)
	server.SetLogger(&log)
	before := subscribe(t, server, "before", "", 100, pubsub.Cancel)
	failing, err := server.Subscribe(ctx, "failing", queryFunc{"fails", func(e map[string][]string) (bool, error) {
		if len(e["ok"]) > 0 {
			return true, nil
		}
		return true, errors.New("no idea")
	}}, 100)
	require.NoError(t, err)
	panicking, err := server.Subscribe(ctx, "panicking", queryFunc{"panics", func(e map[string][]string) (bool, error) {
		return len(e["missing"][0]) > 0, nil
	}}, 100)
	require.NoError(t, err)
	_, err = server.Subscribe(ctx, "nil", (*nilQuery)(nil), 100)
	require.NoError(t, err)
	after, err := server.Subscribe(ctx, "after", userQuery{"a"}, 100)
	require.NoError(t, err)

	for i := range 10 {
		publish(t, server, i, "a", "1")
	}
	publish(t, server, 10, "a", "1", "ok", "yes")
	require.Equal(t, count(0, 11), buffered(t, before))
	require.Equal(t, count(0, 11), buffered(t, after))
	require.Equal(t, []int{10}, buffered(t, failing), "it gets what it matches")
	require.Zero(t, panicking.Len())
	require.NoError(t, failing.Err())
	require.NoError(t, panicking.Err())

	require.Eventually(t, func() bool { return log.with("query failed") == 3 }, 10*time.Second, time.Millisecond)
	require.Equal(t, 1, log.with("error: pubsub: query failed; the publication does not reach its subscription query fails"))
	require.Equal(t, 1, log.with("query panics"))
	require.ElementsMatch(t, []pubsub.QueryFailures{
		{ClientID: "failing", Query: "fails", Failures: 10},
		{ClientID: "panicking", Query: "panics", Failures: 11},
		{ClientID: "nil", Query: "nil query", Failures: 11},
	}, server.Stats().Failures)
}

// A nilQuery panics when it is asked.
type nilQuery struct{ key string }

func (q *nilQuery) String() string { return "nil query" }

func (q *nilQuery) Matches(events map[string][]string) (bool, error) {
	return len(events[q.key]) > 0, nil
}

// Two user-written queries with one text are two queries.
func TestUserQueriesWithOneTextKeepTheirOwnMatchers(t *testing.T) {
	server := newServer(t)
	on := func(key string) queryFunc {
		return queryFunc{"the same", func(e map[string][]string) (bool, error) { return len(e[key]) > 0, nil }}
	}
	a, err := server.Subscribe(ctx, "a", on("a"), 10)
	require.NoError(t, err)
	b, err := server.Subscribe(ctx, "b", on("b"), 10)
	require.NoError(t, err)
	_, err = server.Subscribe(ctx, "a", on("c"), 10)
	require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed, "identity is the client and the text")

	publish(t, server, 1, "a", "")
	publish(t, server, 2, "b", "")
	publish(t, server, 3, "a", "", "b", "")
	require.Equal(t, []int{1, 3}, buffered(t, a))
	require.Equal(t, []int{2, 3}, buffered(t, b))
	require.NoError(t, server.Unsubscribe(ctx, "a", on("anything")))
	require.Equal(t, pubsub.ErrUnsubscribed, a.Err())
	require.NoError(t, b.Err())
}

// A user-written query may have the text of a *query.Query.
func TestUserQueryUnderTheNameOfAnother(t *testing.T) {
	server := newServer(t)
	real := subscribe(t, server, "real", "a = 1", 10, pubsub.Cancel)
	fake, err := server.Subscribe(ctx, "fake", named{userQuery{"b"}, "a = 1"}, 10)
	require.NoError(t, err)
	_, err = server.Subscribe(ctx, "real", named{userQuery{"b"}, "a = 1"}, 10)
	require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed)

	publish(t, server, 1, "a", "1")
	publish(t, server, 2, "b", "1")
	require.Equal(t, []int{1}, buffered(t, real))
	require.Equal(t, []int{2}, buffered(t, fake))
	require.NoError(t, server.UnsubscribeAll(ctx, "real"))
	publish(t, server, 3, "b", "1")
	require.Equal(t, []int{3}, buffered(t, fake))
}

func TestQueriesAreTheSameHoweverTheyAreSpelled(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "a=1 and b='x'", 10, pubsub.Cancel)
	_, err := server.Subscribe(ctx, "c", query.MustParse("(a = 1.0) AND b = 'x'"))
	require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed)
	require.Equal(t, "a = 1 AND b = 'x'", sub.Query().String())

	_, err = server.Subscribe(ctx, "d", query.All)
	require.NoError(t, err)
	_, err = server.Subscribe(ctx, "d", query.Empty{})
	require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed)
	require.NoError(t, server.Unsubscribe(ctx, "d", query.Empty{}))
	require.Equal(t, 1, server.NumClients())
}

// Publish has no events: it reaches what asks for none.
func TestPublicationWithoutEvents(t *testing.T) {
	server := newServer(t)
	all := subscribe(t, server, "all", "", 10, pubsub.Cancel)
	not := subscribe(t, server, "not", "NOT a = 1", 10, pubsub.Cancel)
	some := subscribe(t, server, "some", "a EXISTS", 10, pubsub.Cancel)
	publishN(t, server, 1, 1)
	require.NoError(t, server.Publish(ctx, nil))
	require.Equal(t, 1, next(t, all))
	require.Nil(t, next(t, all))
	require.Equal(t, 2, not.Len())
	require.Zero(t, some.Len())
}

// Queries subscribe and unsubscribe from inside Matches, as hooks may.
func TestMatchesMaySubscribeAndUnsubscribe(t *testing.T) {
	server := newServer(t)
	var inner *pubsub.Subscription
	victim := subscribe(t, server, "victim", "", 10, pubsub.Cancel)
	outer, err := server.Subscribe(ctx, "outer", queryFunc{"outer", func(map[string][]string) (bool, error) {
		if inner == nil {
			var err error
			inner, err = server.Subscribe(ctx, "inner", queryFunc{"inner", func(map[string][]string) (bool, error) { return true, nil }}, 10)
			require.NoError(t, err)
			require.NoError(t, server.UnsubscribeAll(ctx, "victim"))
			require.Equal(t, 2, server.NumClients())
		} else {
			require.NoError(t, server.Unsubscribe(ctx, "outer", named{nil, "outer"})) // itself
		}
		return true, nil
	}}, 10)
	require.NoError(t, err)

	publishN(t, server, 1, 3)
	require.Equal(t, []int{2, 3}, buffered(t, inner), "it begins after the publication that it was made in")
	require.Zero(t, victim.Len())
	all, reason := rest(outer)
	require.Equal(t, []int{1}, all)
	require.Equal(t, pubsub.ErrUnsubscribed, reason)
}

func TestLoggersOfAllKinds(t *testing.T) {
	server := newServer(t)
	_, err := server.Subscribe(ctx, "c", queryFunc{"fails", func(map[string][]string) (bool, error) { return false, errors.New("no") }})
	require.NoError(t, err)
	publishN(t, server, 1, 1) // quiet by default
	server.SetLogger(slog.Default())
	server.SetLogger(nil)
	publishN(t, server, 2, 1)
	require.EqualValues(t, 2, server.Stats().Failures[0].Failures)
}

// Matching is a function call: no goroutine is started for it, let alone left.
func TestMatchingLeavesNoGoroutine(t *testing.T) {
	server := newServer(t)
	for i := range 10 {
		subscribe(t, server, "c", fmt.Sprintf("a = %d AND b > 1 OR NOT c CONTAINS 'x'", i), 1, pubsub.DropOldest)
	}
	_, err := server.Subscribe(ctx, "user", userQuery{"a"}, 1000)
	require.NoError(t, err)
	before := goleak.IgnoreCurrent()
	for i := range 500 {
		publish(t, server, i, "a", "1", "c", "x", "b", "7")
		_, err := query.MustParse("a = 1").Matches(map[string][]string{"a": {"1"}})
		require.NoError(t, err)
	}
	goleak.VerifyNone(t, before)
}

// spelled is a query in a language of its own.
type spelled struct {
	queryFunc
	means *query.Query
}

func (q spelled) Indexed() (receiver any, means *query.Query) { return q, q.means }

func TestIndexableIsFoundByTheIndex(t *testing.T) {
	server := newServer(t)
	asked := queryFunc{"height is five", func(map[string][]string) (bool, error) {
		t.Error("an indexable query was asked")
		return true, nil
	}}
	q := spelled{asked, query.MustParse("height = 5")}
	sub, err := server.Subscribe(t.Context(), "a", q, 10)
	require.NoError(t, err)
	plain, err := server.Subscribe(t.Context(), "b", q.means, 10)
	require.NoError(t, err)
	require.Equal(t, 1, server.Stats().Index.Queries, "they share one query")

	require.NoError(t, server.PublishWithEvents(t.Context(), "4", map[string][]string{"height": {"4"}}))
	require.NoError(t, server.PublishWithEvents(t.Context(), "5", map[string][]string{"height": {"5"}}))
	for _, sub := range []*pubsub.Subscription{sub, plain} {
		msg, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, "5", msg.Data())
	}

	_, err = server.Subscribe(t.Context(), "a", q.means)
	require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed, "it is the same as what it means")
	require.NoError(t, server.Unsubscribe(t.Context(), "a", q))
	require.ErrorIs(t, server.Unsubscribe(t.Context(), "a", q.means), pubsub.ErrSubscriptionNotFound)
}

func TestIndexableThatMeansNothingIsAsked(t *testing.T) {
	server := newServer(t)
	odd := queryFunc{"odd", func(events map[string][]string) (bool, error) { return len(events) == 1, nil }}
	sub, err := server.Subscribe(t.Context(), "a", spelled{odd, nil})
	require.NoError(t, err)
	require.NoError(t, server.PublishWithEvents(t.Context(), "odd", map[string][]string{"a": {"b"}}))
	msg, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "odd", msg.Data())
	require.NoError(t, server.Unsubscribe(t.Context(), "a", odd), "its text is its own")
}

// What a type embeds is not what it means: it has methods of its own.
type (
	embedsTendermint struct{ *tmquery.Query }
	embedsComet      struct{ *cmtquery.Query }
	embedsOwn        struct{ *query.Query }
	embedsSpelled    struct{ spelled }
)

func none(events map[string][]string) (bool, error) { return len(events) == 0, nil }

func (embedsTendermint) Matches(events map[string][]string) (bool, error) { return none(events) }
func (embedsComet) Matches(events map[string][]string) (bool, error)      { return none(events) }
func (embedsOwn) Matches(events map[string][]string) (bool, error)        { return none(events) }
func (*embedsSpelled) Matches(events map[string][]string) (bool, error)   { return none(events) }

func TestTypeThatEmbedsAQueryIsAskedItself(t *testing.T) {
	for name, q := range map[string]pubsub.Query{
		"tmquery":       embedsTendermint{tmquery.MustParse("a.b = 1")},
		"tmquery, at":   &embedsTendermint{tmquery.MustParse("a.b = 1")},
		"cmtquery":      embedsComet{cmtquery.MustCompile("a.b = 1")},
		"query":         embedsOwn{query.MustParse("a.b = 1")},
		"own Indexable": &embedsSpelled{spelled{queryFunc{"a.b is 1", nil}, query.MustParse("a.b = 1")}},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			sub, err := server.Subscribe(ctx, "c", q, 10)
			require.NoError(t, err)
			plain := subscribe(t, server, "plain", "a.b = 1", 10, pubsub.Cancel)
			publish(t, server, 1, "a.b", "1")
			publish(t, server, 2)
			require.Equal(t, 2, next(t, sub), "it says that nothing but this matches")
			require.Equal(t, 1, next(t, plain))
			require.Equal(t, q, sub.Query())
			require.Equal(t, 1, server.Stats().Index.Queries)
			require.NoError(t, server.Unsubscribe(ctx, "c", q))
		})
	}
}

// The query of a subscription is the one that it shares.
func TestSubscriptionToAnIndexableKnowsWhatThatMeans(t *testing.T) {
	server := newServer(t)
	sub, err := server.Subscribe(ctx, "c", tmquery.MustParse("a.b=1"))
	require.NoError(t, err)
	require.IsType(t, (*query.Query)(nil), sub.Query())
	require.Equal(t, "a.b = 1", sub.Query().String())
}

// A nil query is an error, in whatever language, unless nil means something in
// that.
func TestNilQueryIsAnErrorInEveryLanguage(t *testing.T) {
	for name, q := range map[string]pubsub.Query{
		"nil": nil, "query": (*query.Query)(nil), "tmquery": (*tmquery.Query)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			_, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{Query: q})
			require.ErrorContains(t, err, "SubscribeArgs.Query is nil")
			_, err = server.Subscribe(ctx, "c", q)
			require.ErrorContains(t, err, "SubscribeArgs.Query is nil")
			_, err = server.SubscribeUnbuffered(ctx, "c", q)
			require.ErrorContains(t, err, "SubscribeArgs.Query is nil")
			require.ErrorIs(t, server.Unsubscribe(ctx, "c", q), pubsub.ErrSubscriptionNotFound)
			_, err = pubsub.NewMessage(1, nil).Matches(q)
			require.ErrorContains(t, err, "nil query")
			require.Zero(t, server.NumClients())
		})
	}
	server := newServer(t)
	sub, err := server.Subscribe(ctx, "c", cmtquery.All)
	require.NoError(t, err)
	publish(t, server, 1)
	require.Equal(t, 1, next(t, sub), "nil is all of CometBFT's")
	matches, err := pubsub.NewMessage(1, nil).Matches(cmtquery.All)
	require.NoError(t, err)
	require.True(t, matches)
}
