package pubsub

import (
	"container/list"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// In the package, to leave out what goroutines cost: a publisher that gives up
// does not look at those that wait before it. A hundred times as many take about
// a hundred times as long, where such a look would take ten thousand times.
func TestGivingUpCostsNoLookAtTheOthers(t *testing.T) {
	few, many := time.Hour, time.Hour
	for range 3 {
		few = min(few, giveUp(t, 1_000))
		many = min(many, giveUp(t, 100_000))
	}
	require.Less(t, many, 1000*few)
}

// giveUp has n publishers wait and give up, the last one first, and returns how
// long that took.
func giveUp(t *testing.T, n int) time.Duration {
	q := queue{turn: new(turnstile)}
	places := make([]*list.Element, n)
	for i := range places {
		places[i] = q.waiters.PushBack(&publisher{done: make(chan struct{})})
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	begin := time.Now()
	for i := n - 1; i >= 0; i-- {
		if _, _, err := q.await(done, done.Done(), places[i].Value.(*publisher), places[i]); err != context.Canceled {
			t.Fatal(err)
		}
	}
	took := time.Since(begin)
	require.Zero(t, q.waiters.Len())
	return took
}

// The first of a batch has begun, so there is room for one, and the server's
// goroutine has not come round to let in who waits.
func TestNobodyOvertakesThePublishersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{turn: new(turnstile), capacity: 2}
		q.turn.enter()
		put := func(data int) {
			go func() { _, _, _ = q.put(context.Background(), Message{data: data}) }()
			synctest.Wait()
		}
		take := func() (taken []any) {
			batch, _ := q.take()
			for _, m := range batch {
				taken = append(taken, m.data)
			}
			return taken
		}
		put(1)
		put(2)
		put(3) // waits
		require.Equal(t, []any{1, 2}, take())
		put(4)
		q.begin(0)
		require.Equal(t, []any{3, 4}, take())
		synctest.Wait()
	})
}

// In the package, since expressions run for no time that a test could rely on.
func TestPublishersThatWaitFindTheRoomBeforeExpressionsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(BufferCapacity(1)) // not started: the test has the pass
		accepted := make(chan error, 2)
		for range 2 {
			go func() { accepted <- s.Publish(context.Background(), nil) }()
			synctest.Wait()
		}
		require.Len(t, accepted, 1)

		batch, _ := s.queue.take()
		s.queue.begin(0)
		s.mu.Lock()
		s.decide(&batch[0], nil)
		s.mu.Unlock()
		synctest.Wait()
		require.Len(t, accepted, 2)
	})
}
