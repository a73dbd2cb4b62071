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

	mu         sync.Mutex
	last       Heartbeat
	sent, back []int64 // by partition: the latest stamp that a frame was given, and of those that came back
}

// stamped takes note of the stamp of a frame that will be sent. It is later than
// those before, unless the clock was far ahead: then what was sent before proves
// nothing.
func (b *beat) stamped(partition int, stamp int64, again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if again {
		b.sent[partition], b.back[partition] = stamp, stamp-1
	}
	b.sent[partition] = max(b.sent[partition], stamp)
}

// cutOff takes note that nothing of what was sent until now can come back, but
// for copies.
func (b *beat) cutOff(partition int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.back[partition] = b.sent[partition]
}

// cameBack takes note of a frame of our own with a stamp. One that came before,
// or is older than that, may be a copy, which anybody can send.
func (b *beat) cameBack(partition int, stamp int64) {
	now := time.Now()
	took := time.Duration(b.clock.at(now)-stamp) * time.Microsecond
	b.mu.Lock()
	defer b.mu.Unlock()
	if stamp <= b.back[partition] || stamp > b.sent[partition] {
		return
	}
	b.back[partition] = stamp
	b.last = Heartbeat{now, max(took, 0)}
}

func (b *beat) heartbeat() Heartbeat {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}
