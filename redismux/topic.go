package redismux

import (
	"strings"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// A kind is one of the three name spaces of Pub/Sub.
type kind uint8

const (
	channels kind = iota
	patterns
	shards
	kinds
)

// batchSize is how many names go into one command.
const batchSize = 512

// commands builds what puts names of a kind on a connection and takes them off.
// SSUBSCRIBE takes the names of one slot only.
var commands = [kinds]struct {
	subscribe, unsubscribe func(b rueidis.Builder, names []string) rueidis.Completed
	atOnce                 int // names per command
}{
	channels: {
		func(b rueidis.Builder, names []string) rueidis.Completed {
			return b.Subscribe().Channel(names...).Build()
		},
		func(b rueidis.Builder, names []string) rueidis.Completed {
			return b.Unsubscribe().Channel(names...).Build()
		},
		batchSize,
	},
	patterns: {
		func(b rueidis.Builder, names []string) rueidis.Completed {
			return b.Psubscribe().Pattern(names...).Build()
		},
		func(b rueidis.Builder, names []string) rueidis.Completed {
			return b.Punsubscribe().Pattern(names...).Build()
		},
		batchSize,
	},
	shards: {
		func(b rueidis.Builder, names []string) rueidis.Completed {
			return b.Ssubscribe().Channel(names...).Build()
		},
		func(b rueidis.Builder, names []string) rueidis.Completed {
			return b.Sunsubscribe().Channel(names...).Build()
		},
		1,
	},
}

// kindOf reads the kind of a confirmation: "subscribe", "punsubscribe", ….
func kindOf(confirmation string) (k kind, subscribed bool) {
	switch {
	case strings.HasPrefix(confirmation, "ps"), strings.HasPrefix(confirmation, "pu"):
		k = patterns
	case strings.HasPrefix(confirmation, "ss"), strings.HasPrefix(confirmation, "sun"):
		k = shards
	}
	return k, !strings.Contains(confirmation, "unsub")
}

// A topic is a name that is wanted, or not yet off its connection. All fields
// are guarded by Multiplexer.mu.
type topic struct {
	kind   kind
	name   string
	number uint64 // in the order of creation, to resubscribe in it

	// members are the listeners, in the order they came, and some that left.
	// The slice is never changed in place, only appended to or replaced, so
	// that the dispatcher reads a copy of its header without the lock.
	members []*member
	left    int32 // how many of members left

	link     *link  // what carries it
	queued   bool   // it is in the link's queue
	refused  bool   // Redis does not let us have it, and was not asked again
	sent     bool   // the last command sent for it subscribed
	awaiting int32  // confirmations that are still to come, or to be dispatched
	moves    int32  // redirections since it was last active
	epoch    uint64 // the connection on which it was sent
	live     uint64 // the connection on which the dispatcher saw it become active

	// Most topics have one member: it and its place are allocated with them.
	first      member
	firstPlace [1]*member
}

// A member is one subscription's place at one topic.
type member struct {
	topic  *topic
	sub    *subscription
	left   atomic.Bool
	active uint64 // the connection whose activation was told; the dispatcher's
}

func (t *topic) isWanted() bool { return len(t.members) > int(t.left) }

func (t *topic) join(s *subscription) *member {
	m := &t.first
	if m.topic == nil {
		t.members = t.firstPlace[:0]
	} else { // taken, perhaps by one that has left; so is its place
		m = new(member)
	}
	m.topic, m.sub = t, s
	t.members = append(t.members, m)
	return m
}

// leave makes place when half of the members have left, so that it costs O(1)
// on average.
func (t *topic) leave(m *member) {
	m.left.Store(true)
	t.left++
	if int(t.left)*2 <= len(t.members) {
		return
	}
	var rest []*member
	for _, other := range t.members {
		if !other.left.Load() {
			rest = append(rest, other)
		}
	}
	t.members, t.left = rest, 0
}

// reset forgets what a lost connection knew.
func (t *topic) reset() {
	t.sent, t.epoch, t.awaiting, t.refused, t.queued = false, 0, 0, false, false
}
