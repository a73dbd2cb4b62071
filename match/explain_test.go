package match_test

import (
	"fmt"
	"testing"

	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

func TestExplanationTellsWhichValuesSatisfyWhichCondition(t *testing.T) {
	x := match.New[int]()
	id := x.Add(query.MustParse("tm.event = 'Tx' AND (tx.height > 5 OR tx.code IN (0, 1)) AND NOT a EXISTS"), 1)
	events := map[string][]string{"tm.event": {"Vote", "Tx"}, "tx.height": {"3", "7", "8"}, "a": {"x"}}
	e, ok := x.Explain(events, id)
	require.True(t, ok)
	require.False(t, e.Matched)
	require.Equal(t, `no match: tm.event = 'Tx' AND (tx.height > 5 OR tx.code IN (0, 1)) AND NOT a EXISTS
+ tm.event = 'Tx'  by 'Tx'  (indexed)
+ tx.height > 5  by '7', '8'
. tx.code IN (0, 1)
+ a EXISTS  by 'x'
`, e.String())

	delete(events, "a")
	e, _ = x.Explain(events, id)
	require.True(t, e.Matched)
	x.Remove(id)
	_, ok = x.Explain(events, id)
	require.False(t, ok)
	require.Equal(t, "matched: empty\n", match.Explain(query.All, events).String())
}

func TestExplanationTellsEveryConditionThatAQueryIsFoundBy(t *testing.T) {
	filed := func(texts ...string) []bool {
		x := match.New[int]()
		var id match.ID
		for _, text := range texts {
			id = x.Add(query.MustParse(text), 0)
		}
		e, ok := x.Explain(nil, id)
		require.True(t, ok)
		var filed []bool
		for _, c := range e.Conditions {
			filed = append(filed, c.Filed)
		}
		return filed
	}
	require.Equal(t, []bool{true, true, false}, filed("a > 1 AND a < 5 AND b EXISTS"), "a range has two ends")
	require.Equal(t, []bool{false}, filed("NOT a = 1"))
	require.Equal(t, []bool{true, true}, filed("a = 1 OR b IN (1, 2)"))
	require.Equal(t, []bool{true, false, true}, filed("(a IN (1, 2, 3) AND c > 1) OR b = 5"))
	var pairs []string
	for i := range 60 * 60 {
		pairs = append(pairs, fmt.Sprintf("a%d > 5 AND b%d > 5 AND c = 'x'", i%60, i/60))
	}
	require.Equal(t, []bool{true, true, false}, filed(pairs...), "one leads to a node, the other is inside")

	hot := func(text string) (texts []string) {
		for range 100 {
			texts = append(texts, text)
		}
		return texts
	}
	require.Equal(t, []bool{true, true}, filed(hot("a = 'x' AND b = 1")...), "one leads to a node, the other is inside")
	require.Equal(t, []bool{true, true}, filed(hot("a CONTAINS 'abcdefghi' AND b ENDSWITH '12345678'")...))
}
