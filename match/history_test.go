package match

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/harkbus/pubsub/internal/soak"
)

// TestIndexIsThePlainLoopOverLongHistories goes further than rapid: thousands
// of steps on one index, with many queries under few conditions.
func TestIndexIsThePlainLoopOverLongHistories(t *testing.T) {
	for seed := range soak.Rounds(t, 6) {
		random := rand.New(rand.NewPCG(seed, 0))
		m := newModel()
		target := 0
		for step := range 6000 {
			if step%500 == 0 {
				target = random.IntN(1500) // the index grows and shrinks
			}
			switch {
			case random.IntN(8) == 0:
				m.match(t, wideEvents(random), wideEvents(random))
			case len(m.live) > 0 && (len(m.live) > target || random.IntN(3) == 0):
				m.remove(t, random.IntN(len(m.live)))
			default:
				m.add(t, wideQuery(random))
			}
		}
		m.drain(t)
	}
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
