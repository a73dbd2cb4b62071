package pubsub

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
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

// Many that are parked may end, and leave the others as they are: those sleep on,
// and the stack is gone through without the lock.
func TestThoseWhoEndWakeNobodyElse(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as above
	const all, end = 40, 25                         // the first at which the stack is gone through
	ctx := context.Background()
	s := NewServer()
	require.NoError(t, s.Start())
	var subs []*Subscription
	var woken atomic.Int32
	for i := range all {
		sub, err := s.SubscribeWithArgs(ctx, SubscribeArgs{ClientID: strconv.Itoa(i), Query: query.All})
		require.NoError(t, err)
		subs = append(subs, sub)
		go func() {
			sub.sleepOnLog(nil)
			woken.Add(1)
		}()
	}
	parked := func() (n int) {
		for sub := s.registry.topics[query.All.String()].parked.Load(); sub != nil; sub = sub.next {
			n++
		}
		return n
	}
	for parked() < all {
		runtime.Gosched()
	}

	s.mu.Lock()
	for _, sub := range subs[:end] {
		s.remove(sub, ErrUnsubscribed)
	}
	n := parked()
	s.mu.Unlock()
	require.Zero(t, n, "it is gone through with the lock held")
	s.closing.Wait()
	require.Equal(t, all-end, parked())
	for woken.Load() < end {
		runtime.Gosched()
	}
	for range 100 {
		runtime.Gosched()
	}
	require.EqualValues(t, end, woken.Load(), "who has nothing to read is woken")

	require.NoError(t, s.Publish(ctx, 1))
	for woken.Load() < all {
		runtime.Gosched()
	}
	require.NoError(t, s.Stop())
}
