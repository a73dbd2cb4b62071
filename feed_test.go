package pubsub

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// In the package, because no caller can stop a delivery between its look at
// the subscription and its wait for the channel, where it may still get
// through: it must be over before readers are told the reason.
func TestEndIsLeftToTheDeliveryThatWaitsForTheChannel(t *testing.T) {
	sub := NewSubscription(1)
	sub.handover = &handover{look: make(chan struct{}, 1), over: make(chan struct{})}
	sub.pending = waitsToBeFed
	sub.end(ErrUnsubscribed)
	require.NoError(t, sub.Err())
	select {
	case <-sub.Canceled():
		require.Fail(t, "canceled before the delivery is over")
	default:
	}

	require.Len(t, sub.handover.look, 1, "it is told to look")
	taken, ended, out := sub.tryPending(&Message{})
	require.False(t, taken)
	require.True(t, ended, "and sees that it is over")
	require.Nil(t, out)
	require.Zero(t, sub.Len())
}

// In the package for the same reason: a delivery that has got through to the
// channel does not wait any more, though it has not said so.
func TestStatsSeeThatADeliveryHasGotThroughToTheChannel(t *testing.T) {
	server := NewServer()
	sub, err := server.SubscribeWithArgs(t.Context(), SubscribeArgs{Query: query.All, Capacity: 1, Overflow: Block})
	require.NoError(t, err)
	sub.Out()
	out := sub.out.get()
	look := func() SubscriptionStats { return server.Stats().Subscriptions[0] }

	server.mu.Lock()
	sub.topic.feed(sub)
	out <- Message{}
	sub.matched, sub.pending = 2, waitsToBeFed
	sub.handover = &handover{look: make(chan struct{}, 1), over: make(chan struct{})}
	server.mu.Unlock()
	require.Zero(t, look().Delivered)
	<-out
	require.EqualValues(t, 1, look().Delivered)
	out <- Message{} // the delivery
	require.EqualValues(t, 1, look().Delivered)
	<-out
	require.EqualValues(t, 2, look().Delivered)
}
