package query_test

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// addTexts seeds a fuzz target with the queries of the transcripts.
func addTexts(f *testing.F, add func(text string)) {
	for _, name := range []string{"testdata/language.txt", "testdata/errors.txt"} {
		file, err := os.Open(name)
		require.NoError(f, err)
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			switch verb, text, _ := strings.Cut(lines.Text(), " "); verb {
			case "query":
				add(text)
			case "query-quoted":
				text, err := strconv.Unquote(text)
				require.NoError(f, err)
				add(text)
			}
		}
	}
}

// Whatever the text is, New returns a SyntaxError or a query whose text is
// that of the same query.
func FuzzNew(f *testing.F) {
	addTexts(f, func(text string) { f.Add(text) })
	f.Fuzz(func(t *testing.T, text string) {
		q, err := query.New(text)
		if err != nil {
			require.Nil(t, q)
			requireSyntaxError(t, err)
			return
		}
		requireSame(t, q, q.String())
		wide := query.Limits{Length: 1 << 20, Conditions: 1 << 10, Depth: 100}
		requireSameWithin(t, wide, q, " "+text+"\n")
		requireSameWithin(t, wide, q, "("+text+")")
		requireSameWithin(t, wide, query.And(q, q), "("+text+")AND("+text+")")
	})
}

// Whatever the events are, matching neither fails nor changes its mind.
func FuzzMatches(f *testing.F) {
	addTexts(f, func(text string) {
		f.Add(text, "a", "1", "2013-05-03")
		f.Add(text, "a.b", "x", "\xff")
	})
	f.Fuzz(func(t *testing.T, text, key, value1, value2 string) {
		q, err := query.New(text)
		if err != nil {
			return
		}
		events := map[string][]string{key: {value1, value2}}
		for _, c := range q.Conditions() {
			events[c.Key] = append(events[c.Key], value1)
		}
		got, err := q.Matches(events)
		require.NoError(t, err)
		require.Equal(t, q.Expr().Holds(events), got)
		opposite, err := query.Limits{Length: 1 << 20, Depth: 100}.New("NOT (" + text + ")")
		require.NoError(t, err)
		not, err := opposite.Matches(events)
		require.NoError(t, err)
		require.NotEqual(t, got, not)
	})
}
