package match

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/decimal"
	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/query"
)

// TestHeavyEventsMatchAsInALoop compares index and loop on values that are so
// many or so long that they are summed up.
func TestHeavyEventsMatchAsInALoop(t *testing.T) {
	zeros := strings.Repeat("0", 300)
	operands := []string{"5", "-5", "0", "7.25", "9007199254740993", "DATE 2013-05-03", "TIME 2013-05-03T14:45:00.000000001Z", "'5'", "'a'", "''"}
	values := []string{
		zeros + "5", "-" + zeros + "5", "7.25" + zeros, "7.25" + zeros + "1", "9007199254740992", "9007199254740993", zeros, "-" + zeros,
		"a", strings.Repeat("a", 2000) + "b", "", "5", "2013-05-03", "2013-05-03T14:45:00." + zeros + "Z", "2013-05-03T14:45:00.000000001" + zeros + "Z",
	}
	comparisons := []string{"=", "!=", "<", "<=", ">", ">="}
	for seed := range soak.Rounds(t, 6) {
		r := rand.New(rand.NewPCG(1, seed))
		condition := func() string {
			key := string("kl"[r.IntN(2)])
			switch r.IntN(8) {
			case 0:
				return key + []string{" CONTAINS 'ab'", " STARTSWITH 'a'", " ENDSWITH 'b'", " MATCHES 'b$'"}[r.IntN(4)]
			case 1:
				return key + " IN (5, 'a', 7.25)"
			}
			return fmt.Sprint(key, " ", comparisons[r.IntN(6)], " ", operands[r.IntN(len(operands))])
		}
		for _, queries := range []int{few, 60} {
			m := newModel()
			for range queries {
				text := condition()
				for range r.IntN(12) {
					text = []string{condition() + " AND " + text, condition() + " OR " + text, "NOT (" + text + ")"}[r.IntN(3)]
				}
				m.add(t, text)
			}
			for range 30 {
				event := make(map[string][]string)
				for _, key := range []string{"k", "l"} {
					of := values[r.IntN(len(values)):]
					for range r.IntN(40) * r.IntN(2) {
						event[key] = append(event[key], of[r.IntN(min(len(of), 1+r.IntN(4)))])
					}
				}
				m.match(t, event, map[string][]string{"k": {"5"}}, event)
			}
			m.drain(t)
		}
	}
}

// TestHeavyValuesAreReadOnceForAllConditions has 200 queries of 20 conditions
// compare one value of 100 kB, and 1,000 values.
func TestHeavyValuesAreReadOnceForAllConditions(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = "7"
	}
	for name, values := range map[string][]string{"long": {strings.Repeat("0", 100_000) + "7"}, "many": many} {
		for _, condition := range []string{"k >= 7", "k <= 7", "NOT k != 7", "NOT k = 8", "NOT k IN (1, 2, 8)"} {
			for _, queries := range []int{few, 200} {
				t.Run(fmt.Sprint(name, " ", condition, " ", queries), func(t *testing.T) {
					long := 0
					plain := decimals.read
					defer func() { decimals.read = plain }()
					decimals.read = func(v string) (decimal.Number, bool) {
						if v != "8" && v != "1" && v != "2" && v != "7" || len(values) > 1 && v == "7" {
							long++
						}
						return plain(v)
					}
					x := New[int]()
					for i := range queries {
						x.Add(query.MustParse(strings.Repeat(condition+" AND ", 20)+fmt.Sprint("u = ", i)), i)
					}
					event := map[string][]string{"k": values, "u": {"3"}}
					found, undecided := x.Find(event, nil, nil)
					require.Equal(t, []int{3}, found)
					require.Empty(t, undecided)
					terms := 60 * queries // an operand of each, if it is a 7
					require.LessOrEqual(t, long, 2*len(values)+terms*(len(values)/1000))
					require.Positive(t, long)
				})
			}
		}
	}
}

// A summary of an event is not one of the next.
func TestSummariesAreOfOneEvent(t *testing.T) {
	x := New[string]()
	for i := range 20 {
		x.Add(query.MustParse(fmt.Sprintf("NOT k = %d AND NOT k >= 100 AND u = 1", i)), fmt.Sprint(i))
	}
	values := func(v string) []string { return strings.Split(strings.Repeat(v+" ", 100)+v, " ") }
	require.Len(t, x.Match(map[string][]string{"k": values("3"), "u": {"1"}}, nil), 19)
	require.NotContains(t, x.Match(map[string][]string{"k": values("4"), "u": {"1"}}, nil), "4")
	require.Contains(t, x.Match(map[string][]string{"k": values("4"), "u": {"1"}}, nil), "3")
	require.Empty(t, x.Match(map[string][]string{"k": values("100"), "u": {"1"}}, nil))
	require.Len(t, x.Match(map[string][]string{"k": values("x"), "u": {"1"}}, nil), 20)
}

// TestLongSearchesAreLeftUndecided counts to the step: a query may take 1,024
// in the index.
func TestLongSearchesAreLeftUndecided(t *testing.T) {
	for _, queries := range []int{1, 20} {
		x := New[string]()
		contains := strings.Repeat("NOT k CONTAINS 'yz' AND ", 4) + "tm.event = 'Tx'"
		prefix := "NOT k STARTSWITH 'yz' AND tm.event = 'Tx'"
		for _, text := range []string{contains, prefix} {
			x.Add(query.MustParse(text), text)
		}
		for i := range queries - 1 {
			x.Add(query.MustParse(fmt.Sprintf("u = %d", i)), "u")
		}
		for _, c := range []struct {
			values    []string
			undecided []string
		}{
			{[]string{strings.Repeat("x", 1024-16)}, nil},
			{[]string{strings.Repeat("x", 1024-16+4)}, []string{contains}},
			{strings.Split(strings.Repeat(",", 511), ","), []string{contains}},
			{strings.Split(strings.Repeat(",", 512), ","), []string{contains, prefix}},
		} {
			_, undecided := x.Find(map[string][]string{"tm.event": {"Tx"}, "k": c.values}, nil, nil)
			require.ElementsMatch(t, c.undecided, undecided)
		}
	}
}
