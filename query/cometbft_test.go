package query_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"iter"
	"maps"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// A vector is a query, events, and what CometBFT v1.0.1 answered for them:
// match, nomatch or parse_error.
type vector struct {
	answer, query string
	events        map[string][]string
}

// vectors yields the lines of testdata/cometbft.txt.gz: an answer, a query and
// events, the latter two in JSON.
func vectors(t *testing.T) iter.Seq[vector] {
	f, err := os.Open("testdata/cometbft.txt.gz")
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	return func(yield func(vector) bool) {
		lines := bufio.NewScanner(z)
		for lines.Scan() {
			var v vector
			answer, rest, _ := strings.Cut(lines.Text(), " ")
			v.answer = answer
			d := json.NewDecoder(strings.NewReader(rest))
			require.NoError(t, d.Decode(&v.query))
			require.NoError(t, d.Decode(&v.events))
			if !yield(v) {
				return
			}
		}
		require.NoError(t, lines.Err())
	}
}

// TestVectorsOfCometBFT holds 10,000 answers of CometBFT against ours. They
// differ only where a fault of CometBFT is healed here, or where the text is a
// query only here. One answer may differ for more than one of the reasons.
func TestVectorsOfCometBFT(t *testing.T) {
	healed := map[string]int{
		"dotless key": 0, "type = ''": 0, "DATE against a timestamp": 0, "TIME against a date": 0, "negative number": 0,
		"more than 125 bits": 0, "quote that nothing closes": 0, "invalid UTF-8": 0, "limits": 0,
	}
	extensions := map[string]int{}
	agree, differ := 0, 0
	for v := range vectors(t) {
		q, err := query.New(v.query)
		got := answer(q, err, v.events)
		if got == v.answer {
			agree++
			continue
		}
		differ++
		switch {
		case err != nil:
			requireUnpairedQuote(t, v)
			healed["quote that nothing closes"]++
		case v.answer == "parse_error":
			found := extensionsOf(v.query, q)
			require.NotEmpty(t, found, v.query)
			count(extensions, found)
		default:
			count(healed, faults(t, v, q))
		}
	}
	t.Logf("%d agree, %d differ: healed %v, extensions %v", agree, differ, healed, extensions)
	require.Equal(t, 9220, agree)
	require.Equal(t, 780, differ)
	require.Equal(t, map[string]int{
		"dotless key": 348, "type = ''": 0, "DATE against a timestamp": 66, "TIME against a date": 120, "negative number": 15,
		"more than 125 bits": 13, "quote that nothing closes": 15, "invalid UTF-8": 0, "limits": 0,
	}, healed)
	require.Equal(t, map[string]int{
		"OR": 18, "NOT": 23, "parentheses": 73, "!=": 7, "IN": 3, "MATCHES": 4, "STARTSWITH": 1, "text in order": 6,
		"negative operand": 3, "key": 41, "keyword not in upper case": 62, "blanks after DATE or TIME": 2,
	}, extensions)
}

func count(counts map[string]int, names []string) {
	for _, name := range names {
		counts[name]++
	}
}

func answer(q *query.Query, err error, events map[string][]string) string {
	if err != nil {
		return "parse_error"
	}
	if ok, _ := q.Matches(events); ok {
		return "match"
	}
	return "nomatch"
}

// requireUnpairedQuote checks that the text is no query because of its last
// quote, which nothing closes, and that the answer is the one for the text
// before that quote: CometBFT drops the rest there.
func requireUnpairedQuote(t *testing.T, v vector) {
	quote := strings.LastIndexByte(v.query, '\'')
	require.NotEqual(t, -1, quote, v.query)
	q, err := query.New(v.query[:quote])
	require.NoError(t, err)
	require.Equal(t, v.answer == "match", cometMatches(v.query, q, v.events), v.query)
}

// extensionsOf names what CometBFT has no syntax for.
func extensionsOf(text string, q *query.Query) (found []string) {
	note := func(name string, is bool) {
		if is && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	bare := regexp.MustCompile(`'[^']*'`).ReplaceAllString(text, "''")
	note("parentheses", strings.Contains(bare, "("))
	note("OR", regexp.MustCompile(`(?i)\bOR\b`).MatchString(bare))
	note("NOT", regexp.MustCompile(`(?i)\bNOT\b`).MatchString(bare))
	note("blanks after DATE or TIME", regexp.MustCompile(`\b(DATE|TIME)(\s\s|[^\S ])`).MatchString(bare))
	for _, word := range regexp.MustCompile(`(?i)\b(AND|OR|NOT|CONTAINS|EXISTS|DATE|TIME)\b`).FindAllString(bare, -1) {
		note("keyword not in upper case", word != strings.ToUpper(word) && !isKey(q, word))
	}
	for _, c := range q.Conditions() {
		note(c.Op.String(), c.Op == query.NotEqual || c.Op >= query.StartsWith && c.Op <= query.In)
		note("text in order", len(c.Operands) == 1 && c.Operands[0].Kind() == query.String && c.Op >= query.Less && c.Op <= query.GreaterOrEqual)
		note("negative operand", len(c.Operands) == 1 && c.Operands[0].Kind() == query.Number && strings.HasPrefix(c.Operands[0].Text(), "-"))
		note("key", !cometKey.MatchString(c.Key) || slices.Contains(cometKeywords, c.Key))
	}
	return found
}

var (
	cometKey      = regexp.MustCompile(`^[_\pL][-._\pL\p{Nd}]*$`)
	cometKeywords = []string{"AND", "CONTAINS", "EXISTS", "DATE", "TIME"}
)

func isKey(q *query.Query, word string) bool {
	return slices.ContainsFunc(q.Conditions(), func(c *query.Condition) bool { return c.Key == word })
}

// faults names the faults of CometBFT that made a difference to a condition. A
// model of CometBFT with all its faults has to give its answer.
func faults(t *testing.T, v vector, q *query.Query) []string {
	require.Equal(t, v.answer == "match", cometMatches(v.query, q, v.events), v.query)
	found := map[string]bool{}
	for _, c := range q.Conditions() {
		if cometHolds(v.query, c, v.events) != c.Holds(v.events) {
			found[fault(t, c, v.events)] = true
		}
	}
	require.NotEmpty(t, found, v.query)
	return slices.Collect(maps.Keys(found))
}

// fault names why CometBFT gets a condition wrong.
func fault(t *testing.T, c *query.Condition, events map[string][]string) string {
	satisfied := slices.Collect(c.SatisfiedBy(events))
	every := func(is func(string) bool) bool {
		return len(satisfied) > 0 && !slices.ContainsFunc(satisfied, func(v string) bool { return !is(v) })
	}
	switch {
	case !strings.Contains(c.Key, ".") && len(satisfied) > 0:
		return "dotless key"
	case c.Operands[0].Kind() == query.Date && every(isTime):
		return "DATE against a timestamp"
	case c.Operands[0].Kind() == query.Time && every(isDate):
		return "TIME against a date"
	case every(func(v string) bool { return strings.HasPrefix(v, "-") }):
		return "negative number"
	case len(satisfied) == 0 && c.Operands[0].Text() == "":
		return "type = ''"
	case every(isLong) || isLong(c.Operands[0].Text()):
		return "more than 125 bits"
	}
	require.Fail(t, "no healed class", "%s on %v", c, events)
	return ""
}

func isLong(v string) bool { return len(regexp.MustCompile(`^[\d.]+`).FindString(v)) > 37 } // 2^125 has 38 digits
func isTime(v string) bool { _, err := time.Parse(time.RFC3339, v); return err == nil }
func isDate(v string) bool { _, err := time.Parse(time.DateOnly, v); return err == nil }

// cometMatches tells what CometBFT v1.0.1 makes of a query that it can parse.
func cometMatches(text string, q *query.Query, events map[string][]string) bool {
	return !slices.ContainsFunc(q.Conditions(), func(c *query.Condition) bool { return !cometHolds(text, c, events) })
}

// cometHolds tells what CometBFT v1.0.1 makes of a condition that it can parse.
func cometHolds(text string, c *query.Condition, events map[string][]string) bool {
	for key, values := range events {
		kind := ""
		if dot := strings.LastIndex(key, "."); dot >= 0 {
			kind = key[:dot]
		}
		if kind == c.Key && cometSatisfies(text, c, "") {
			return true
		}
		if kind != "" && key == c.Key && slices.ContainsFunc(values, func(v string) bool { return cometSatisfies(text, c, v) }) {
			return true
		}
	}
	return false
}

func cometSatisfies(text string, c *query.Condition, value string) bool {
	if c.Op == query.Exists {
		return true
	}
	operand := c.Operands[0]
	layout := time.RFC3339
	switch operand.Kind() {
	case query.String:
		return c.Satisfies(value)
	case query.Number:
		have, want := cometNumber(value), cometNumber(spelling(text, operand))
		return have != nil && inOrder(c.Op, have.Cmp(want))
	case query.Date:
		layout = time.DateOnly
	}
	at, err := time.Parse(layout, value)
	return err == nil && inOrder(c.Op, at.Compare(operand.Time()))
}

// spelling returns how the text spells a number: 1.0 is no integer there.
func spelling(text string, number query.Operand) string {
	return regexp.MustCompile(`\b0*` + regexp.QuoteMeta(number.Text()) + `(\.0*)?`).FindString(text)
}

// cometNumber reads integers exactly and the rest to 125 bits.
func cometNumber(s string) *big.Float {
	bits := uint(125)
	if i, ok := new(big.Int).SetString(s, 10); ok {
		bits = uint(max(i.BitLen(), 1))
	}
	f, _, err := big.ParseFloat(regexp.MustCompile(`^\d+(\.\d+)?`).FindString(s), 10, bits, big.ToNearestEven)
	if err != nil {
		return nil
	}
	return f
}

func inOrder(op query.Op, order int) bool {
	switch op {
	case query.Less:
		return order < 0
	case query.LessOrEqual:
		return order <= 0
	case query.Greater:
		return order > 0
	case query.GreaterOrEqual:
		return order >= 0
	default:
		return order == 0
	}
}
