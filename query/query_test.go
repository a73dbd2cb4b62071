package query_test

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

func TestTheTreeOfAQuery(t *testing.T) {
	q := query.MustParse("a = 1 AND (b IN ('x', DATE 2020-01-01) AND NOT (c EXISTS OR d < -2.50))")
	all := q.Expr().(query.AllOf)
	require.Len(t, all, 3)

	a := all[0].(*query.Condition)
	require.Equal(t, "a", a.Key)
	require.Equal(t, query.Equal, a.Op)
	require.Equal(t, query.Number, a.Operands[0].Kind())
	require.Equal(t, "1", a.Operands[0].Text())
	require.Zero(t, a.Operands[0].Time())

	b := all[1].(*query.Condition)
	require.Equal(t, query.In, b.Op)
	require.Equal(t, query.String, b.Operands[0].Kind())
	require.Equal(t, "x", b.Operands[0].Text())
	require.Equal(t, query.Date, b.Operands[1].Kind())
	require.Equal(t, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), b.Operands[1].Time())

	either := all[2].(query.Not).Term.(query.AnyOf)
	require.Empty(t, either[0].(*query.Condition).Operands)
	require.Equal(t, "-2.5", either[1].(*query.Condition).Operands[0].Text())

	require.Equal(t, "a = 1 AND b IN ('x', DATE 2020-01-01) AND NOT (c EXISTS OR d < -2.5)", q.Expr().String())
	require.Equal(t, "NOT (c EXISTS OR d < -2.5)", all[2].String())
	require.Equal(t, "c EXISTS OR d < -2.5", either.String())
	require.Equal(t, "d < -2.5", either[1].String())
	require.Equal(t, []*query.Condition{a, b, either[0].(*query.Condition), either[1].(*query.Condition)}, q.Conditions())
}

func TestNestedNodesOfOneKindAreOne(t *testing.T) {
	for text, canonical := range map[string]string{
		"a=1 AND (b=2 AND c=3)":                    "a = 1 AND b = 2 AND c = 3",
		"((a=1 OR b=2) OR (c=3)) OR d=4":           "a = 1 OR b = 2 OR c = 3 OR d = 4",
		"a=1 AND (b=2 OR (c=3 AND (d=4 AND e=5)))": "a = 1 AND (b = 2 OR c = 3 AND d = 4 AND e = 5)",
		"NOT (a=1 AND (b=2 AND c=3))":              "NOT (a = 1 AND b = 2 AND c = 3)",
	} {
		q := query.MustParse(text)
		require.Equal(t, canonical, q.String())
		requireSame(t, q, canonical)
	}
}

func TestOrderAndDuplicatesMakeOtherQueries(t *testing.T) {
	texts := []string{"a = 1 AND b = 2", "b = 2 AND a = 1", "a = 1 AND b = 2 AND b = 2", "a IN (1, 2)", "a IN (2, 1)", "a IN (1, 1, 2)", "NOT NOT a = 1", "a = 1", "a IN (1)"}
	for _, text := range texts {
		require.Equal(t, text, query.MustParse(text).String())
	}
}

func TestNamesOfOperatorsAndKinds(t *testing.T) {
	require.Equal(t, "STARTSWITH", query.StartsWith.String())
	require.Equal(t, "invalid operator", query.Op(0).String())
	require.Equal(t, "invalid operator", query.Op(99).String())
	names := []string{query.String.String(), query.Number.String(), query.Date.String(), query.Time.String(), query.Kind(0).String()}
	require.Equal(t, []string{"String", "Number", "Date", "Time", "invalid kind"}, names)
}

func TestSatisfiedByTellsWhichValues(t *testing.T) {
	events := map[string][]string{"a": {"7uatom", "x", "80uatom", "90"}, "b.c": {"1"}}
	for text, want := range map[string][]string{
		"a > 50":        {"80uatom", "90"},
		"a != 90":       {"7uatom", "x", "80uatom"},
		"a EXISTS":      {"7uatom", "x", "80uatom", "90"},
		"a IN (7, 'x')": {"7uatom", "x"},
		"b EXISTS":      nil, // by its type
		"c = 1":         nil,
	} {
		c := query.MustParse(text).Conditions()[0]
		require.Equal(t, want, slices.Collect(c.SatisfiedBy(events)), text)
	}
	for v := range query.MustParse("a > 50").Conditions()[0].SatisfiedBy(events) {
		require.Equal(t, "80uatom", v)
		break
	}
}

func TestAllMatchesEverything(t *testing.T) {
	for _, q := range []interface {
		fmt.Stringer
		Matches(map[string][]string) (bool, error)
	}{query.All, query.Empty{}, query.And(query.All, query.All)} {
		for _, events := range []map[string][]string{nil, {}, {"a": nil}, {"a": {"1"}}} {
			ok, err := q.Matches(events)
			require.NoError(t, err)
			require.True(t, ok)
		}
		require.Equal(t, "empty", q.String())
	}
	require.Nil(t, query.All.Expr())
	require.Empty(t, query.All.Conditions())
	_, err := query.New("empty")
	require.Error(t, err)
}

func TestAndJoinsTrees(t *testing.T) {
	or := query.MustParse("a = 1 OR b = 2")
	and := query.MustParse("c = 3 AND d = 4")
	require.Equal(t, "(a = 1 OR b = 2) AND c = 3 AND d = 4", query.And(or, and).String())
	require.Equal(t, "c = 3 AND d = 4 AND c = 3 AND d = 4", query.And(and, and).String())
	require.Equal(t, "c = 3 AND d = 4", and.String(), "the parts stay as they are")
}

func TestMustParsePanicsOnABadQuery(t *testing.T) {
	require.PanicsWithError(t, "query: offset 1: expected an operator, got the end", func() { query.MustParse("a") })
}

func TestTheCauseOfABadPatternIsKept(t *testing.T) {
	_, err := query.New("a MATCHES '['")
	var cause *syntax.Error
	require.True(t, errors.As(err, &cause))
	require.Equal(t, syntax.ErrMissingBracket, cause.Code)
}

// The grammar lists blanks one by one; here they are held against unicode.
func TestEveryRuneButBlanksAndPunctuationIsAKey(t *testing.T) {
	const punctuation = `\()"'=<>!,`
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r == 0x4000 { // no blanks from here on, so that a sample will do
			r = 0x2FFF0
		}
		if r == 0x31000 {
			r = 0x10FFF0
		}
		_, err := query.New("a" + string(r) + "b = 1")
		require.Equal(t, unicode.IsSpace(r) || strings.ContainsRune(punctuation, r), err != nil, "%U", r)
		if unicode.IsSpace(r) {
			query.MustParse(string(r) + "a = 1" + string(r))
		}
	}
}

var matching = map[string]string{
	"strings":  "s = 'x' AND s != 'y' AND s > 'a' AND s CONTAINS 'x' AND s STARTSWITH 'x' AND s ENDSWITH 'x' AND s IN ('a', 'x')",
	"numbers":  "n = 8.045 AND n > 8 AND n >= 8.045 AND n < 9.1 AND n <= 9 AND n IN (1, 8.045) AND NOT n = -8",
	"instants": "t >= DATE 2024-01-01 AND t < TIME 2025-01-01T00:00:00+07:00 AND t IN (TIME 2024-02-15T17:05:42.5Z)",
	"exists":   "s EXISTS AND type EXISTS AND NOT other EXISTS",
	"patterns": "s MATCHES '^x$' OR n MATCHES '8.*stake'",
}

func TestMatchingTakesNoMemory(t *testing.T) {
	events := map[string][]string{
		"s": {"x"}, "n": {"8.045stake"}, "t": {"never", "2024-02-15T17:05:42.500Z"}, "type.key": nil,
	}
	for name, text := range matching {
		q := query.MustParse(text)
		ok, _ := q.Matches(events)
		require.True(t, ok, name)
		require.Zero(t, testing.AllocsPerRun(100, func() { q.Matches(events) }), name)
	}
}

// Parsers are reused: what one query leaves behind must not show in the next.
func TestQueriesAreParsedSideBySide(t *testing.T) {
	var texts []string
	for i := range 50 {
		texts = append(texts, fmt.Sprintf("клю́ч%d = '日本' AND b = %d", i, i), fmt.Sprintf("(a%d", i), strings.Repeat("NOT ", i)+"c EXISTS")
	}
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for _, text := range texts {
				if q, err := query.New(text); err == nil && q.String() != text {
					t.Errorf("%s became %s", text, q)
				}
			}
		})
	}
	done.Wait()
}

// Or matches where either does, and joins trees as And does.
func TestOrMatchesWhereEitherDoes(t *testing.T) {
	a, b := query.MustParse("a = 1 AND x EXISTS"), query.MustParse("b = 1 OR c = 1")
	both := query.Or(a, b)
	for _, events := range []map[string][]string{
		nil, {"a": {"1"}}, {"a": {"1"}, "x": {""}}, {"b": {"1"}}, {"c": {"1"}}, {"a": {"1"}, "x": {""}, "c": {"1"}}, {"x": {"1"}},
	} {
		inA, _ := a.Matches(events)
		inB, _ := b.Matches(events)
		got, err := both.Matches(events)
		require.NoError(t, err)
		require.Equal(t, inA || inB, got, events)
	}
	again, err := query.New(both.String())
	require.NoError(t, err)
	require.Equal(t, both.String(), again.String())
	require.Same(t, query.All, query.Or(a, query.All))
}
