package match

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/harkbus/pubsub/internal/soak"
)

// TestIndexIsThePlainLoopOverLongHistories goes further than rapid: thousands
// of steps on one index, with many queries under few conditions.
func TestIndexIsThePlainLoopOverLongHistories(t *testing.T) {
	pairs := 0
	for seed := range soak.Rounds(t, 4) {
		random := rand.New(rand.NewPCG(seed, 0))
		pairs += history(t, random, 6000, 1500, func() string { return wideQuery(random) }, func() map[string][]string { return wideEvents(random) })
	}
	t.Logf("%d pairs of query and events", pairs)
}

// TestIndexIsThePlainLoopWhereFilingIsHard has queries that are hard to tell
// apart, or that make nodes, trees and keys without number.
func TestIndexIsThePlainLoopWhereFilingIsHard(t *testing.T) {
	pairs := 0
	for seed := range soak.Rounds(t, 3) {
		random := rand.New(rand.NewPCG(seed, 1))
		h := newHardship(random)
		pairs += history(t, random, 4000, 2000, h.query, h.events)
	}
	t.Logf("%d pairs of query and events", pairs)
}

// TestIndexIsThePlainLoopWhereValuesAreAlike has values that differ far behind
// their first digits and letters, or only in how they are written.
func TestIndexIsThePlainLoopWhereValuesAreAlike(t *testing.T) {
	pairs := 0
	for seed := range soak.Rounds(t, 3) {
		random := rand.New(rand.NewPCG(seed, 2))
		h := newHardship(random)
		pairs += history(t, random, 4000, 1000, h.framed, h.events)
	}
	t.Logf("%d pairs of query and events", pairs)
}

// history adds and removes queries and matches events, for so many steps, on an
// index of up to so many queries. It returns how many pairs of query and events
// were decided.
func history(t *testing.T, random *rand.Rand, steps, most int, query func() string, events func() map[string][]string) (pairs int) {
	m := newModel()
	target := 0
	for step := range steps {
		if step%500 == 0 {
			target = random.IntN(most) // the index grows and shrinks
		}
		switch {
		case random.IntN(8) == 0:
			m.index.core.allowance = pick(random.IntN, 0, 300, 20_000, int64(allAtOnce))
			m.match(t, weighted(random, events()), weighted(random, events()))
			pairs += 2 * len(m.live)
		case len(m.live) > 0 && (len(m.live) > target || random.IntN(3) == 0):
			m.remove(t, random.IntN(len(m.live)))
		default:
			m.add(t, query())
		}
	}
	m.drain(t)
	return pairs
}

// wideQuery is a query of the small vocabulary or of a wide one, which makes
// tables and trees split.
func wideQuery(random *rand.Rand) string {
	n := random.IntN(2000)
	switch random.IntN(8) {
	case 0, 1, 2:
		return randomQuery(random.IntN, random.IntN(4))
	case 3:
		return fmt.Sprintf("a >= %d AND a < %d", n, n+random.IntN(50))
	case 4:
		return fmt.Sprintf("a > %d AND b <= %d AND tm.event = 'x'", n, random.IntN(2000))
	case 5:
		return fmt.Sprintf("b = %d AND c != 'x'", n)
	case 6:
		return fmt.Sprintf("c CONTAINS 'word%d'", n)
	default:
		return fmt.Sprintf("a IN (%d, %d, 'x%d') OR b STARTSWITH 'x%d'", n, n+1, n, n)
	}
}

// weighted makes the values of some events heavy: many, or long.
func weighted(random *rand.Rand, events map[string][]string) map[string][]string {
	if random.IntN(4) > 0 {
		return events
	}
	for _, key := range slices.Sorted(maps.Keys(events)) {
		values := events[key]
		if len(values) == 0 || random.IntN(3) > 0 {
			continue
		}
		for len(values) < 5 {
			values = append(values, values...)
		}
		events[key] = append(values, strings.Repeat(strings.Join(values, ""), 1+300/(1+len(values[0]))))
		for i := range random.IntN(2) * 40 {
			events[key] = append(events[key], fmt.Sprint(values[i%len(values)], i))
		}
	}
	return events
}

// wideEvents are events for wideQuery.
func wideEvents(random *rand.Rand) map[string][]string {
	events := randomEvents(random.IntN)
	for _, key := range []string{"a", "b", "c"} {
		for range random.IntN(3) {
			n := random.IntN(2000)
			events[key] = append(events[key], pick(random.IntN, fmt.Sprint(n), fmt.Sprintf("x%d", n), fmt.Sprintf("the word%d", n)))
		}
	}
	return events
}
