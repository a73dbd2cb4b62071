package pubsub

import "time"

// A clock tells the time at half the price of time.Now: it reads the wall
// clock about once a second and counts on from there with the monotonic one.
// It belongs to the goroutine that has the pass.
type clock struct {
	anchor time.Time
	wall   int64 // anchor as Unix time in nanoseconds
}

// now returns Unix time in nanoseconds.
func (c *clock) now() int64 {
	passed := time.Since(c.anchor)
	if uint64(passed) >= uint64(time.Second) { // also before the first reading
		c.anchor = time.Now()
		c.wall = c.anchor.UnixNano()
		return c.wall
	}
	return c.wall + int64(passed)
}
