package redisbridge

import (
	"sync/atomic"
	"time"
)

// counters count for all partitions. The fields are those of Stats.
type counters struct {
	unencodable                                atomic.Uint64
	sentEvents, sentFrames, sentBytes, marks   atomic.Uint64
	resent, already                            atomic.Uint64
	received, receivedFrames, receivedBytes    atomic.Uint64
	own, duplicates                            atomic.Uint64
	gaps, lost                                 atomic.Uint64
	malformed, oversized, foreign, unsigned    atomic.Uint64
	otherVersion, stale, undecodable, overflow atomic.Uint64
	failures, reconnects                       atomic.Uint64
}

// refuse counts a frame that the gate did not let in.
func (c *counters) refuse(reason refusal) {
	switch reason {
	case errOversized:
		c.oversized.Add(1)
	case errForeign:
		c.foreign.Add(1)
	case errUnsigned:
		c.unsigned.Add(1)
	case errVersion:
		c.otherVersion.Add(1)
	case errStale:
		c.stale.Add(1)
	default:
		c.malformed.Add(1)
	}
}

func (c *counters) gap(g Gap) {
	c.gaps.Add(1)
	if g.Count > 0 {
		c.lost.Add(uint64(g.Count))
	}
}

// Stats is what a bridge or a reader has done and holds. Counts are since it
// was made, of all partitions.
type Stats struct {
	Connected bool  // Redis has answered, nothing fails now, and the bridge has not ended
	LastError error // the last failure, also when it is over; after an end that is not Close, why

	// Sending.
	Accepted    uint64 // publications the outbox took
	Dropped     uint64 // publications it did not take, or dropped again for newer ones
	Unencodable uint64 // publications the codec refused, or too large
	Queued      int    // publications in outboxes
	QueuedBytes int
	InFlight    int    // publications on their way, not acknowledged
	SentEvents  uint64 // publications acknowledged by Redis
	SentFrames  uint64 // frames with events acknowledged
	SentBytes   uint64
	Marks       uint64 // marks acknowledged
	Resent      uint64 // frames sent again after a failure
	Already     uint64 // of these, those that had been written the first time

	// Receiving.
	Received       uint64 // publications handed on
	ReceivedFrames uint64
	ReceivedBytes  uint64
	Own            uint64 // own frames that came back
	Duplicates     uint64 // publications that had been received before
	Gaps           uint64
	Lost           uint64 // publications missing, as far as counted
	Inbox          int    // frames received and not handed on
	Origins        int    // processes known and not gone, summed over partitions

	// Frames dropped, and why.
	Malformed    uint64
	Oversized    uint64
	Foreign      uint64 // of another namespace or partition
	Unsigned     uint64 // without a valid MAC
	OtherVersion uint64
	Stale        uint64 // repetitions of old frames, of processes that are not known any more, and old replies
	Overflowed   uint64 // the inbox was full; Live only

	Undecodable uint64 // publications whose codec or type refused them

	Failures   uint64 // attempts that failed, of all parts
	Reconnects uint64 // readers' connections made after the first

	Lag       Lag       // Durable only
	Heartbeat Heartbeat // the last proof that what is sent comes back
}

// A Lag is how far what the application was handed is behind what Redis has:
// published here, or returned by Next. Redis is asked every second; while it does
// not answer, At stands still, Time grows, and Entries is Unknown after three.
type Lag struct {
	Entries int64         // frames, summed over partitions; Unknown also after resuming, until all is read, and at first
	Time    time.Duration // age of the oldest frame not handed on, of the partition that is farthest behind
	At      time.Time     // when Redis was asked last, the longest ago of all partitions; zero: not yet
}

func (l *Lag) add(other Lag, isFirst bool) {
	if isFirst || other.At.Before(l.At) {
		l.At = other.At
	}
	if l.Entries == Unknown || other.Entries == Unknown {
		l.Entries = Unknown
	} else {
		l.Entries += other.Entries
	}
	l.Time = max(l.Time, other.Time)
}

func (c *counters) stats() Stats {
	return Stats{
		Unencodable:    c.unencodable.Load(),
		SentEvents:     c.sentEvents.Load(),
		SentFrames:     c.sentFrames.Load(),
		SentBytes:      c.sentBytes.Load(),
		Marks:          c.marks.Load(),
		Resent:         c.resent.Load(),
		Already:        c.already.Load(),
		Received:       c.received.Load(),
		ReceivedFrames: c.receivedFrames.Load(),
		ReceivedBytes:  c.receivedBytes.Load(),
		Own:            c.own.Load(),
		Duplicates:     c.duplicates.Load(),
		Gaps:           c.gaps.Load(),
		Lost:           c.lost.Load(),
		Malformed:      c.malformed.Load(),
		Oversized:      c.oversized.Load(),
		Foreign:        c.foreign.Load(),
		Unsigned:       c.unsigned.Load(),
		OtherVersion:   c.otherVersion.Load(),
		Stale:          c.stale.Load(),
		Overflowed:     c.overflow.Load(),
		Undecodable:    c.undecodable.Load(),
		Failures:       c.failures.Load(),
		Reconnects:     c.reconnects.Load(),
	}
}
