package language

import (
	"slices"
	"strings"
	"testing"

	cometbft "github.com/cometbft/cometbft/libs/pubsub/query"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub/query"
)

// pieces are what texts close to queries are made of.
var pieces = []string{
	"a.b", "tx.height", "é.ключ", "x-y._z", "AND", "and", "OR", "NOT", "EXISTS", "CONTAINS", "IN", "DATE", "TIME",
	"=", "<", "<=", ">", ">=", "!", "(", ")", "'", "'x'", "'it''s'", "''", "\"", ",",
	"0", "007", "1.50", "5.", "1.2.3", "-1", "1e5", "12345678901234567890123456789012345678901234567890",
	"2020-01-01", "2020-02-30", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00+07:00", "2020-01-01T00:00:00.5Z", "1899-01-01",
	" ", " ", " ", "\t", "\n", "\u00a0", "\u3000", "\x00",
	"a.b = 1 AND ", "a.b='x'", "a.b >= DATE 2020-01-01", "a.b < TIME 2020-01-01T00:00:00Z",
}

// What CometBFT takes for a query is one here, of the same conditions.
func TestQueriesOfCometBFTAreQueries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 12).Draw(t, "pieces"), "")
		theirs, err := cometbft.New(text)
		if err != nil {
			return
		}
		ours, err := query.New(text)
		if err != nil {
			// It drops what follows a quote that nothing closes.
			before, after, _ := cutLast(text, "'")
			require.NotContains(t, after, "'")
			ours, err = query.New(before)
			require.NoError(t, err, "%q", text)
		}
		require.Len(t, ours.Conditions(), len(theirs.Syntax()), "%q", text)
		for i, c := range theirs.Syntax() {
			require.Equal(t, c.Tag, ours.Conditions()[i].Key, "%q", text)
		}
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

var (
	keys   = []string{"a.b", "a.b.c", "tx.height", "é.ключ"}
	values = []string{
		"", "x", "it's", "0", "1", "01", "1.0stake", "1.5", "99", "100.25uatom", "1e5", ".5", "+1", "x1",
		"2020-01-01", "2020-01-02", "2020-01-01T00:00:00Z", "2020-01-01T02:00:00+02:00", "2020-13-01",
	}
)

// drawCondition returns a condition whose operands mean the same to both.
func drawCondition(t *rapid.T) (text string, kind string) {
	key := rapid.SampledFrom(keys).Draw(t, "key")
	kind = rapid.SampledFrom([]string{"text", "number", "date", "time", "contains", "exists"}).Draw(t, "kind")
	op := rapid.SampledFrom([]string{"=", "<", "<=", ">", ">="}).Draw(t, "op")
	switch kind {
	case "text":
		return key + " = '" + rapid.SampledFrom([]string{"x", "0", "2020-01-01"}).Draw(t, "text") + "'", kind
	case "number":
		return key + op + rapid.SampledFrom([]string{"0", "1", "1.50", "007", "100.25"}).Draw(t, "number"), kind
	case "date":
		return key + op + "DATE 2020-01-01", kind
	case "time":
		return key + op + "TIME 2020-01-01T01:00:00+01:00", kind
	case "contains":
		return key + " CONTAINS '" + rapid.SampledFrom([]string{"x", "1", "0-"}).Draw(t, "text") + "'", kind
	default:
		return rapid.SampledFrom([]string{key, "a", "tx", "é"}).Draw(t, "key or type") + " EXISTS", kind
	}
}

// Outside what is healed, both match the same events.
func TestQueriesOfCometBFTMeanTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var conditions []string
		usable := slices.Clone(values)
		for range rapid.IntRange(1, 3).Draw(t, "conditions") {
			text, kind := drawCondition(t)
			conditions = append(conditions, text)
			usable = slices.DeleteFunc(usable, func(v string) bool { // a date meets a timestamp only here
				isTime := strings.Contains(v, "T")
				return kind == "date" && isTime || kind == "time" && !isTime && strings.HasPrefix(v, "2020-01")
			})
		}
		text := strings.Join(conditions, " AND ")
		events := rapid.MapOfN(rapid.SampledFrom(keys), rapid.SliceOfN(rapid.SampledFrom(usable), 0, 2), 0, 4).Draw(t, "events")
		ours, theirs := parseOurs(text), parseTheirs(text)
		require.Equal(t, matches(theirs, events), matches(ours, events), "%s on %v", text, events)
	})
}
