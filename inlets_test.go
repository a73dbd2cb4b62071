package pubsub

import (
	"context"
	"runtime"
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

// However many readers wait at an inlet, letting go of them holds nobody up: it
// is done by a goroutine of its own, without the locks, and Stop waits for that.
func TestReadersLeaveAnInletWithoutTheLock(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // it runs when this goroutine waits, not before
	for what, end := range map[string]func(s *Server, sub *Subscription){
		"Out": func(_ *Server, sub *Subscription) { sub.Out() },
		"end": func(s *Server, sub *Subscription) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.remove(sub, ErrUnsubscribed)
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := NewServer()
			require.NoError(t, s.Start())
			sub, err := s.Subscribe(context.Background(), "c", query.All, 1)
			require.NoError(t, err)
			require.True(t, sub.openInlet())
			l := sub.inlet.Load()
			end(s, sub)
			select {
			case <-l.c:
				require.Fail(t, "closed with the lock held")
			default:
			}
			require.NoError(t, s.Stop())
			_, open := <-l.c
			require.False(t, open)
		})
	}
}
