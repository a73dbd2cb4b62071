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

// Slots are forgotten when all are free, and no ID is given again for that.
func TestNoIDIsGivenTwiceAfterAllHaveEnded(t *testing.T) {
	var s slots
	given := make(map[uint64]bool)
	for round := range 5 {
		var live []uint64
		for range slotsPerPage + 1 + 100*round {
			id := s.add(&Subscription{})
			require.False(t, given[id], "ID %x is given again", id)
			given[id] = true
			live = append(live, id)
		}
		require.False(t, s.reset(), "subscriptions live")
		for i, id := range live {
			s.remove(id)
			if i%3 == 0 { // some slots are used more often than others
				id := s.add(&Subscription{})
				require.False(t, given[id], "ID %x is given again", id)
				given[id] = true
				s.remove(id)
			}
		}
		require.True(t, s.reset())
		require.Empty(t, s.pages)
		for id := range given {
			require.Nil(t, s.get(id))
		}
	}
}

func TestSlotsThatHadTheirLastGenerationAreKept(t *testing.T) {
	var s slots
	var live []uint64
	for range slotsPerPage + 1 {
		live = append(live, s.add(&Subscription{}))
	}
	s.at(7).generation = math.MaxUint32
	live[7] = uint64(math.MaxUint32)<<32 | 8
	for _, id := range live {
		s.remove(id)
	}
	require.False(t, s.reset())
	require.NotEqual(t, live[7], s.add(&Subscription{}))
}

// A few slots are not worth forgetting: who subscribes and unsubscribes in a
// loop would use up generations.
func TestFewSlotsAreKept(t *testing.T) {
	var s slots
	for range 3 {
		s.remove(s.add(&Subscription{}))
		require.False(t, s.reset())
	}
	require.Equal(t, 1, s.used)
}
