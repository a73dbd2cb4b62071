package query_test

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub/query"
)

// A sketch is a random query: its text with needless parentheses, blanks and
// spellings, its canonical text, and what it means, written out plainly.
type sketch struct {
	loose, canonical string
	binds            int // 0 OR, 1 AND, 2 NOT or a condition
	holds            func(events map[string][]string) bool
}

func in(s string) string { return "(" + s + ")" }

var (
	keys   = []string{"a", "a.b", "a.b.c", "exists", "NOT.x", "in"}
	values = []string{
		"", "x", "X", "xy", "it's", "0", "1", "01", "1.0stake", "-1", "-0.5", "2", "10", "99999999999999999999999", "1e5",
		"2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T02:00:00+02:00", "2020-01-02", "2019-12-31T23:59:59.999Z", "\xff",
	}
)

func drawSketch(t *rapid.T, depth int) sketch {
	kinds := []string{"condition", "not", "parentheses", "AND", "OR"}
	if depth == 0 {
		kinds = kinds[:1]
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "condition":
		return drawCondition(t)
	case "not":
		s := drawSketch(t, depth-1)
		return negate(t, s)
	case "parentheses":
		s := drawSketch(t, depth-1)
		s.loose = in(drawBlank(t) + s.loose)
		return s
	default:
		var terms []sketch
		for range rapid.IntRange(2, 3).Draw(t, "terms") {
			terms = append(terms, drawSketch(t, depth-1))
		}
		return combine(t, kind, terms)
	}
}

func negate(t *rapid.T, s sketch) sketch {
	loose, canonical := s.loose, s.canonical
	if s.binds < 2 {
		loose, canonical = in(loose), in(canonical)
	}
	if strings.HasPrefix(canonical, "exists ") { // would be the key NOT
		loose, canonical = in(loose), in(canonical)
	}
	word := rapid.SampledFrom([]string{"NOT ", "not  ", "Not\t"}).Draw(t, "NOT")
	return sketch{word + loose, "NOT " + canonical, 2, func(e map[string][]string) bool { return !s.holds(e) }}
}

func combine(t *rapid.T, word string, terms []sketch) sketch {
	binds := map[string]int{"OR": 0, "AND": 1}[word]
	var loose, canonical []string
	for _, s := range terms {
		if s.binds < binds {
			s.canonical = in(s.canonical)
		}
		if s.binds <= binds {
			s.loose = in(s.loose)
		}
		loose, canonical = append(loose, s.loose), append(canonical, s.canonical)
	}
	spelled := rapid.SampledFrom([]string{word, strings.ToLower(word)}).Draw(t, "word")
	return sketch{
		strings.Join(loose, " "+spelled+drawBlank(t)+" "), strings.Join(canonical, " "+word+" "), binds,
		func(e map[string][]string) bool {
			holds := func(s sketch) bool { return s.holds(e) }
			if word == "OR" {
				return slices.ContainsFunc(terms, holds)
			}
			return !slices.ContainsFunc(terms, func(s sketch) bool { return !holds(s) })
		},
	}
}

func drawBlank(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", " ", "\t\n", "\u3000"}).Draw(t, "blank")
}

func drawCondition(t *rapid.T) sketch {
	key := rapid.SampledFrom(keys).Draw(t, "key")
	join := func(op, loose, canonical string, holds func([]string) bool) sketch {
		blank := drawBlank(t)
		return sketch{
			strings.TrimRight(key+" "+blank+op+blank+loose, "\u3000\t\n ") + " ",
			strings.TrimRight(key+" "+strings.ToUpper(op)+" "+canonical, " "), 2,
			func(e map[string][]string) bool { return holds(e[key]) },
		}
	}
	some := func(is func(string) bool) func([]string) bool {
		return func(values []string) bool { return slices.ContainsFunc(values, is) }
	}
	switch op := rapid.SampledFrom([]string{"=", "!=", "<", "<=", ">", ">=", "contains", "StartsWith", "ENDSWITH", "MATCHES", "in", "exists"}).Draw(t, "op"); op {
	case "exists":
		s := join(op, "", "", nil)
		s.holds = func(e map[string][]string) bool { return exists(key, e) }
		return s
	case "contains", "StartsWith", "ENDSWITH", "MATCHES":
		text := rapid.SampledFrom([]string{"", "x", "it's", "20"}).Draw(t, "text")
		test := map[string]func(v, text string) bool{
			"contains": strings.Contains, "StartsWith": strings.HasPrefix, "ENDSWITH": strings.HasSuffix,
			"MATCHES": func(v, text string) bool { return regexp.MustCompile(text).MatchString(v) },
		}[op]
		return join(op, quote(text), quote(text), some(func(v string) bool { return test(v, text) }))
	case "in":
		var loose, canonical []string
		var is []func(string) bool
		for range rapid.IntRange(1, 3).Draw(t, "operands") {
			l, c, compare := drawOperand(t)
			loose, canonical = append(loose, l+drawBlank(t)), append(canonical, c)
			is = append(is, func(v string) bool { order, ok := compare(v); return ok && order == 0 })
		}
		return join(op, in(strings.Join(loose, ",")), in(strings.Join(canonical, ", ")), some(func(v string) bool {
			return slices.ContainsFunc(is, func(is func(string) bool) bool { return is(v) })
		}))
	default:
		loose, canonical, compare := drawOperand(t)
		if op == "!=" {
			return join(op, loose, canonical, func(values []string) bool {
				return len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { order, ok := compare(v); return ok && order == 0 })
			})
		}
		return join(op, loose, canonical, some(func(v string) bool {
			order, ok := compare(v)
			return ok && (order < 0 && op[0] == '<' || order > 0 && op[0] == '>' || order == 0 && strings.HasSuffix(op, "="))
		}))
	}
}

func exists(key string, events map[string][]string) bool {
	for k, values := range events {
		if k == key && len(values) > 0 || strings.HasPrefix(k, key+".") && !strings.Contains(k[len(key)+1:], ".") {
			return true
		}
	}
	return false
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// drawOperand returns two spellings of an operand and its order to a value.
func drawOperand(t *rapid.T) (loose, canonical string, compare func(string) (int, bool)) {
	switch rapid.IntRange(0, 2).Draw(t, "operand") {
	case 0:
		text := rapid.SampledFrom([]string{"", "x", "it's", "1"}).Draw(t, "text")
		return quote(text), quote(text), func(v string) (int, bool) { return strings.Compare(v, text), true }
	case 1:
		spelled := rapid.SampledFrom([][2]string{
			{"1", "1"}, {"01.0", "1"}, {"-0", "0"}, {"-00.50", "-0.5"}, {"99999999999999999999999.00", "99999999999999999999999"}, {"2.", "2"},
		}).Draw(t, "number")
		want, _ := new(big.Rat).SetString(spelled[1])
		return spelled[0], spelled[1], func(v string) (int, bool) {
			have, ok := new(big.Rat).SetString(regexp.MustCompile(`^-?\d+(\.\d+)?`).FindString(v))
			if !ok {
				return 0, false
			}
			return have.Cmp(want), true
		}
	default:
		spelled := rapid.SampledFrom([]string{"DATE 2020-01-01", "TIME 2020-01-01T00:00:00Z", "TIME 2020-01-01T01:00:00.5+01:00"}).Draw(t, "instant")
		want, _ := parseInstant(spelled[5:])
		return strings.ToLower(spelled[:5]) + drawBlank(t) + spelled[5:], spelled, func(v string) (int, bool) {
			have, err := parseInstant(v)
			return have.Compare(want), err == nil
		}
	}
}

func parseInstant(s string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, s); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, s)
}

func drawEvents(t *rapid.T) map[string][]string {
	return rapid.MapOfN(rapid.SampledFrom(keys), rapid.SliceOfN(rapid.SampledFrom(values), 0, 2), 0, 4).Draw(t, "events")
}

func TestQueriesMeanWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSketch(t, 4)
		q, err := query.New(s.loose)
		require.NoError(t, err, s.loose)
		require.Equal(t, s.canonical, q.String(), s.loose)
		requireSame(t, q, s.canonical)
		for range 5 {
			events := drawEvents(t)
			ok, err := q.Matches(events)
			require.NoError(t, err)
			require.Equal(t, s.holds(events), ok, fmt.Sprintf("%s on %v", q, events))
		}
	})
}

func TestAndMatchesWhereBothMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := query.MustParse(drawSketch(t, 2).loose), query.MustParse(drawSketch(t, 2).loose)
		both := query.And(a, b)
		requireSame(t, both, both.String())
		require.Equal(t, append(a.Conditions(), b.Conditions()...), both.Conditions())
		events := drawEvents(t)
		okA, _ := a.Matches(events)
		okB, _ := b.Matches(events)
		ok, _ := both.Matches(events)
		require.Equal(t, okA && okB, ok)
		require.Same(t, a, query.And(a, query.All))
		require.Same(t, a, query.And(query.All, a))
	})
}
