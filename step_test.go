package pubsub

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// In-package, to come in between the steps of a call.

func subscribeMany(t *testing.T, s *Server, key string, n int) (subs []*Subscription) {
	for i := range n {
		sub, err := s.Subscribe(context.Background(), "big", query.MustParse(fmt.Sprintf("%s = %d", key, i)))
		require.NoError(t, err)
		subs = append(subs, sub)
	}
	return subs
}

// UnsubscribeAll ends what the client had when it was called, and not what it
// subscribes to between two of its steps.
func TestStepsOfUnsubscribeAllSpareWhatComesInBetween(t *testing.T) {
	s := NewServer()
	old := subscribeMany(t, s, "old", 2*step+1)
	c, born := s.registry.clients["big"], s.registry.births
	var young []*Subscription
	steps := 0
	for more := true; more && steps < 10; steps++ {
		_, more = s.unsubscribeStep(c, born, nil)
		young = append(young, subscribeMany(t, s, fmt.Sprint("young", steps), step)...)
	}
	require.Equal(t, 3, steps)
	for _, sub := range old {
		require.Equal(t, ErrUnsubscribed, sub.Err())
	}
	for _, sub := range young {
		require.NoError(t, sub.Err())
	}
	require.Equal(t, len(young), s.NumClientSubscriptions("big"))
}

// Stop closes the queue before it ends the waits of Block: a wait that ends
// makes room, and nobody who waits for room may be let in by it.
func TestStopClosesTheQueueBeforeItEndsWaits(t *testing.T) {
	s := NewServer()
	require.NoError(t, s.Start())
	s.queue.mu.Lock() // closing it takes as long as the test wants
	stopped := make(chan error)
	go func() { stopped <- s.Stop() }()
	select {
	case <-s.stopping:
		require.Fail(t, "waits end while the queue is open")
	case <-time.After(50 * time.Millisecond): // long enough to notice, whatever it is
	}
	s.queue.mu.Unlock()
	<-s.stopping
	require.True(t, s.turn.look().closed())
	require.NoError(t, <-stopped)
}
