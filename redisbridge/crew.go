package redisbridge

import "sync"

// A crew is the goroutines of a member. It knows which of them are in a
// callback of the user, for which nobody waits: the callback may be waiting for
// us, in Close.
type crew struct {
	mu      sync.Mutex
	quiet   sync.Cond // on mu: running has come down to calling
	running int
	calling int // in a callback
	closed  bool
}

func newCrew() *crew {
	c := &crew{}
	c.quiet.L = &c.mu
	return c
}

// Go runs f on a goroutine, unless the crew was waited for.
func (c *crew) Go(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.running++
	go func() {
		defer c.add(&c.running, -1)
		f()
	}()
}

// call calls a callback, on a goroutine of the crew.
func (c *crew) call(f func()) {
	c.add(&c.calling, 1)
	defer c.add(&c.calling, -1)
	f()
}

func (c *crew) add(number *int, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*number += n
	c.quiet.Broadcast()
}

// wait returns when all goroutines have ended, but for those in a callback:
// they end when that returns. No further ones begin.
func (c *crew) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.running > c.calling {
		c.quiet.Wait()
	}
}
