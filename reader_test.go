package pubsub_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// What a reader waits on must not be reused on the other side of a bubble.
func TestReadersInsideAndOutsideOfSynctestShareNothing(t *testing.T) {
	round := func(t *testing.T) {
		server := newServer(t)
		sub := subscribe(t, server, "c", "", 1, 0)
		read := make(chan any)
		go func() {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			read <- m.Data()
		}()
		publishN(t, server, 7, 1)
		require.Equal(t, 7, <-read)
		require.NoError(t, server.Stop())
	}
	for range 100 { // a pool gives things back by chance
		synctest.Test(t, round)
		round(t)
	}
}
