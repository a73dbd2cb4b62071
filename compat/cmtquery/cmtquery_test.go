package cmtquery_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/compat/cmtquery"
	"github.com/harkbus/pubsub/compat/cmtquery/syntax"
	"github.com/harkbus/pubsub/query"
)

var _ pubsub.Indexable = cmtquery.All

func TestSyntaxIsCometBFTs(t *testing.T) {
	q := cmtquery.MustCompile("tm.event='Tx'AND tx.height>= 5 AND a-b.c_d CONTAINS '' AND slash EXISTS")
	require.Equal(t, "tm.event = 'Tx' AND tx.height >= 5 AND a-b.c_d CONTAINS '' AND slash EXISTS", q.String())
	tree := q.Syntax()
	require.Len(t, tree, 4)
	require.Equal(t, "tx.height", tree[1].Tag)
	require.EqualValues(t, syntax.TGeq, tree[1].Op)
	require.EqualValues(t, syntax.TNumber, tree[1].Arg.Type)
	n, _ := tree[1].Arg.Number().Int64()
	require.EqualValues(t, 5, n)
	require.Nil(t, tree[3].Arg)
	require.Equal(t, "", tree[3].Arg.Value())
}

func TestOnlyCometBFTsLanguageIsTaken(t *testing.T) {
	for _, text := range []string{
		"a.b=5", " a.b\t=\n5 ", "a.b='x'AND c.d=05AND e EXISTS", "or = 'x'", "TIME= 5", "a.b = DATE 1900-01-01", "ä.b = 3.",
		"a.b > TIME 2013-05-03T14:45:00-07:00", "NOT EXISTS", "a.b = '\xff'",
	} {
		_, err := cmtquery.New(text)
		require.NoError(t, err, text)
	}
	for _, text := range []string{
		"", "a.b = 5 OR c.d = 6", "NOT a.b = 5", "(a.b = 5)", "a.b != 5", "a.b IN (5)", "a.b STARTSWITH 'x'", "a.b MATCHES 'x'",
		"a.b = -5", "a.b > 'x'", "a.b = 'it''s'", "a.b = 5 and c.d = 6", "a.b exists", "5a = 5", ".a = 5",
		"a.b = DATE 1899-12-31", "a.b = TIME 3000-01-01T00:00:00Z", "a.b = DATE  2013-02-01", "a.b = DATE 2013-02-31",
		"a.b = 'x' 'dropped", "a.b CONTAINS 5", "a.b = 5 6", "a.b =",
		"a.b = '" + strings.Repeat("x", 5000) + "'",
	} {
		_, err := cmtquery.New(text)
		require.Error(t, err, text)
	}
	require.Panics(t, func() { cmtquery.MustCompile("a.b") })
}

func TestATreeMadeByHandIsCompiled(t *testing.T) {
	parsed := cmtquery.MustCompile("a.b = 5 AND c.d EXISTS").Syntax()
	q, err := cmtquery.Compile(append(slices.Clone(parsed[1:]), syntax.Condition{Tag: "e", Op: syntax.TExists}))
	require.NoError(t, err)
	require.Equal(t, "c.d EXISTS AND e EXISTS", q.String())
	for _, c := range []syntax.Condition{
		{Tag: "a", Op: syntax.TEq},
		{Tag: "a", Op: syntax.TEq, Arg: &syntax.Arg{Type: syntax.TNumber}},
		{Tag: "a", Op: syntax.TEq, Arg: &syntax.Arg{Type: syntax.TTag}},
		{Tag: "a", Op: syntax.TContains, Arg: parsed[0].Arg},
		{Tag: "a", Op: syntax.TAnd, Arg: parsed[0].Arg},
		{Tag: "a = 1 OR b", Op: syntax.TExists},
		{Tag: "a EXISTS AND b", Op: syntax.TExists},
		{Tag: "", Op: syntax.TExists},
	} {
		_, err := cmtquery.Compile(syntax.Query{c})
		require.Error(t, err, c)
	}
}

func TestQueriesWithoutConditions(t *testing.T) {
	empty, err := cmtquery.Compile(nil)
	require.NoError(t, err)
	some := map[string][]string{"a": nil}
	for _, test := range []struct {
		q           *cmtquery.Query
		text        string
		none, event bool
	}{
		{cmtquery.All, "<empty>", true, true},
		{empty, "", false, true},
		{new(cmtquery.Query), "", false, true},
	} {
		require.Equal(t, test.text, test.q.String())
		matches, err := test.q.Matches(nil)
		require.NoError(t, err)
		require.Equal(t, test.none, matches)
		matches, err = test.q.Matches(some)
		require.NoError(t, err)
		require.Equal(t, test.event, matches)
		require.Empty(t, test.q.Syntax())
	}
}

func TestSubscriptionsAreIndexed(t *testing.T) {
	server := pubsub.NewServer()
	require.NoError(t, server.Start())
	defer func() { _ = server.Stop() }()
	some, err := server.Subscribe(t.Context(), "a", cmtquery.MustCompile("tm.event='Tx'"), 10)
	require.NoError(t, err)
	all, err := server.Subscribe(t.Context(), "b", cmtquery.All, 10)
	require.NoError(t, err)
	require.Equal(t, 2, server.Stats().Index.Queries)
	require.NoError(t, server.PublishWithEvents(t.Context(), 1, map[string][]string{"tm.event": {"Tx"}}))
	for _, sub := range []*pubsub.Subscription{some, all} {
		msg, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, msg.Data())
	}
	require.NoError(t, server.Unsubscribe(t.Context(), "a", cmtquery.MustCompile("tm.event = 'Tx'")), "however it is spelled")
	require.NoError(t, server.Unsubscribe(t.Context(), "b", query.All))
}

func TestEventsAreExpanded(t *testing.T) {
	events := cmtquery.ExpandEvents(map[string][]string{"a.b.c": {"1", "2"}, "d": {"3"}})
	slices.SortFunc(events, func(x, y cmtquery.Event) int { return strings.Compare(x.Type, y.Type) })
	require.Equal(t, []cmtquery.Event{
		{Type: "", Attributes: []cmtquery.EventAttribute{{Key: "d", Value: "3"}}},
		{Type: "a.b", Attributes: []cmtquery.EventAttribute{{Key: "c", Value: "1"}, {Key: "c", Value: "2"}}},
	}, events)
}
