package pubsub

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// In-package, since no test lives through four billion subscriptions.

func TestSlotIsNotUsedBeyondItsLastGeneration(t *testing.T) {
	var s slots
	first := s.add(&Subscription{})
	require.NotZero(t, first)
	s.remove(first)
	s.at(0).generation = math.MaxUint32 - 1 // as after that many more
	given := map[uint64]bool{first: true}
	for range 5 {
		sub := &Subscription{}
		id := s.add(sub)
		require.NotZero(t, id)
		require.False(t, given[id], "ID %x is given again", id)
		given[id] = true
		require.Same(t, sub, s.get(id))
		require.Equal(t, 1, s.live)
		s.remove(id)
		require.Zero(t, s.live)
		for id := range given {
			require.Nil(t, s.get(id))
		}
	}
	require.Equal(t, 2, s.used, "another slot takes over")
	require.Zero(t, s.get(0))
}
