package match

import (
	"math/rand/v2"
	"testing"
)

// TestIndexIsThePlainLoopOverLongHistories goes further than rapid: thousands
// of steps on one index, with many queries under few conditions.
func TestIndexIsThePlainLoopOverLongHistories(t *testing.T) {
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 0))
		m := newModel()
		target := 0
		for step := range 4000 {
			if step%500 == 0 {
				target = random.IntN(800) // the index grows and shrinks
			}
			switch {
			case random.IntN(8) == 0:
				m.match(t, randomEvents(random.IntN))
			case len(m.live) > 0 && (len(m.live) > target || random.IntN(3) == 0):
				m.remove(t, random.IntN(len(m.live)))
			default:
				m.add(t, randomQuery(random.IntN, random.IntN(4)))
			}
		}
		m.drain(t)
	}
}
