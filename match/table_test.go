package match

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestTableIsAMap holds a table against a Go map, growing it to several
// segments and shrinking it again.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		table, peer := newTable(), make(map[uint32]posting)
		table.sieve = newSieve()
		var tags []uint32
		for range rapid.IntRange(1, 6).Draw(t, "phases") {
			grow := rapid.IntRange(0, 3000).Draw(t, "grow")
			for range grow {
				tag := random.Uint32() >> random.IntN(4) // leading zeros make it lopsided
				if _, ok := peer[tag]; !ok {
					tags = append(tags, tag)
				}
				p := posting(1 + random.Uint32N(1<<31))
				before := table.moved
				table.budget = maxTableMove
				table.set(uint64(tag)<<32, p)
				require.LessOrEqual(t, table.moved-before, uint64(maxTableMove))
				peer[tag] = p
			}
			random.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
			shrink := rapid.IntRange(0, len(tags)).Draw(t, "shrink")
			for _, tag := range tags[:shrink] {
				before := table.moved
				table.budget = maxTableMove
				table.remove(uint64(tag) << 32)
				require.LessOrEqual(t, table.moved-before, uint64(maxTableMove+100), "with those moved up")
				delete(peer, tag)
				require.Zero(t, table.find(uint64(tag)<<32))
			}
			tags = tags[shrink:]
			for tag, p := range peer {
				require.Equal(t, p, table.find(uint64(tag)<<32))
				require.True(t, table.sieve.has(tag))
			}
		}
		for _, tag := range tags {
			table.budget = maxTableMove
			table.remove(uint64(tag) << 32)
		}
		require.Len(t, table.dir, 1)
		require.Zero(t, table.sieve.added)
	})
}

func TestSieveKeepsMostLookUpsOutOfTheTable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	table := newTable()
	table.sieve = newSieve()
	var hashes []uint64
	requireFine := func() {
		for _, hash := range hashes {
			if table.find(hash) != 0 && !table.sieve.has(uint32(hash>>32)) { // two of them may share a tag
				require.FailNow(t, "a tag of the table is turned away")
			}
		}
		passed := 0
		for range 100_000 {
			if table.sieve.has(random.Uint32()) {
				passed++
			}
		}
		require.Less(t, passed, 3500, "with %d tags", len(hashes))
	}
	for range 100_000 {
		table.budget = maxTableMove
		hashes = append(hashes, random.Uint64())
		table.set(hashes[len(hashes)-1], 1)
		if len(hashes)%9973 == 0 {
			requireFine()
		}
	}
	grown := table.sieve.bytes()
	for len(hashes) > 1000 {
		table.budget = maxTableMove
		table.remove(hashes[len(hashes)-1])
		hashes = hashes[:len(hashes)-1]
		if len(hashes)%9973 == 0 {
			requireFine()
		}
	}
	require.Less(t, table.sieve.bytes(), grown/20, "it shrinks with the table")
}

func TestSlabGivesChunksBack(t *testing.T) {
	s := newSlab()
	sizes := []int{1, 16, 17, 100, 256, 257, 1000, 5000, 30_000, maxBlock}
	blocks := make(map[ref]int)
	for i := range 2000 {
		size := sizes[i%len(sizes)]
		r := s.alloc(size)
		require.NotContains(t, blocks, r)
		require.NotZero(t, r)
		require.GreaterOrEqual(t, s.size(r), size)
		require.LessOrEqual(t, s.size(r), max(16, size*5/4+16))
		blocks[r] = size
	}
	grown := s.total
	for r := range blocks {
		s.release(r)
	}
	require.Less(t, s.total, grown/20)
	left := s.total
	for i := range 2000 {
		blocks[s.alloc(sizes[i%len(sizes)])] = 0
	}
	require.LessOrEqual(t, s.total, grown+left, "what was given back is used again")
}
