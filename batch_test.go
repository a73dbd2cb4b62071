package pubsub_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

// dataOf returns what the messages of a batch carry.
func dataOf(batch []pubsub.Message) (all []int) {
	for _, m := range batch {
		all = append(all, m.Data().(int))
	}
	return all
}

// Wherever the messages are kept, a batch takes all that there are and fit.
func TestBatchTakesWhatIsThere(t *testing.T) {
	for name, fill := range map[string]func(t *testing.T, server *pubsub.Server) *pubsub.Subscription{
		"log": func(t *testing.T, server *pubsub.Server) *pubsub.Subscription {
			sub := subscribe(t, server, "c", "", 5, pubsub.Cancel)
			publishN(t, server, 1, 5)
			return sub
		},
		"ring": func(t *testing.T, server *pubsub.Server) *pubsub.Subscription {
			sub := subscribe(t, server, "c", "", 5, pubsub.DropOldest)
			publishN(t, server, 0, 6)
			return sub
		},
		"channel": func(t *testing.T, server *pubsub.Server) *pubsub.Subscription {
			sub := subscribe(t, server, "c", "", 5, pubsub.Cancel)
			sub.Out()
			publishN(t, server, 1, 5)
			return sub
		},
		"ended": func(t *testing.T, server *pubsub.Server) *pubsub.Subscription {
			sub := subscribe(t, server, "c", "", 5, pubsub.Cancel)
			publishN(t, server, 1, 6) // one too many
			return sub
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub := fill(t, newServer(t))
			var sizes []int
			var all []int
			for batch := make([]pubsub.Message, 2); len(all) < 5; {
				n, err := sub.NextBatch(ctx, batch)
				require.NoError(t, err)
				sizes = append(sizes, n)
				all = append(all, dataOf(batch[:n])...)
			}
			require.Equal(t, []int{2, 2, 1}, sizes)
			require.Equal(t, count(1, 5), all)
			require.Zero(t, sub.Len())
		})
	}
}

// The message that a delivery waits with is read after those in the buffer.
func TestBatchTakesTheMessageThatWaitsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		sub := subscribe(t, server, "c", "", 3, pubsub.Block)
		publishN(t, server, 1, 4)
		synctest.Wait()
		require.Equal(t, 3, sub.Len())

		batch := make([]pubsub.Message, 10)
		n, err := sub.NextBatch(ctx, batch)
		require.NoError(t, err)
		require.Equal(t, count(1, 4), dataOf(batch[:n]))
		synctest.Wait()
		publishN(t, server, 5, 1)
		require.Equal(t, 5, next(t, sub), "nothing is left over")
	})
}

func TestBatchWaitsForItsFirstMessageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		sub := subscribe(t, server, "c", "", 3, pubsub.Cancel)
		batch, read := make([]pubsub.Message, 3), make(chan int)
		go func() {
			n, err := sub.NextBatch(ctx, batch)
			require.NoError(t, err)
			read <- n
		}()
		synctest.Wait()
		publishN(t, server, 1, 1)
		require.Equal(t, 1, <-read)
		require.Equal(t, count(1, 1), dataOf(batch[:1]))
	})
}

func TestBatchThatIsRefusedTakesNothing(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 3, pubsub.Cancel)
	publishN(t, server, 1, 2)

	n, err := sub.NextBatch(canceled(), make([]pubsub.Message, 3))
	require.Zero(t, n)
	require.ErrorIs(t, err, context.Canceled)
	for _, empty := range [][]pubsub.Message{nil, {}} {
		n, err = sub.NextBatch(ctx, empty)
		require.Zero(t, n)
		require.EqualError(t, err, "pubsub: NextBatch into an empty slice: give it room for one message at least")
	}
	require.Equal(t, 2, sub.Len())
}
