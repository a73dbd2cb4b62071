package pubsub

import (
	"testing"

	"github.com/stretchr/testify/require"
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
