package redismux

import (
	"sync"
	"sync/atomic"
)

type what uint8

const (
	messageCame    what = iota // on channel, through the topic name of kind
	confirmed                  // the server confirmed topics
	linkUp                     // a connection was made
	linkLost                   // err is the cause
	memberJoined               // member came to an active topic
	topicsInactive             // topics are refused, or move; err is the cause
)

// An event is something for the dispatcher to tell.
type event struct {
	what    what
	kind    kind
	name    string // of the topic of a message
	channel string
	message string
	link    *link
	epoch   uint64 // the connection; each has its own
	topics  []*topic
	member  *member
	err     error
	told    chan struct{} // closed when a loss was told
}

// overhead is what a waiting message costs besides its text.
const overhead = 128

func (e *event) size() int64 { return int64(len(e.channel) + len(e.message) + overhead) }

// A mailbox holds the events that wait for the dispatcher, in order. Putting
// never waits: it is called from the readers of connections.
type mailbox struct {
	filled chan struct{} // a token when events may not be empty, or closed was set
	limit  int64         // of bytes
	bytes  atomic.Int64  // of messages put and not yet dispatched

	mu     sync.Mutex
	events []event
	closed bool
}

func newMailbox(limit int) *mailbox {
	return &mailbox{filled: make(chan struct{}, 1), limit: int64(limit)}
}

// putMessage is false when the message does not fit. A single one larger than
// the limit fits when nothing else waits.
func (b *mailbox) putMessage(e event) bool {
	size := e.size()
	if waiting := b.bytes.Add(size); waiting > b.limit && waiting > size {
		b.bytes.Add(-size)
		return false
	}
	b.put(e)
	return true
}

func (b *mailbox) put(e event) {
	b.mu.Lock()
	first := len(b.events) == 0
	b.events = append(b.events, e)
	b.mu.Unlock()
	if first {
		b.notify()
	}
}

func (b *mailbox) notify() {
	select {
	case b.filled <- struct{}{}:
	default:
	}
}

// close makes take end once everything was taken. Nothing is put after it.
func (b *mailbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.notify()
}

// take waits for events and swaps them for spare, which is empty. It is false
// when there will be none any more.
func (b *mailbox) take(spare []event) ([]event, bool) {
	for {
		b.mu.Lock()
		events, closed := b.events, b.closed
		if len(events) > 0 {
			b.events = spare
		}
		b.mu.Unlock()
		if len(events) > 0 {
			return events, true
		}
		if closed {
			return nil, false
		}
		<-b.filled
	}
}

// sent gives back the room of a message.
func (b *mailbox) sent(e *event) { b.bytes.Add(-e.size()) }
