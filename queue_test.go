package pubsub

import (
	"container/list"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In the package, to leave out what goroutines cost: a publisher that gives up
// does not look at those that wait before it. Ten times as many take about ten
// times as long, where such a look would take a hundred times.
func TestGivingUpCostsNoLookAtTheOthers(t *testing.T) {
	few, many := time.Hour, time.Hour
	for range 3 {
		few = min(few, giveUp(t, 5_000))
		many = min(many, giveUp(t, 50_000))
	}
	require.Less(t, many, 40*few)
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
		if _, _, err := q.await(done, places[i].Value.(*publisher), places[i]); err != context.Canceled {
			t.Fatal(err)
		}
	}
	took := time.Since(begin)
	require.Zero(t, q.waiters.Len())
	return took
}
