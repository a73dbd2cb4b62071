package redisbridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// A clock is that of Redis, as far as it is known: what all processes of a
// namespace have in common. Until it was asked it is the clock of the host.
type clock struct{ offset atomic.Int64 } // µs, what Redis is ahead of the host

// at returns what the clock of Redis shows at t, in µs since 1970.
func (c *clock) at(t time.Time) int64 { return t.UnixMicro() + c.offset.Load() }

// set takes note of what it showed between two moments.
func (c *clock) set(micros int64, asked, answered time.Time) {
	c.offset.Store(micros - asked.Add(answered.Sub(asked)/2).UnixMicro())
}

// A Heartbeat tells when something that this process has sent came back to it
// last: the proof that what it sends arrives, and that it receives. A process
// that has nothing to send sends a mark now and then.
type Heartbeat struct {
	At   time.Time     // zero: not yet, or the process does not both send and receive
	Took time.Duration // from the frame's being sealed
}

// A beat is the last heartbeat.
type beat struct {
	clock *clock

	mu   sync.Mutex
	last Heartbeat
}

// cameBack takes note of a frame of our own with a stamp.
func (b *beat) cameBack(stamp int64) {
	now := time.Now()
	took := time.Duration(b.clock.at(now)-stamp) * time.Microsecond
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = Heartbeat{now, max(took, 0)}
}

func (b *beat) heartbeat() Heartbeat {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}
