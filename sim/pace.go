package sim

import (
	"context"
	"time"
)

// A Pace spreads work evenly over time. It is for one goroutine at a time.
type Pace struct {
	interval time.Duration // between two; 0: no limit
	due      time.Time     // of the next; zero before the first
}

// arrears is how late work may be and still be caught up with. Beyond it a
// stalled worker goes on at its pace instead of in a burst.
const arrears = time.Second

// longest is the slowest pace, one a century.
const longest = 100 * 365 * 24 * time.Hour

// NewPace returns a pace of so many a second; 0 or less is without limit.
func NewPace(perSecond float64) *Pace {
	if !(perSecond > 0) { // NaN too
		return &Pace{}
	}
	interval := float64(time.Second) / perSecond
	return &Pace{interval: time.Duration(min(max(1, interval), float64(longest)))}
}

// Wait returns when the next is due, or with ctx's error when ctx ends. The
// first is due at once.
func (p *Pace) Wait(ctx context.Context) error {
	if p.interval == 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.due.IsZero() || now.Sub(p.due) > arrears {
		p.due = now
	}
	wait := p.due.Sub(now)
	p.due = p.due.Add(p.interval)
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Publish publishes what the chain makes, so many a second (0: as fast as
// publish takes it), until ctx ends or publish fails, and returns why. The
// method PublishWithEvents of a server is such a publish.
func (c *Chain) Publish(ctx context.Context, perSecond float64, publish func(ctx context.Context, data any, events map[string][]string) error) error {
	pace := NewPace(perSecond)
	for {
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		p := c.Next()
		if err := publish(ctx, p.Data, p.Events); err != nil {
			return err
		}
	}
}
