package stream

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// A TopicMessage is what a publisher of a topic sent.
type TopicMessage struct {
	Binary  bool // the kind of the WebSocket message; else it is text
	Payload []byte
}

// Size implements history.Sized.
func (m TopicMessage) Size() int { return len(m.Payload) }

// Keys of the events that a message on a topic is published with.
const (
	TopicKey     = "topic"     // the escaped path
	PublisherKey = "publisher" // the publisher's client ID: name-UUID, or, with Config.Identify, identity-UUID, or identity-UUID/name
)

// topics are the topics that have a client.
type topics struct {
	mu  sync.Mutex
	all map[string]*topic
}

// A topic is a path with at least one client. Messages go over the bus, from
// which each subscriber reads; the topic only sees to it that the publishers
// do not run ahead of the subscribers:
//
//	publisher ──await──▶ bus ──▶ buffer of each subscriber ──▶ writer
//	             ▲                                                │
//	             └──────────── room, once all have caught up ─────┘
//
// So a topic loses nothing as long as its subscribers read, and the bus never
// waits.
type topic struct {
	name    string
	clients int // guarded by the mu of topics

	waiting atomic.Int32 // publishers in await

	mu          sync.Mutex
	room        sync.Cond
	subscribers map[*topicSubscriber]struct{}
	credit      int // messages until subscribers are looked at again
	bytes       int // of them
	most        int // bytes that may be unread, beyond a message
	unread      []sentMessage
}

// A sentMessage is one that a subscriber may have yet to read.
type sentMessage struct {
	sequence uint64
	bytes    int
}

// sentOverhead is what a message counts beside its bytes.
const sentOverhead = 64

// A topicSubscriber is what a topic knows of a subscriber.
type topicSubscriber struct {
	live  *pubsub.Subscription
	share int            // messages that may wait in the buffer before publishers do
	read  *atomic.Uint64 // sequence up to which it has read
}

// creditStep is how many messages are let through between two looks at all
// subscribers, if they have no more than creditBytes. The subscribers' buffers
// have room for as many more.
const (
	creditStep  = 64
	creditBytes = 1 << 20
)

// join returns the topic of a path for one more client.
func (ts *topics) join(name string, most int) *topic {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.all[name]
	if t == nil {
		if ts.all == nil {
			ts.all = make(map[string]*topic)
		}
		t = &topic{name: name, most: most, subscribers: make(map[*topicSubscriber]struct{})}
		t.room.L = &t.mu
		ts.all[name] = t
	}
	t.clients++
	return t
}

// leave takes a client out; the topic goes with its last one.
func (ts *topics) leave(t *topic) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.clients--; t.clients == 0 {
		delete(ts.all, t.name)
	}
}

// find returns the topic of a path, nil if nobody is there.
func (ts *topics) find(name string) *topic {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.all[name]
}

func (ts *topics) len() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.all)
}

// await waits until one more message, of so many bytes, may be published, or
// ctx is done.
func (t *topic) await(ctx context.Context, bytes int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.credit == 0 && t.behind() {
		t.waiting.Add(1)
		defer t.waiting.Add(-1)
		defer context.AfterFunc(ctx, t.wake)()
		for t.credit == 0 && t.behind() && ctx.Err() == nil {
			t.room.Wait()
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.credit == 0 {
		t.credit = creditStep
	}
	t.credit--
	if t.bytes += bytes; t.bytes >= creditBytes {
		t.credit, t.bytes = 0, 0
	}
	return nil
}

// published takes note of a message that await has let through.
func (t *topic) published(sequence uint64, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unread = append(t.unread, sentMessage{sequence, bytes + sentOverhead})
}

// behind tells whether a subscriber has more than its share to read, in messages
// or in bytes. The caller holds t.mu.
func (t *topic) behind() bool {
	read := uint64(math.MaxUint64) // by all
	for s := range t.subscribers {
		n := s.live.Len()
		if n > s.share {
			return true
		}
		if n > 0 {
			read = min(read, s.read.Load())
		}
	}
	t.unread = slices.DeleteFunc(t.unread, func(m sentMessage) bool { return m.sequence <= read })
	bytes := 0
	for _, m := range t.unread {
		bytes += m.bytes
	}
	return bytes > t.most
}

// wake has publishers look at the subscribers again.
func (t *topic) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.room.Broadcast()
}

// caughtUp is called by a subscriber that has read something.
func (t *topic) caughtUp() {
	if t.waiting.Load() > 0 {
		t.wake()
	}
}

func (t *topic) add(s *topicSubscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers[s] = struct{}{}
}

func (t *topic) remove(s *topicSubscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.subscribers, s)
	t.room.Broadcast()
}

// topicQuery matches what is published on a topic.
func topicQuery(name string) (*query.Query, error) {
	return equalTo(TopicKey, name)
}

// equalTo matches events that have a value.
func equalTo(key, value string) (*query.Query, error) {
	text := key + " = '" + strings.ReplaceAll(value, "'", "''") + "'"
	return query.Limits{Length: len(text) + 1}.New(text)
}
