package tmquery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/compat/tmquery"
	"github.com/harkbus/pubsub/query"
)

var _ pubsub.Indexable = (*tmquery.Query)(nil)
var _ pubsub.Indexable = tmquery.Empty{}

func TestConditionsAreTendermints(t *testing.T) {
	q := tmquery.MustParse("tm.event = 'Tx' AND tx.height>=5 AND tx.gas < 8. AND a.b<= 2.5 AND " +
		"b.time > TIME 2013-05-03T14:45:00+02:00 AND b.day = DATE 2017-01-01 AND c.d CONTAINS'x y' AND slash EXISTS")
	conditions, err := q.Conditions()
	require.NoError(t, err)
	at, err := time.Parse(tmquery.TimeLayout, "2013-05-03T14:45:00+02:00")
	require.NoError(t, err)
	require.Equal(t, []tmquery.Condition{
		{"tm.event", tmquery.OpEqual, "Tx"},
		{"tx.height", tmquery.OpGreaterEqual, int64(5)},
		{"tx.gas", tmquery.OpLess, 8.0},
		{"a.b", tmquery.OpLessEqual, 2.5},
		{"b.time", tmquery.OpGreater, at},
		{"b.day", tmquery.OpEqual, time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"c.d", tmquery.OpContains, "x y"},
		{"slash", tmquery.OpExists, nil},
	}, conditions)
}

func TestANumberBeyondInt64IsAnErrorOfConditions(t *testing.T) {
	q := tmquery.MustParse("a.b = 9223372036854775808")
	_, err := q.Conditions()
	require.ErrorContains(t, err, "value out of range")
	matches, err := q.Matches(map[string][]string{"a.b": {"9223372036854775808"}})
	require.NoError(t, err)
	require.True(t, matches, "matching is exact at any length")
}

func TestOnlyTendermintsLanguageIsTaken(t *testing.T) {
	for _, text := range []string{
		"a.b=5", "a.b  =  5 AND  c.d = 'x'", "AND = 5", "a.b = ''", "hash = '13'", "a.b = 0", "a = 1.", "or EXISTS", "a exists and b Contains 'x' aND c = date 2013-02-01",
	} {
		q, err := tmquery.New(text)
		require.NoError(t, err, text)
		require.Equal(t, text, q.String())
	}
	for _, text := range []string{
		"", " ", "a.b = 5 OR c.d = 6", "NOT a.b = 5", "(a.b = 5)", "a.b != 5", "a.b IN (5)", "a.b STARTSWITH 'x'", "a.b MATCHES 'x'",
		"a.b = -5", "a.b = 05", "a.b = 0.5", "a.b = 'it''s'", "a.b > 'x'", "a.b = \"x\"", " a.b = 5", "a.b = 5 ", "a.b\t= 5",
		"a.bEXISTS", "a.b = TIME 2013-05-03t14:45:00Z", "a.b = 5AND c.d = 6", "a.b = TIME 2013-05-03T14:45:00.5Z",
		"a.b = DATE 2013-02-31", "a.b = DATE  2013-02-01", "a.b = TIME2013-05-03T14:45:00Z",
		"a!b = 5", "a,b = 5", "a\u00a0= 5", "a.b = '\xff'",
	} {
		_, err := tmquery.New(text)
		require.Error(t, err, text)
	}
	require.PanicsWithValue(t, `failed to parse a.b: tmquery: "a.b" has no operator at byte 3`, func() { tmquery.MustParse("a.b") })
}

func TestSubscriptionsAreIndexed(t *testing.T) {
	server := pubsub.NewServer()
	require.NoError(t, server.Start())
	defer func() { _ = server.Stop() }()
	some, err := server.Subscribe(t.Context(), "a", tmquery.MustParse("tm.event='Tx'"), 10)
	require.NoError(t, err)
	all, err := server.Subscribe(t.Context(), "b", tmquery.Empty{}, 10)
	require.NoError(t, err)
	require.Equal(t, 2, server.Stats().Index.Queries)
	require.NoError(t, server.PublishWithEvents(t.Context(), 1, map[string][]string{"tm.event": {"Tx"}}))
	for _, sub := range []*pubsub.Subscription{some, all} {
		msg, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, msg.Data())
	}
	require.NoError(t, server.Unsubscribe(t.Context(), "a", tmquery.MustParse("tm.event = 'Tx'")), "however it is spelled")
	require.NoError(t, server.Unsubscribe(t.Context(), "b", query.All))
}
