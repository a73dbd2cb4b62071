package redisbridge

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Small data is copied out of its frame. What the copies share is never much
// larger than one of them, and they do not overlap.
func TestCopiesHoldAFewTimesTheirSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c copies
		var all, want [][]byte
		for i := range rapid.IntRange(1, 50).Draw(t, "copies") {
			data := bytes.Repeat([]byte{byte(i)}, rapid.IntRange(0, 1000).Draw(t, "size"))
			got, held := c.apart(data, 1<<20)
			require.LessOrEqual(t, held, pinned*len(data))
			require.GreaterOrEqual(t, held, len(got))
			require.Equal(t, len(got), cap(got))
			all, want = append(all, got), append(want, bytes.Clone(data))
			clear(data)
		}
		require.Equal(t, want, all)
	})
}
