package pubsub

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// In the package, to stop between two steps: the first call of Out moves a full
// buffer a part at a time, so that nobody waits for all of it, and what is
// published and read meanwhile keeps its order.
func TestOutMovesTheBufferInBoundedSteps(t *testing.T) {
	ctx := context.Background()
	for _, policy := range []Overflow{Cancel, DropOldest, Block} {
		t.Run(policy.String(), func(t *testing.T) {
			const full = 3*moveStep + 10
			server := NewServer(BufferCapacity(10))
			require.NoError(t, server.Start())
			sub, err := server.SubscribeWithArgs(ctx, SubscribeArgs{ClientID: "c", Query: query.All, Capacity: full, Overflow: policy})
			require.NoError(t, err)
			sent, read := 0, 0
			publish := func(n int) {
				for range n {
					require.NoError(t, server.Publish(ctx, sent))
					sent++
				}
			}
			next := func(n int) {
				for range n {
					m, err := sub.Next(ctx)
					require.NoError(t, err)
					require.Equal(t, read, m.data)
					read++
				}
			}
			publish(full)
			out := make(chan Message, full)
			for range 2 {
				before := len(out)
				require.False(t, sub.moveTo(out))
				require.LessOrEqual(t, len(out)-before, moveStep)
				require.Equal(t, full, sub.Len())
				require.Len(t, server.Stats().Subscriptions, 1)
				next(5)
				publish(5)
			}
			if policy == DropOldest {
				publish(3) // does not fit
				read += 3
			}
			moved := sub.Out()
			require.Equal(t, full, cap(moved))
			for len(moved) > 10 {
				m := <-moved
				require.Equal(t, read, m.data)
				read++
			}
			next(10)
			require.Equal(t, sent, read)
			require.NoError(t, server.Stop())
		})
	}
}
