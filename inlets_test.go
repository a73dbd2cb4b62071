package pubsub

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// So many readers may wait at inlets, whom a delivery wakes with the lock held;
// more wait for the log. All of them receive everything.
func TestReadersBeyondAThousandInletsWaitForTheLog(t *testing.T) {
	const n, messages = maxInlets + 100, 5
	s := NewServer()
	require.NoError(t, s.Start())
	var received sync.WaitGroup
	subs := make([]*Subscription, n)
	for i := range n {
		sub, err := s.Subscribe(context.Background(), strconv.Itoa(i), query.All, 1)
		require.NoError(t, err)
		subs[i] = sub
		go func() {
			for range messages {
				if _, err := sub.Next(context.Background()); err != nil {
					return
				}
				received.Done()
			}
		}()
	}
	for range messages {
		received.Add(n)
		require.NoError(t, s.Publish(context.Background(), "m"))
		received.Wait()
	}
	inlets := 0
	for _, sub := range subs {
		if sub.inlet.Load() != nil {
			inlets++
		}
	}
	require.LessOrEqual(t, inlets, maxInlets)
	require.Positive(t, inlets)
	require.Equal(t, n, s.NumClients(), "nobody was cut")
	require.NoError(t, s.Stop())
}
