package query_test

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub/query"
)

// The parser of package regexp takes no repetition of more than 1,000, so an
// honest count of these is far beyond any limit that a server would have.
func TestRepetitionsAreCountedBeforeTheyAreCompiled(t *testing.T) {
	for _, c := range []struct {
		pattern      string
		instructions int
	}{
		{"x", 1 + 2},
		{"abc", 3 + 2},
		{"x{20}", 20 + 2},
		{"x{2,5}", 8 + 2},
		{"x{2,}", 4 + 2},
		{"x{0}", 1 + 2},
		{"(abcdefghij){999,}", 12*999 + 2 + 2},
		{"(abcdefghij){0,83}", 13*83 + 2},
		{"(((ab){3}){4}){5}", ((4*3+2)*4+2)*5 + 2},
		{".*", 3 + 2},
		{"a|b.|c", 5 + 1 + 2},
		{"[a-z]", 1 + 2},
		{`\pL`, 84 + 2},
		{`\p{Ogham}`, 8},
		{`(?i)[а-я]`, 32},
		{`(?i)[\x{430}-\x{44f}]`, 32},
		{`[\x{430}-\x{44f}]`, 1 + 2},
		{`(?:[а-я]i)`, 2 + 2},
		{`\\p\-é`, 4 + 2},
		{"[acd]", 1 + 2},
		{"[acfh]", 2 + 2},
		{`\w\b(?m:^$)\B`, 2*5 + 2},
		{"^$", 2 + 2},
		{"[acegi]", 2 + 2},
		{"[acegikmo]", 3 + 2},
		{"(?i)a", 2 + 2},
		{"(?i)K1-k", 3 + 1 + 1 + 3 + 2},
		{"(?i)Ss", 3 + 3 + 2},
		{"(?i:ж)Ж", 6 + 1 + 2},
		{"[жЖ]", 6 + 2},
		{"(?i)日本", 2 + 2},
		{"(?i:ж?){10}", 7*10 + 2},
	} {
		text := "a MATCHES '" + c.pattern + "'"
		exactly := query.Limits{Regexp: c.instructions}
		q, err := exactly.New(text)
		require.NoError(t, err, text)
		require.Equal(t, c.instructions, q.Instructions(), text)
		exactly.Regexp--
		_, err = exactly.New(text)
		require.ErrorContains(t, err, fmt.Sprintf("need %d instructions, more than %d", c.instructions, c.instructions-1), text)
	}
}

func TestInstructionsAreThoseOfTheWholeQuery(t *testing.T) {
	const text = "a MATCHES 'abc' AND (b = 'abc' OR NOT a MATCHES 'x{10}') AND a CONTAINS 'abc'"
	q := query.MustParse(text)
	require.Equal(t, 3+2+10+2, q.Instructions())
	require.Equal(t, 2*q.Instructions()+3, query.And(query.And(q, q), query.MustParse("c MATCHES 'x'")).Instructions())
	require.Equal(t, q.Instructions(), query.And(query.All, q).Instructions())
	require.Zero(t, query.All.Instructions())
	require.Zero(t, query.MustParse("a = 'abc'").Instructions())
}

// It needs no compiled program to have more instructions than were counted.
func TestNoProgramHasMoreInstructionsThanAreCounted(t *testing.T) {
	var pattern *rapid.Generator[string]
	pattern = rapid.Custom(func(t *rapid.T) string {
		sub := func() string {
			return rapid.OneOf(rapid.SampledFrom([]string{"", "a", "é", ".", "^", "$", `\b`, "[a-c]", `\pL`, `\d`, "abc"}), rapid.Deferred(func() *rapid.Generator[string] { return pattern })).Draw(t, "sub")
		}
		return rapid.SampledFrom([]func() string{
			func() string { return "(" + sub() + ")" },
			func() string { return "(?i:" + sub() + ")" },
			func() string { return "(?:" + sub() + ")*" },
			func() string { return "(?:" + sub() + ")+?" },
			func() string { return "(?:" + sub() + ")?" },
			func() string { return "(?:" + sub() + "){2,}" },
			func() string { return "(?:" + sub() + "){0,}" },
			func() string { return "(?:" + sub() + "){0,3}" },
			func() string { return "(?:" + sub() + "){4}" },
			func() string { return "(?:" + sub() + "){0}" },
			func() string { return sub() + "|" + sub() },
			func() string { return sub() + sub() + sub() },
		}).Draw(t, "form")()
	})
	rapid.Check(t, func(t *rapid.T) {
		text := pattern.Draw(t, "pattern")
		parsed, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Skip(err)
		}
		program, err := syntax.Compile(parsed.Simplify())
		require.NoError(t, err)
		q, err := open.New("a MATCHES '" + text + "'")
		require.NoError(t, err)
		require.GreaterOrEqual(t, q.Instructions(), len(program.Inst), text)
	})
}

// TestLettersInAnyCaseCostNoMoreThanIsCounted has expressions that count the
// same run over the same value. Those under (?i) took three times as long, when
// they were counted as others are.
func TestLettersInAnyCaseCostNoMoreThanIsCounted(t *testing.T) {
	const rounds, generous = 15, 2.5
	events := map[string][]string{"m": {strings.Repeat("n", 1<<10)}}
	optional := []string{"x?", "(?i:ж)?", "(?i:θ)?", "(?i:é)?", "(?i:𐐀)?", "(?i:s)?", "[acegikm]?"}
	var queries []*query.Query
	for _, unit := range optional {
		repeated := func(n int) string { return "m MATCHES '" + strings.Repeat(unit, n) + "!'" }
		n := sort.Search(400, func(n int) bool { _, err := query.New(repeated(n + 1)); return err != nil })
		queries = append(queries, query.MustParse(repeated(n)))
	}
	fastest := make([]time.Duration, len(queries))
	for round := range rounds {
		for i, q := range queries {
			start := time.Now()
			_, _ = q.Matches(events)
			if took := time.Since(start); round == 0 || took < fastest[i] {
				fastest[i] = took
			}
		}
	}
	for i, took := range fastest {
		require.Less(t, float64(took)/float64(fastest[0]), generous, optional[i])
	}
}

func TestHostileExpressionsCostLittleToRefuse(t *testing.T) {
	for _, pattern := range []string{
		"((a{1000})(b{1000})){1}" + strings.Repeat("(c{1000})", 400),
		"(abcdefghij){999,}",
		strings.Repeat(`\pL`, 1300),
		"(?i)[" + strings.Repeat(`\pL\pN`, 600) + "]",
		"(?i)[" + strings.Repeat("a-\U0010ffff", 400) + "]",
		"(?i)[" + strings.Repeat(`a-\x{10ffff}`, 300) + "]",
		"(?s-i:(?mi)[" + strings.Repeat("b-\U0010ffff", 400) + "])",
	} {
		start, before := time.Now(), allocated()
		_, err := query.New("a MATCHES '" + pattern + "'")
		require.ErrorContains(t, err, "instructions, more than 400")
		require.Less(t, allocated()-before, uint64(1<<20), pattern)
		require.Less(t, time.Since(start), 100*time.Millisecond, pattern)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestRequiredLiteral(t *testing.T) {
	for pattern, literal := range map[string]string{
		"abc":                   "abc",
		"^/v1/[a-z]+/transfer$": "/transfer",
		"(abc)+d":               "abc",
		"(abc){2,}":             "abc",
		"(abc)?":                "",
		"(abc)*x":               "x",
		"(abc){0,3}":            "",
		"abc|abd":               "ab",
		"(?i)abc":               "",
		".*":                    "",
		"":                      "",
		"\\x{FFFD}abc":          "",
		"a.c":                   "a",
	} {
		q := query.MustParse("a MATCHES '" + pattern + "'")
		require.Equal(t, literal, q.Conditions()[0].Operands[0].Literal(), pattern)
	}
	require.Empty(t, query.MustParse("a CONTAINS 'abc'").Conditions()[0].Operands[0].Literal())
}

// A text in any case, which is compared without running the expression, matches
// what the expression does, whatever letters and invalid bytes there are.
func TestATextInAnyCaseMatchesAsItsExpression(t *testing.T) {
	letters := []string{"k", "K", "\u212a", "s", "S", "\u017f", "ß", "ẞ", "я", "Я", "ǆ", "ǅ", "1", "-", " ", "\n", "\ufffd", "日", "i", "I", "İ", "ı"}
	bytes := append([]string{"\xff", "\xe2\x84", "\x00"}, letters...)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom(letters), 0, 3).Draw(t, "text")
		form := rapid.SampledFrom([]string{"(?i)^%s$", `(?i)\A%s\z`, "(?i:^%s$)", "(?i)^(%s)$", "(?i)%s$", "(?im)^%s$", "^%s$", "(?i)^%s"}).Draw(t, "form")
		pattern := fmt.Sprintf(form, strings.Join(text, ""))
		q, err := query.Limits{Regexp: 1 << 20}.New("a MATCHES '" + pattern + "'")
		require.NoError(t, err, pattern)
		value := strings.Join(rapid.SliceOfN(rapid.SampledFrom(bytes), 0, 3).Draw(t, "value"), "")
		for _, v := range []string{value, strings.ToUpper(strings.Join(text, "")), strings.ToLower(strings.Join(text, "")), "x\n" + strings.Join(text, "")} {
			got, err := q.Matches(map[string][]string{"a": {v}})
			require.NoError(t, err)
			require.Equal(t, regexp.MustCompile(pattern).MatchString(v), got, "%q on %q", pattern, v)
		}
	})
}
