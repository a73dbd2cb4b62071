package redisbridge

import (
	"fmt"
	"strings"

	"github.com/harkbus/pubsub"
)

// Unknown is the Count of a Gap that cannot be counted.
const Unknown = -1

// A Reason says why publications are missing.
type Reason uint8

// The reasons. In Durable, one that has no origin may be followed by Lost for
// each origin that misses something, with exact counts.
const (
	// Lost: the sequence of an origin jumped. The frames were lost on the way,
	// dropped by a full outbox or inbox, or not kept by Redis.
	Lost Reason = iota + 1

	// Trimmed: entries were removed from a stream before they were read.
	Trimmed

	// Reset: a stream was deleted, as by FLUSHALL; reading began again with
	// what is there.
	Reset

	// Rewound: Redis forgot the end of a stream, as after a failover; reading
	// goes on from where the stream is still what it was, without what was read
	// already. Or a process found that Redis lost what it had acknowledged, and
	// what it sent next says so to all that miss something or cannot know.
	Rewound

	// Silent: an origin was not heard of for its lease and said no goodbye.
	// What it sent last may be missing. Live only.
	Silent

	// Forgotten: the account of an origin was given up for that of another one, of
	// 10,000 in a partition. Nothing need be missing; but how much of that origin is,
	// until it is heard again, nobody counts: in Live at all, in Durable beyond what
	// the stream itself says.
	Forgotten

	// Undecodable: a publication arrived and its codec or type refused it; or, in
	// Durable and without a count, a frame was larger than MaxFrame.
	Undecodable
)

var reasons = [...]string{"unknown", "lost", "trimmed", "reset", "rewound", "silent", "forgotten", "undecodable"}

// String returns the name in lower case.
func (r Reason) String() string {
	if int(r) >= len(reasons) {
		r = 0
	}
	return reasons[r]
}

// A Gap tells that publications are missing between the last one received and
// the next.
type Gap struct {
	Partition int
	Reason    Reason

	Origin   pubsub.Origin // whose they are; zero: of any process
	From, To uint64        // the first and last sequence missing; 0 if unknown
	Count    int64         // publications missing, or Unknown
}

// String tells all of it in one line, whatever its origin is called.
func (g Gap) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gap in partition %d: %s", g.Partition, g.Reason)
	if g.Count == Unknown {
		b.WriteString(", an unknown number of publications")
	} else {
		fmt.Fprintf(&b, ", %d publications", g.Count)
	}
	if g.Origin.Name != "" {
		fmt.Fprintf(&b, " of %q/%016x", g.Origin.Name, g.Origin.Epoch)
	}
	if g.To > 0 {
		fmt.Fprintf(&b, " (%d to %d)", g.From, g.To)
	}
	return b.String()
}
