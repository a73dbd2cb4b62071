package redisbridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFIFOIsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fifo[int]
		var model []int
		next := 0
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			for range rapid.IntRange(0, 600).Draw(t, "pushes") {
				f.push(next)
				model = append(model, next)
				next++
			}
			for range rapid.IntRange(0, len(model)).Draw(t, "pops") {
				require.Equal(t, model[0], *f.front())
				require.Equal(t, model[0], f.pop())
				model = model[1:]
			}
			require.Equal(t, len(model), f.len())
		}
	})
}
