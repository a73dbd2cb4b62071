package query_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

var update = flag.Bool("update", false, "write what the package says now into testdata/errors.txt")

// TestLanguage runs testdata/language.txt, whose head tells its form.
func TestLanguage(t *testing.T) {
	f, err := os.Open("testdata/language.txt")
	require.NoError(t, err)
	defer f.Close()

	var q *query.Query
	var parseErr error
	number, checks := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		number++
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		at := fmt.Sprintf("language.txt:%d: %s", number, lines.Text())
		checks++
		switch verb {
		case "", "#":
			checks--
		case "query":
			q, parseErr = query.New(rest)
		case "query-quoted":
			text, err := strconv.Unquote(rest)
			require.NoError(t, err, at)
			q, parseErr = query.New(text)
		case "bad":
			require.Error(t, parseErr, at)
		case "canonical":
			require.NoError(t, parseErr, at)
			require.Equal(t, rest, q.String(), at)
			requireSame(t, q, rest)
		case "match", "nomatch":
			require.NoError(t, parseErr, at)
			matches, err := q.Matches(parseEvents(t, rest))
			require.NoError(t, err, at)
			require.Equal(t, verb == "match", matches, at)
		default:
			require.Fail(t, "unknown verb", at)
		}
	}
	require.Greater(t, checks, 200)
}

// requireSame checks that a text is parsed to the same query.
func requireSame(t require.TestingT, q *query.Query, text string) {
	requireSameWithin(t, query.Limits{}, q, text)
}

func requireSameWithin(t require.TestingT, limits query.Limits, q *query.Query, text string) {
	again, err := limits.New(text)
	require.NoError(t, err, "%q", text)
	require.Equal(t, q.Expr(), again.Expr(), "%q", text)
	require.Equal(t, q.String(), again.String())
}

// parseEvents reads pairs as in: a=1 a="two words" b= no.values
func parseEvents(t *testing.T, s string) map[string][]string {
	events := map[string][]string{}
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		key, rest := parseWord(t, s, "= ")
		if s = rest; strings.HasPrefix(s, "=") {
			var value string
			value, s = parseWord(t, s[1:], " ")
			events[key] = append(events[key], value)
		} else {
			events[key] = nil
		}
	}
	return events
}

// parseWord reads a word, quoted as in Go or up to one of the ends.
func parseWord(t *testing.T, s, ends string) (word, rest string) {
	if quoted, err := strconv.QuotedPrefix(s); err == nil && s[0] == '"' {
		word, err := strconv.Unquote(quoted)
		require.NoError(t, err)
		return word, s[len(quoted):]
	}
	end := strings.IndexAny(s, ends)
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// TestErrors runs testdata/errors.txt: blocks of a text, as it is or quoted as
// in Go, what Error says, and the two lines of Picture.
func TestErrors(t *testing.T) {
	const file = "testdata/errors.txt"
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	var want, got strings.Builder
	for line := range strings.Lines(string(source)) {
		want.WriteString(line)
		line = strings.TrimSuffix(line, "\n")
		switch verb, text, _ := strings.Cut(line, " "); verb {
		case "", "#":
			got.WriteString(line + "\n")
		case "query-quoted":
			unquoted, err := strconv.Unquote(text)
			require.NoError(t, err)
			got.WriteString(line + "\n" + describe(t, unquoted))
		case "query":
			got.WriteString(line + "\n" + describe(t, text))
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o644))
		return
	}
	require.Equal(t, want.String(), got.String())
}

func describe(t *testing.T, text string) string {
	_, err := query.New(text)
	var e *query.SyntaxError
	require.True(t, errors.As(err, &e), "%q: %v", text, err)
	require.Equal(t, text, e.Query)
	picture := strings.ReplaceAll(e.Picture(), "\n", "\n| ")
	return fmt.Sprintf("! %v\n| %s\n", e, picture)
}
