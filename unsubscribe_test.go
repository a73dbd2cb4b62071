package pubsub_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// A delivery that waits for the channel of Out must not get through after a
// reader was told the reason.
func TestNothingIsAddedAfterTheReasonWasRead(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 4 { // with the two goroutines on two threads it takes long to meet
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	}
	server := newServer(t, pubsub.BufferCapacity(10))
	for range 3000 {
		sub := subscribe(t, server, "c", "", 1, pubsub.Block)
		out := sub.Out()
		publishN(t, server, 1, 2)

		late := make(chan int)
		go func() {
			<-sub.Canceled()
			_, err := rest(sub)
			require.ErrorIs(t, err, pubsub.ErrUnsubscribed)
			late <- len(out)
		}()
		require.NoError(t, server.Unsubscribe(ctx, "c", query.All))
		unread := len(out)
		require.Zero(t, <-late)
		require.LessOrEqual(t, unread, 1)
	}
}

func TestIDIsNotGivenAgain(t *testing.T) {
	server := newServer(t)
	ids := map[uint64]bool{}
	again := func() {
		for range 100 {
			sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
			require.NotZero(t, sub.ID())
			require.False(t, ids[sub.ID()])
			ids[sub.ID()] = true
			require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
			require.ErrorIs(t, server.UnsubscribeID(ctx, sub.ID()), pubsub.ErrSubscriptionNotFound)
		}
	}
	again()
	require.NoError(t, server.Stop())
	require.NoError(t, server.Reset())
	require.NoError(t, server.Start())
	again()
	require.ErrorIs(t, server.UnsubscribeID(ctx, 0), pubsub.ErrSubscriptionNotFound)
}
