package match

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTallyTellsHotFromRare(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var y tally
	var rare []uint64
	for range 300_000 {
		rare = append(rare, random.Uint64())
		y.add(rare[len(rare)-1])
	}
	hot := random.Uint64()
	for range 3000 {
		y.add(hot)
	}
	for _, hash := range rare {
		require.LessOrEqual(t, y.of(hash), longList)
	}
	require.InDelta(t, 3000, y.of(hot), 300)
	for _, hash := range rare {
		y.remove(hash)
	}
	for range 3000 {
		y.remove(hot)
	}
	require.Equal(t, tally{}, y)
}
