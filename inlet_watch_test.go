package pubsub

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// In the package, for a context that ends just as its end begins to be watched
// for: whichever comes first, no reader takes it for one that will close the
// inlet.
func TestContextThatEndsAsItBeginsToBeWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := NewServer()
		require.NoError(t, server.Start())
		sub, err := server.Subscribe(context.Background(), "c", query.All)
		require.NoError(t, err)
		require.True(t, sub.openInlet())
		for i := range 200 {
			ctx, cancel := context.WithCancel(context.Background())
			l := sub.inlet.Load()
			if i%2 == 0 {
				cancel()
			} else {
				go cancel()
			}
			sub.watch(ctx, l, ctx.Done())
			synctest.Wait()
			require.Nil(t, sub.inlet.Load().until)
		}
		require.NoError(t, server.Stop())
	})
}
