package query_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// open is as far as limits go.
var open = query.Limits{Length: 1 << 30, Conditions: 1 << 30, Depth: 1 << 30, Operands: 1 << 30, Regexp: 1 << 30}

// hostile are texts of about n bytes that are bad, or costly for a parser that
// tries things again.
var hostile = map[string]func(n int) string{
	"open parentheses":       func(n int) string { return strings.Repeat("(", n) },
	"closing parentheses":    func(n int) string { return "a=1" + strings.Repeat(")", n) },
	"parentheses and blanks": func(n int) string { return strings.Repeat("(  ", n/3) },
	"NOT":                    func(n int) string { return strings.Repeat("NOT ", n/4) },
	"NOT(":                   func(n int) string { return strings.Repeat("NOT(", n/4) },
	"one long key":           func(n int) string { return strings.Repeat("k", n) },
	"one long wide key":      func(n int) string { return strings.Repeat("日", n/3) },
	"blanks":                 func(n int) string { return "a = 1" + strings.Repeat(" ", n) + "!" },
	"wide blanks":            func(n int) string { return "a = 1" + strings.Repeat("\u3000", n/3) + "!" },
	"quotes":                 func(n int) string { return "a = " + strings.Repeat("'", n|1) },
	"an open string":         func(n int) string { return "a = '" + strings.Repeat("x", n) },
	"NUL":                    func(n int) string { return "a = '" + strings.Repeat("\x00", n) },
	"a long number":          func(n int) string { return "a = " + strings.Repeat("7", n) + "x" },
	"AND":                    func(n int) string { return strings.Repeat("AND ", n/4) },
	"conditions":             func(n int) string { return strings.Repeat("a=1 AND ", n/8) },
	"IN":                     func(n int) string { return "a IN (" + strings.Repeat("1,", n/2) },
	"invalid UTF-8":          func(n int) string { return "a = '" + strings.Repeat("é", n/2) + "\xff'" },
	"combining characters":   func(n int) string { return "a" + strings.Repeat("\u0301", n/2) },
}

func requireSyntaxError(t require.TestingT, err error) *query.SyntaxError {
	var e *query.SyntaxError
	require.True(t, errors.As(err, &e), "%v", err)
	require.LessOrEqual(t, 0, e.Offset)
	require.LessOrEqual(t, e.Offset, len(e.Query))
	require.NotContains(t, e.Error(), "\n")
	require.Less(t, len(e.Error()), 2000)
	require.Equal(t, 2, strings.Count(e.Picture()+"\n", "\n"))
	require.Less(t, len(e.Picture()), 2000)
	return e
}

func TestHostileTextsAreErrors(t *testing.T) {
	for name, text := range hostile {
		for _, n := range []int{10_000, 1_000_000} {
			_, err := query.New(text(n))
			require.Error(t, err, name)
			requireSyntaxError(t, err)
		}
	}
}

// Without limits the parser still takes time linear in the text.
func TestHostileTextsTakeLinearTime(t *testing.T) {
	for name, text := range hostile {
		requireLinear(t, name, 2000, func(n int) func() {
			s := text(n)
			return func() {
				_, err := open.New(s)
				require.Error(t, err, name)
				requireSyntaxError(t, err)
			}
		})
	}
}

func TestDeepTreesAreFlattenedInLinearTime(t *testing.T) {
	requireLinear(t, "right", 150, func(n int) func() {
		s := strings.Repeat("(a=1 AND ", n) + "a=1" + strings.Repeat(")", n)
		return func() { requireParses(t, s) }
	})
	requireLinear(t, "left", 150, func(n int) func() {
		s := strings.Repeat("(", n) + "a=1" + strings.Repeat(" OR a=1)", n)
		return func() { requireParses(t, s) }
	})
}

// requireLinear fails if 64 times the size takes more than 512 times as long.
// Quadratic would be 4096; the rest is left to caches and a busy machine.
func requireLinear(t *testing.T, name string, n int, prepare func(n int) func()) {
	small, large := prepare(n), prepare(64*n)
	ratio := float64(fastest(large)) / float64(fastest(small))
	require.Less(t, ratio, 512.0, name)
}

// fastest returns the shortest time of several runs.
func fastest(run func()) time.Duration {
	shortest := time.Hour
	for range 5 {
		start := time.Now()
		run()
		shortest = min(shortest, time.Since(start))
	}
	return max(shortest, time.Microsecond)
}

func requireParses(t *testing.T, text string) {
	_, err := open.New(text)
	require.NoError(t, err)
}

func TestTheDeepestQuery(t *testing.T) {
	const levels = 10_000
	for _, c := range []struct{ opening, closing, err string }{
		{"(", ")", "query: offset 10001: nested deeper than 10000"},
		{"NOT ", "", "query: offset 40004: nested deeper than 10000"},
	} {
		text := strings.Repeat(c.opening, levels) + "a = 1" + strings.Repeat(c.closing, levels)
		q, err := open.New(text)
		require.NoError(t, err)
		ok, err := q.Matches(map[string][]string{"a": {"1"}})
		require.NoError(t, err)
		require.True(t, ok)
		requireSameWithin(t, open, q, text)

		_, err = open.New(c.opening + text + c.closing)
		require.EqualError(t, err, c.err)
	}
}

// hostileValues are values of about n bytes.
var hostileValues = map[string]func(n int) string{
	"letters":         func(n int) string { return strings.Repeat("x", n) },
	"digits":          func(n int) string { return strings.Repeat("9", n) },
	"a negative":      func(n int) string { return "-" + strings.Repeat("9", n/2) + "." + strings.Repeat("0", n/2) + "1x" },
	"zeros":           func(n int) string { return strings.Repeat("0", n) },
	"a long fraction": func(n int) string { return "2020-01-01T00:00:00." + strings.Repeat("1", n) + "Z" },
	"invalid UTF-8":   func(n int) string { return strings.Repeat("\xff\x00", n/2) },
}

func TestMatchingHostileValuesTakesLinearTime(t *testing.T) {
	for _, text := range []string{
		"a = 'x'", "a > 'x'", "a != 5", "a < 5", "a >= " + strings.Repeat("9", 3000), "a = DATE 2020-01-01", "a > TIME 2020-01-01T00:00:00Z",
		"a CONTAINS 'xy'", "a STARTSWITH 'x'", "a ENDSWITH 'x'", "a MATCHES '(x+x+)+y'", "a IN (1, 'x', DATE 2020-01-01)", "a EXISTS", "NOT a = 1",
	} {
		q := query.MustParse(text)
		for name, value := range hostileValues {
			match := func(n int) func() {
				events := map[string][]string{"a": {value(n)}}
				return func() {
					_, err := q.Matches(events)
					require.NoError(t, err)
				}
			}
			requireLinear(t, text+" on "+name, 2000, match)
			match(1 << 20)()
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		limits query.Limits
		good   string
		bad    string
		err    string
	}{
		{query.Limits{Length: 5}, "a = 1", "a =  1", "query: offset 5: the text has 6 bytes, more than 5"},
		{query.Limits{Length: 5}, "a=1", "ab=1", "query: offset 4: the canonical text has 6 bytes, more than 5"},
		{query.Limits{Conditions: 2}, "a=1 OR b=2", "a=1 OR b=2 OR NOT c=3", "query: offset 18: more than 2 conditions"},
		{query.Limits{Depth: 2}, "((a=1)) OR NOT (b=2)", "NOT (NOT a=1)", "query: offset 9: nested deeper than 2"},
		{query.Limits{Operands: 2}, "a IN (1,2) AND b IN (1,2)", "a IN (1,2,'3')", "query: offset 10: more than 2 operands of one IN"},
		{query.Limits{Regexp: 10}, "a MATCHES 'abcdefgh'", "a MATCHES 'x{9}'", "query: offset 10: the regular expressions up to here need 11 instructions, more than 10: use shorter repetitions and fewer alternatives"},
		{query.Limits{Regexp: 10}, "a MATCHES 'abc' OR b MATCHES 'abc'", "a MATCHES 'abc' OR b MATCHES 'abcd'", "query: offset 29: the regular expressions up to here need 11 instructions, more than 10: use shorter repetitions and fewer alternatives"},
		{query.Limits{}, "a = '" + strings.Repeat("x", 4090) + "'", "a = '" + strings.Repeat("x", 4091) + "'", "query: offset 4096: the text has 4097 bytes, more than 4096"},
		{query.Limits{Length: -1}, strings.Repeat("a=1 OR ", 255) + "a=1", strings.Repeat("a=1 OR ", 256) + "a=1", "query: offset 1792: more than 256 conditions"},
		{query.Limits{}, strings.Repeat("(", 64) + "a=1" + strings.Repeat(")", 64), strings.Repeat("(", 65) + "a=1" + strings.Repeat(")", 65), "query: offset 65: nested deeper than 64"},
		{query.Limits{}, "a IN (1" + strings.Repeat(",1", 255) + ")", "a IN (1" + strings.Repeat(",1", 256) + ")", "query: offset 518: more than 256 operands of one IN"},
		{query.Limits{}, "a MATCHES 'x{398}'", "a MATCHES 'x{399}'", "query: offset 10: the regular expressions up to here need 401 instructions, more than 400: use shorter repetitions and fewer alternatives"},
		{query.Limits{Regexp: -1}, "a MATCHES 'x{200}(y{196})'", "a MATCHES 'x{200}(y{197})'", "query: offset 10: the regular expressions up to here need 401 instructions, more than 400: use shorter repetitions and fewer alternatives"},
	} {
		_, err := c.limits.New(c.good)
		require.NoError(t, err)
		_, err = c.limits.New(c.bad)
		requireSyntaxError(t, err)
		require.EqualError(t, err, c.err)
	}
}
