package redisbridge

import (
	"errors"
	"sync/atomic"
)

// counters count for all partitions. The fields are those of Stats.
type counters struct {
	filtered, unencodable                     atomic.Uint64
	sentEvents, sentFrames, sentBytes, marks  atomic.Uint64
	resent, already                           atomic.Uint64
	received, receivedFrames, receivedBytes   atomic.Uint64
	own, duplicates                           atomic.Uint64
	gaps, lost                                atomic.Uint64
	malformed, oversized, foreign, unsigned   atomic.Uint64
	otherVersion, hops, undecodable, overflow atomic.Uint64
	failures, reconnects                      atomic.Uint64
}

// refuse counts a frame that the gate did not let in.
func (c *counters) refuse(err error) {
	switch {
	case errors.Is(err, errOversized):
		c.oversized.Add(1)
	case errors.Is(err, errForeign):
		c.foreign.Add(1)
	case errors.Is(err, errUnsigned):
		c.unsigned.Add(1)
	case errors.Is(err, errVersion):
		c.otherVersion.Add(1)
	case errors.Is(err, errHops):
		c.hops.Add(1)
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
	Connected bool  // Redis has answered, and nothing fails now
	LastError error // the last failure, also when it is over

	// Sending.
	Accepted    uint64 // publications the outbox took
	Dropped     uint64 // publications it did not take, or dropped again for newer ones
	Filtered    uint64 // publications nobody asked for
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
	Origins        int    // processes known, summed over partitions

	// Frames dropped, and why.
	Malformed    uint64
	Oversized    uint64
	Foreign      uint64 // of another namespace or partition
	Unsigned     uint64 // without a valid MAC
	OtherVersion uint64
	TooManyHops  uint64
	Overflowed   uint64 // the inbox was full; Live only

	Undecodable uint64 // publications whose codec or type refused them

	Failures   uint64 // attempts that failed, of all parts
	Reconnects uint64 // readers' connections made after the first

	Interest InterestStats
}

// InterestStats tells what interest forwarding knows; Live only.
type InterestStats struct {
	Filtering bool // the view is complete: what nobody asks for is not sent
	Peers     int  // processes in the view, without this one
	Queries   int  // their queries
	Announced int  // own queries announced; -1: everything
}

func (c *counters) stats() Stats {
	return Stats{
		Filtered:       c.filtered.Load(),
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
		TooManyHops:    c.hops.Load(),
		Overflowed:     c.overflow.Load(),
		Undecodable:    c.undecodable.Load(),
		Failures:       c.failures.Load(),
		Reconnects:     c.reconnects.Load(),
	}
}
