// Package backoff spaces out the attempts of a connection supervisor.
//
//	retry := backoff.New(8*time.Millisecond, 512*time.Millisecond)
//	for {
//		began := time.Now()
//		serve(ctx, dial(ctx)) // returns when the connection is lost, or was never had
//		retry.Lasted(time.Since(began))
//		if retry.Wait(ctx) != nil {
//			return
//		}
//	}
//
// A delay is drawn from [0, ceiling), and the ceiling doubles from min to max:
// the "full jitter" of M. Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015, which keeps many processes that lost one server
// from coming back at once.
//
// A success does not reset the ceiling, time does: a server that takes a
// connection and throws it out again is spared like one that refuses to be
// dialed.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Backoff holds the state of one supervisor, and is used by one goroutine.
type Backoff struct {
	min, max time.Duration
	ceiling  time.Duration // of the next delay
	random   func(n int64) int64
}

// New returns a Backoff whose first delay is below min and whose delays stay
// below max. A min below 1 ns counts as 1 ns, a max below min as min.
func New(min, max time.Duration) *Backoff {
	return withRandom(min, max, rand.Int64N)
}

func withRandom(least, most time.Duration, random func(n int64) int64) *Backoff {
	b := &Backoff{min: max(least, 1), random: random}
	b.max = max(most, b.min)
	b.ceiling = b.min
	return b
}

// Next returns the next delay and raises the ceiling of the one after it.
func (b *Backoff) Next() time.Duration {
	delay := time.Duration(b.random(int64(b.ceiling)))
	if b.ceiling > b.max/2 {
		b.ceiling = b.max
	} else {
		b.ceiling *= 2
	}
	return delay
}

// Lasted tells how long the last attempt held. Only one that held for max or
// longer brings the ceiling back to min.
func (b *Backoff) Lasted(d time.Duration) {
	if d >= b.max {
		b.ceiling = b.min
	}
}

// Wait sleeps for the next delay. It returns early, with the cause, when ctx
// is done.
func (b *Backoff) Wait(ctx context.Context) error {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
