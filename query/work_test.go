package query_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub/query"
)

func TestWeigh(t *testing.T) {
	events := map[string][]string{"n": {"5"}, "m": {"", "0123456789"}, "long": {strings.Repeat("x", 1<<20)}, "none": {}}
	const m = (0 + 16) + (10 + 16)
	for text, want := range map[string]struct {
		matches bool
		work    int64
	}{
		"n = 5":                                       {true, 0},
		"n = 6":                                       {false, 0},
		"m MATCHES 'x'":                               {false, 3 * m},
		"m MATCHES '^[0-9]+$'":                        {false, 6 * m},
		"NOT m MATCHES 'x'":                           {false, 3 * m},
		"none MATCHES ''":                             {false, 0},
		"NOT missing MATCHES 'x'":                     {true, 0},
		"n = 6 AND m MATCHES 'x'":                     {false, 0},
		"m MATCHES 'x' AND n = 6":                     {false, 0},
		"m MATCHES 'x' AND n = 5":                     {false, 3 * m},
		"m MATCHES 'x' OR n = 5":                      {true, 0},
		"m MATCHES 'x' OR n = 6":                      {false, 3 * m},
		"NOT (m MATCHES 'x' OR n = 5)":                {false, 0},
		"NOT (m MATCHES 'x' AND n = 6)":               {true, 0},
		"m MATCHES 'x' AND long MATCHES 'x'":          {false, 3*m + 3*(1<<20+16)},
		"(m MATCHES 'x' OR n = 5) AND m MATCHES 'xy'": {false, 3*m + 4*m}, // Matches may run both
		"long MATCHES 'x{0,100}'":                     {false, 202 * (1<<20 + 16)},
	} {
		q := query.MustParse(text)
		matches, work := q.Weigh(events)
		require.Equal(t, want.work, work, text)
		require.Equal(t, want.matches, matches, text)
		if work == 0 {
			ok, _ := q.Matches(events)
			require.Equal(t, ok, matches, text)
		}
	}
	matches, work := query.All.Weigh(nil)
	require.True(t, matches)
	require.Zero(t, work)
}

func TestWorkDoesNotOverflow(t *testing.T) {
	values := make([]string, 1<<20)
	for i, large := 0, strings.Repeat("x", 1<<20); i < len(values); i++ {
		values[i] = large
	}
	events := map[string][]string{"m": values}
	for text, most := range map[string]bool{
		"m MATCHES 'x'":                             false,
		"m MATCHES 'x{900}'":                        false,
		"m MATCHES 'x{1000}'":                       false,
		"m MATCHES 'x{900}' AND m MATCHES 'y{900}'": true,
		"m MATCHES 'x{999}(y{999})z'":               true,
	} {
		q, err := open.New(text)
		require.NoError(t, err)
		matches, work := q.Weigh(events)
		require.False(t, matches)
		if want := int64(q.Instructions()) * (1<<20 + 16) << 20; want < 1<<50 {
			require.Equal(t, want, work, text)
			require.False(t, most, text)
		} else {
			require.EqualValues(t, int64(1<<50), work, text)
			require.True(t, most, text)
		}
	}
}

// What Weigh says is known does not depend on what the expressions say.
func TestWeighAgreesWithMatches(t *testing.T) {
	texts := []string{"m MATCHES 'a+b'", "m MATCHES '^$'", "o MATCHES 'b'", "n = 5", "n > 7", "m EXISTS", "o != 'b'"}
	var expr *rapid.Generator[string]
	expr = rapid.Custom(func(t *rapid.T) string {
		sub := rapid.OneOf(rapid.SampledFrom(texts), rapid.Deferred(func() *rapid.Generator[string] { return expr }))
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			return "NOT (" + sub.Draw(t, "a") + ")"
		case 1:
			return "(" + sub.Draw(t, "a") + " AND " + sub.Draw(t, "b") + ")"
		case 2:
			return "(" + sub.Draw(t, "a") + " OR " + sub.Draw(t, "b") + ")"
		default:
			return sub.Draw(t, "a")
		}
	})
	values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "ab", "b", "5", "9"}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		q, err := open.New(expr.Draw(t, "query"))
		require.NoError(t, err)
		events := map[string][]string{"m": values.Draw(t, "m"), "n": values.Draw(t, "n"), "o": values.Draw(t, "o")}
		if matches, work := q.Weigh(events); work == 0 {
			ok, _ := q.Matches(events)
			require.Equal(t, ok, matches)
		}
	})
}

func FuzzMatchesIsTheExpression(f *testing.F) {
	f.Add("(foo|bar).*z", "a foo and z")
	f.Add("x{0,20}y", "xxxy")
	f.Add(`(?i)\bK`, "\u212a")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		q, err := query.New("m MATCHES '" + strings.ReplaceAll(pattern, "'", "''") + "'")
		if err != nil {
			return
		}
		ok, _ := q.Matches(map[string][]string{"m": {value}})
		require.Equal(t, regexp.MustCompile(pattern).MatchString(value), ok)
		if literal := q.Conditions()[0].Operands[0].Literal(); ok {
			require.Contains(t, value, literal)
		}
	})
}

// TestWeighCountsAllThatIsLong counts what takes long without an expression.
func TestWeighCountsAllThatIsLong(t *testing.T) {
	many := make([]string, 1000)
	events := map[string][]string{
		"n": {"5"}, "short": {strings.Repeat("x", 240)}, "long": {strings.Repeat("0", 1<<20) + "5"}, "many": many,
	}
	const long = 1<<20 + 1 + 16
	for text, want := range map[string]struct {
		matches bool
		work    int64
	}{
		"long >= 5":                              {false, long},
		"long >= 5 AND n = 5":                    {false, long},
		"long >= 5 AND n = 6":                    {false, 0},
		"n = 6 AND long >= 5":                    {false, 0},
		"long >= 5 OR n = 5":                     {true, 0},
		"NOT (long >= 5 OR n = 5)":               {false, 0},
		"long >= 5 AND long <= 5":                {false, 2 * long},
		"long < DATE 2013-05-03":                 {false, long},
		"long CONTAINS '5'":                      {false, long / 4},
		"long = '5'":                             {false, 0}, // of another length
		"long STARTSWITH '00'":                   {true, 0},
		"long IN (1, 2)":                         {false, 2 * long},
		"long MATCHES '5' AND long = 5":          {false, 3*long + long},
		"many = 'x'":                             {false, 2000},
		"many != 'x'":                            {false, 2000},
		"many ENDSWITH '0123456789abcdef'":       {false, 3000},
		"many > 5":                               {false, 16_000},
		"many IN ('x', 5)":                       {false, 18_000},
		"many EXISTS":                            {true, 0},
		"NOT short CONTAINS 'y'":                 {true, 0},
		"missing > 5 OR NOT missing MATCHES 'x'": {true, 0},
	} {
		matches, work := query.MustParse(text).Weigh(events)
		require.Equal(t, want.work, work, text)
		require.Equal(t, want.matches, matches, text)
	}
	events["short"] = []string{strings.Repeat("x", 1008)} // 256 steps
	one := "NOT short CONTAINS 'y'"
	_, work := query.MustParse(one + strings.Repeat(" AND "+one, 3)).Weigh(events)
	require.Zero(t, work)
	_, work = query.MustParse(one + strings.Repeat(" AND "+one, 4)).Weigh(events)
	require.EqualValues(t, 256, work)
}

// A type is looked for among all keys.
func TestWeighCountsKeysThatATypeIsLookedForIn(t *testing.T) {
	events := make(map[string][]string)
	for i := range 600 {
		events[fmt.Sprintf("a.b%d", i)] = nil
	}
	missing := query.MustParse("x EXISTS OR y EXISTS")
	_, work := missing.Weigh(events)
	require.EqualValues(t, 600, work) // one of them at once
	clear(events)
	matches, work := missing.Weigh(map[string][]string{"x.y": {""}})
	require.True(t, matches)
	require.Zero(t, work)
}

func TestWeighingTakesNoMemory(t *testing.T) {
	var s query.Scale
	events := map[string][]string{"k": make([]string, 1000), "l": {strings.Repeat("0", 1000)}}
	q := query.MustParse("k > 5 OR l > 5 OR k = 'x'")
	s.Put(events)
	s.Weigh(q)
	require.Zero(t, testing.AllocsPerRun(20, func() {
		s.Put(events)
		s.Weigh(q)
		s.Put(nil)
	}))
}

// Many queries of little work are much work together.
func TestQueriesOnOneScaleHaveTheirStepsTogether(t *testing.T) {
	q := query.MustParse("k CONTAINS 'z'")
	events := map[string][]string{"k": {strings.Repeat("x", 4096-16)}}
	var s query.Scale
	for range 2 { // with each events again
		s.Put(events)
		for range 1 << 19 / 1024 {
			matches, work := s.Weigh(q)
			require.False(t, matches)
			require.Zero(t, work)
		}
		_, work := s.Weigh(q)
		require.EqualValues(t, 1024, work)
		matches, work := s.Weigh(query.MustParse("k CONTAINS 'z' OR n != 5 OR NOT n EXISTS"))
		require.True(t, matches)
		require.Zero(t, work)
	}
}
