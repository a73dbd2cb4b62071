package pubsub

import (
	"cmp"
	"errors"
	"iter"
	"maps"
	"math"
	"slices"
	"time"
)

// A Message is one publication as a subscription or an observer receives it:
// the data that was published, its events, and when and where it was accepted.
// A Message is a small value; copies share data and events, which nobody may
// modify. Its methods may be called from any goroutine.
type Message struct {
	data   any
	events map[string][]string
	seq    uint64
	at     int64   // Unix time in nanoseconds; 0: not accepted yet
	origin *Origin // nil: this process
}

// An Origin names the process that a publication was first accepted in. The
// zero Origin is this process.
type Origin struct {
	Name  string // as the bridge was configured
	Epoch uint64 // differs from one start of the process to the next
}

// NewMessage returns a message that was not published; Sequence and Time are
// zero. It serves tests and code that is ported.
func NewMessage(data any, events map[string][]string) Message {
	return Message{data: data, events: events}
}

// RestoreMessage returns a message that was published once, as a history that kept
// it gives it back. It does not copy what is in args.
func RestoreMessage(args PublishArgs, sequence uint64) Message {
	return Message{data: args.Data, events: args.Events, seq: sequence, at: stamp(args.Time), origin: args.Origin}
}

// Data returns what was published.
func (m Message) Data() any { return m.data }

// Events returns a private copy of the events, made by this call and never nil:
// the caller may modify it. Code that only looks uses Keys, Values or
// Attributes, which copy nothing.
func (m Message) Events() map[string][]string {
	events := make(map[string][]string, len(m.events))
	for key, values := range m.events {
		events[key] = slices.Clone(values)
	}
	return events
}

// Keys iterates over the keys of the events, in no particular order.
func (m Message) Keys() iter.Seq[string] { return maps.Keys(m.events) }

// Values iterates over the values of key, in the order they were published.
func (m Message) Values(key string) iter.Seq[string] { return slices.Values(m.events[key]) }

// Attributes iterates over the pairs of key and value. Keys come in no
// particular order, the values of one key together and as they were published.
func (m Message) Attributes() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for key, values := range m.events {
			for _, value := range values {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// Matches tells whether q matches the events of the message. It runs regular
// expressions for as long as they take; see query.Query.Weigh. A nil q is an
// error.
func (m Message) Matches(q Query) (bool, error) {
	if isNil(q) {
		return false, errNilQuery
	}
	return q.Matches(m.events)
}

var errNilQuery = errors.New("pubsub: Message.Matches of a nil query: use query.All to match everything")

// Sequence returns the number that the server gave the publication when it
// accepted it. The first is 1, each is one more than the one before, and
// Reset does not start over.
func (m Message) Sequence() uint64 { return m.seq }

// Time returns when the server began to deliver the publication, or the time
// it was published with (see PublishArgs). Publications that were drained
// from the queue together share one time.
func (m Message) Time() time.Time {
	if m.at == 0 {
		return time.Time{}
	}
	return time.Unix(0, m.at)
}

// release lets go of what was published. The time stays: Stats may look at it.
func (m *Message) release() { m.data, m.events, m.origin = nil, nil, nil }

// The first and the last time that Message.at can hold.
var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// stamp returns a time as Message.at holds it.
func stamp(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(firstTime):
		return math.MinInt64
	case t.After(lastTime):
		return math.MaxInt64
	}
	return cmp.Or(t.UnixNano(), 1) // of 1970-01-01 itself: 0 stands for no time
}

// Origin returns the process that accepted the publication first: zero unless
// a bridge brought it here.
func (m Message) Origin() Origin {
	if m.origin == nil {
		return Origin{}
	}
	return *m.origin
}

// CameWith tells whether the message was published by PublishWithArgs with
// this very Origin, not one that is only equal. It lets a bridge know its own
// publications, and costs a comparison of pointers.
func (m Message) CameWith(o *Origin) bool { return o != nil && m.origin == o }
