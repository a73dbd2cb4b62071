package match_test

// Which condition a query is filed by follows from how rare it is, and not from
// the order of arrival or of keys. These tests hold the candidates of events
// against queries that are hard to tell apart.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

// arrivals are orders in which n queries may come.
func arrivals(n int) map[string][]int {
	random := rand.New(rand.NewPCG(1, 1))
	forwards := make([]int, n)
	for i := range forwards {
		forwards[i] = i
	}
	backwards := slices.Clone(forwards)
	slices.Reverse(backwards)
	return map[string][]int{"forwards": forwards, "backwards": backwards, "shuffled": random.Perm(n)}
}

// sizesOf returns how many queries to try a workload with, the first of its test
// with more than the others.
func sizesOf(first bool) []int {
	switch {
	case first && !testing.Short():
		return []int{1000, 10_000, 100_000 / (raceFactor * raceFactor)}
	case first:
		return []int{1000, 10_000 / raceFactor}
	default:
		return []int{1000, 5000 / raceFactor}
	}
}

// TestCommonRangeBesideManyKeys has a range that every event fits, beside
// another condition on a key of its own.
func TestCommonRangeBesideManyKeys(t *testing.T) {
	for name, beside := range map[string]string{
		"range":         "amount.d%d > 100",
		"two ends":      "amount.d%[1]d > 100 AND amount.d%[1]d < 200",
		"equality":      "amount.d%d = 100",
		"contains":      "amount.d%d CONTAINS 'u'",
		"starts with":   "amount.d%d STARTSWITH 'u'",
		"exists":        "amount.d%d EXISTS",
		"unequal":       "amount.d%d != 99",
		"expression":    "amount.d%d MATCHES '[0-9]+'",
		"ten ranges":    tenRanges + "amount.d%d > 100",
		"a range first": "a.first > 5 AND amount.d%d > 100",
	} {
		for _, n := range sizesOf(name == "range") {
			for order, arrival := range arrivals(n) {
				t.Run(fmt.Sprintf("%s/%d/%s", name, n, order), func(t *testing.T) {
					x, ids := indexOf(t, repeat(n, func(i int) string {
						return "tx.height > 5 AND " + fmt.Sprintf(beside, arrival[i])
					})...)
					event := map[string][]string{"tx.height": {"10"}, "a.first": {"10"}, "other": {"100"}}
					for i := range 10 {
						event[fmt.Sprint("ten.", i)] = []string{"10"}
					}
					did := workOf(x, event)
					require.LessOrEqual(t, did.candidates, 64.0)
					require.LessOrEqual(t, did.visited, 80.0)
					event["amount.d77"] = []string{"150", "100", "u"}
					require.Equal(t, 1.0, workOf(x, event).matches)
					removeAll(t, x, ids)
				})
			}
		}
	}
}

var tenRanges = strings.Join(repeat(10, func(i int) string { return fmt.Sprintf("ten.%d > 5 AND ", i) }), "")

// TestPairsOfManyKeys has ranges over two keys of many, in all combinations: no
// key of them is rare.
func TestPairsOfManyKeys(t *testing.T) {
	for _, side := range []int{30, 100, 300 / raceFactor} {
		x, ids := indexOf(t, repeat(side*side, func(i int) string {
			return fmt.Sprintf("a%d > 5 AND b%d > 5", i/side, i%side)
		})...)
		did := workOf(x, map[string][]string{"a7": {"10"}, "a8": {"10"}, "b9": {"10"}, "b10": {"3"}, "c": {"5"}})
		t.Logf("%d: %+v, %d bytes a query", side, did, x.Stats().Bytes/(side*side))
		require.Equal(t, 2.0, did.matches)
		require.LessOrEqual(t, did.candidates, 100.0)
		require.LessOrEqual(t, did.visited, 100.0)
		removeAll(t, x, ids)
	}
}

// fewValued returns n queries of so many conditions with two values each.
func fewValued(n, keys int, values []string, condition string) []string {
	random := rand.New(rand.NewPCG(1, 1))
	return repeat(n, func(int) string {
		terms := make([]string, keys)
		for k := range terms {
			terms[k] = fmt.Sprintf(condition, k, values[random.IntN(len(values))])
		}
		return strings.Join(terms, " AND ")
	})
}

// TestKeysWithFewValues has queries each condition of which a large part of the
// events satisfies.
func TestKeysWithFewValues(t *testing.T) {
	values := []string{"left", "right"}
	for name, condition := range map[string]string{
		"equality": "k%d = '%s'", "starts with": "k%d STARTSWITH '%s'", "ends with": "k%d ENDSWITH '%s'", "contains": "k%d CONTAINS '%s'",
	} {
		for _, n := range sizesOf(name == "equality") {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				x, ids := indexOf(t, fewValued(n, 20, values, condition)...)
				random := rand.New(rand.NewPCG(2, 2))
				var events []map[string][]string
				for range 100 {
					event := make(map[string][]string)
					for k := range 20 {
						event[fmt.Sprint("k", k)] = []string{values[random.IntN(2)]}
					}
					events = append(events, event)
				}
				did := workOf(x, events...)
				t.Logf("%+v, %d bytes a query", did, x.Stats().Bytes/n)
				require.LessOrEqual(t, did.candidates-did.matches, 250.0)
				require.LessOrEqual(t, did.visited, 250.0)
				removeAll(t, x, ids)
			})
		}
	}
}

// TestSomeOfTheKeysWithFewValues has queries each of which asks for some of the
// keys only, and of values one of which is common.
func TestSomeOfTheKeysWithFewValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	value := func() string { return pickText(random.IntN(5), "common", "common", "common", "left", "right") }
	const n = 20_000 / raceFactor
	for _, some := range []int{8, 12, 16} {
		x, ids := indexOf(t, repeat(n, func(int) string {
			var terms []string
			for _, k := range random.Perm(20)[:some] {
				terms = append(terms, fmt.Sprintf("k%d = '%s'", k, value()))
			}
			return strings.Join(terms, " AND ")
		})...)
		var events []map[string][]string
		for range 100 {
			event := make(map[string][]string)
			for k := range 20 {
				event[fmt.Sprint("k", k)] = []string{value()}
			}
			events = append(events, event)
		}
		did := workOf(x, events...)
		t.Logf("%d: %+v, %d bytes a query", some, did, x.Stats().Bytes/n)
		require.LessOrEqual(t, did.candidates-did.matches, max(n/20.0, 200)) // of few queries, as under the race detector, a larger part: lists of 15 are not split
		removeAll(t, x, ids)
	}
}

// TestConditionsThatBecomeCommon has conditions that few queries ask for at
// first, so that they are filed by them, and then many.
func TestConditionsThatBecomeCommon(t *testing.T) {
	const n = 20_000 / raceFactor
	texts := append(
		repeat(n, func(i int) string { return fmt.Sprintf("a = 'x%d' AND b = 'common'", i) }),
		repeat(n, func(i int) string { return fmt.Sprintf("a = 'x%d' AND b = 'y%d'", i%10, i) })...,
	)
	for order, arrival := range arrivals(len(texts)) {
		t.Run(order, func(t *testing.T) {
			x, ids := indexOf(t, repeat(len(texts), func(i int) string { return texts[arrival[i]] })...)
			did := workOf(x, map[string][]string{"a": {"x5"}, "b": {"y15"}}, map[string][]string{"a": {"x15"}, "b": {"common"}})
			require.Equal(t, 1.0, did.matches)
			require.LessOrEqual(t, did.candidates, 32.0)
			removeAll(t, x, ids)
		})
	}
}

// TestRarityFollowsRemoval has conditions become common and rare again.
func TestRarityFollowsRemoval(t *testing.T) {
	const n = 5000 / raceFactor
	x := match.NewFixed[int]()
	event := map[string][]string{"a": {"common"}, "b": {"common"}, "tx.height": {"10"}}
	for range 3 {
		for _, format := range []string{
			"a = 'common' AND b = 'x%d'", "b = 'common' AND a = 'x%d'",
			"tx.height > 5 AND k%d > 5", "a EXISTS AND k%d EXISTS", "k%d > 5 AND tx.height > 5 AND b EXISTS",
		} {
			var ids []match.ID
			for i := range n {
				ids = append(ids, x.Add(query.MustParse(fmt.Sprintf(format, i)), i))
			}
			require.LessOrEqual(t, workOf(x, event).candidates, 64.0, format)
			removeAll(t, x, ids)
		}
	}
}

// TestAlternativesOfHotConditionsAreNotTriedOnEveryEvent has queries with more
// hot alternatives than one Add may move entries for.
func TestAlternativesOfHotConditionsAreNotTriedOnEveryEvent(t *testing.T) {
	const each, groups = 60, 40
	x, ids := indexOf(t, repeat(each*groups, func(i int) string {
		var alternatives []string
		for k := range 30 {
			alternatives = append(alternatives, fmt.Sprintf("k%d = 'g%d'", k, i/each))
		}
		return strings.Join(alternatives, " OR ")
	})...)
	require.Zero(t, x.Stats().Residual)
	did := workOf(x, map[string][]string{"k29": {"g7"}}, map[string][]string{"k29": {"none"}})
	require.Equal(t, each/2.0, did.matches)
	require.Equal(t, each/2.0, did.candidates)
	removeAll(t, x, ids)
}

// TestManyShapesOfFewKeys has ranges over all subsets of eight keys, more than
// there may be trees.
func TestManyShapesOfFewKeys(t *testing.T) {
	const n = 20_000 / raceFactor
	random := rand.New(rand.NewPCG(1, 1))
	x, ids := indexOf(t, repeat(n, func(int) string {
		var terms []string
		for _, k := range random.Perm(8)[:2+random.IntN(5)] {
			terms = append(terms, fmt.Sprintf("k%d %s %d", k, pickText(random.IntN(2), ">", "<"), random.IntN(1000)))
		}
		return strings.Join(terms, " AND ")
	})...)
	var events []map[string][]string
	for range 20 {
		event := make(map[string][]string)
		for k := range 8 {
			event[fmt.Sprint("k", k)] = []string{fmt.Sprint(random.IntN(1000))}
		}
		events = append(events, event)
	}
	did := workOf(x, events...)
	t.Logf("%+v, %d bytes a query", did, x.Stats().Bytes/n)
	require.LessOrEqual(t, did.candidates-did.matches, n/10.0)
	removeAll(t, x, ids)
}
