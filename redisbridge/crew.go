package redisbridge

import (
	"runtime"
	"sync"
)

// A crew is the goroutines of a member. It knows which of them are in a
// callback of the user, for which nobody waits: the callback may be waiting for
// us, in Close.
type crew struct {
	mu     sync.Mutex
	quiet  sync.Cond      // on mu: busy has come down to 0
	busy   int            // goroutines that are in no callback
	depth  map[uint64]int // by goroutine: how many callbacks it is in, one within the other
	closed bool
}

func newCrew() *crew {
	c := &crew{depth: make(map[uint64]int)}
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
	c.busy++
	go func() {
		defer c.begin()()
		f()
	}()
}

// begin takes the calling goroutine in until the function that it returns is
// called.
func (c *crew) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := goroutine()
	c.depth[id] = 0
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.depth, id)
		c.leftLocked()
	}
}

// leftLocked takes note that a goroutine is not busy any more. The caller holds
// c.mu.
func (c *crew) leftLocked() {
	if c.busy--; c.busy == 0 {
		c.quiet.Broadcast()
	}
}

// call calls a callback. So is Close where it is called by what we have called,
// as an observer of the server: on a goroutine that is not of the crew this is
// only f().
func (c *crew) call(f func()) {
	id := goroutine()
	if c.enter(id) {
		defer c.leave(id)
	}
	f()
}

func (c *crew) enter(id uint64) (isOurs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	depth, isOurs := c.depth[id]
	if !isOurs {
		return false
	}
	c.depth[id]++
	if depth == 0 {
		c.leftLocked()
	}
	return true
}

func (c *crew) leave(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.depth[id]--; c.depth[id] == 0 {
		c.busy++
	}
}

// wait returns when all goroutines have ended, but for those in a callback:
// they end when that returns. No further ones begin.
func (c *crew) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.busy > 0 {
		c.quiet.Wait()
	}
}

// goroutine returns the number of the calling goroutine, which is what its stack
// trace says first: "goroutine 18 [running]:".
func goroutine() (id uint64) {
	var text [32]byte
	n := runtime.Stack(text[:], false)
	for _, digit := range text[len("goroutine "):n] {
		if digit < '0' || digit > '9' {
			break
		}
		id = id*10 + uint64(digit-'0')
	}
	return id
}
