package pubsub

import (
	"sync/atomic"

	"github.com/harkbus/pubsub/match"
)

// A topic is one query and the subscriptions to it. Subscriptions to equal
// *query.Query share a topic; a user-written query has one of its own. A
// publication that matches goes to the topic once:
//
//	             ┌─▶ log ◀── cursor of a subscription that keeps up
//	publication ─┤     ◀── cursor of another one
//	             └─▶ backlog, inlet or Out of each subscription that is fed
//
// Fields without a lock of their own are guarded by the server's mu.
type topic struct {
	server *Server // nil: noTopic
	query  Query
	text   string // canonical, as it was when first subscribed
	id     match.ID
	born   uint64 // the number of subscriptions there were before it, ever
	kind   kind   // which of the server's matchers holds it
	refs   int32  // subscriptions, those not begun yet too

	log log
	due dueHeap         // the subscriptions that read the log
	fed []*Subscription // those that are fed

	failures atomic.Uint64 // of a user-written query

	parked atomic.Pointer[Subscription] // stack of those with a reader that waits for the log
	gone   int32                        // how many of them have ended since

	feeds atomic.Int32 // len(fed), for who holds no lock
}

// A kind tells how the query of a topic is matched.
type kind uint8

const (
	indexed kind = iota // a *query.Query
	scanned             // a user-written Query
)

// place is where a subscription is kept. A subscription is in one list at a
// time, so one index serves them all.
type place struct {
	list  listName
	index int32 // in the list
}

// A listName says which list.
type listName uint8

const (
	nowhere listName = iota
	inLatent
	inDue
	inFed
)

func newTopic(s *Server, q Query, text string, kind kind) *topic {
	return &topic{server: s, query: q, text: text, kind: kind, log: log{room: s.room}}
}

// begin lets a new subscription receive what is delivered from now on.
func (t *topic) begin(sub *Subscription) {
	sub.place.list = nowhere
	if sub.channel() == nil {
		t.read(sub)
		return
	}
	t.addFed(sub)
}

// deliver gives m to all subscriptions and collects in full what that leaves
// to do. The caller holds the server's mu.
func (t *topic) deliver(m *Message, full *fullness) {
	for i := 0; i < len(t.fed); i++ {
		sub := t.fed[i]
		if sub.channel() == nil && sub.mayRejoin() {
			t.read(sub)
			i-- // its place was taken by the last
			continue
		}
		full.add(sub, sub.offer(m))
	}
	tail := t.log.tail.Load()
	if len(t.due) > 0 && t.due[0].at <= tail {
		t.reviewDue(tail, m, full)
	}
	if len(t.due) == 0 {
		return
	}
	if t.log.full() {
		t.extend()
	}
	t.log.append(m)
	if t.parked.Load() != nil {
		full.wake = append(full.wake, t)
	}
}

// extend makes room for the next message in the log.
func (t *topic) extend() {
	if first := t.log.extend(len(t.due)); first != nil {
		for _, d := range t.due {
			d.sub.cursor.at.Store(first)
		}
	}
}

// reviewDue looks at the subscriptions that may not have room for m, which
// comes at position tail. If they are many it takes them from the end of the
// heap, where each stays in its place if the ones below it have been postponed.
func (t *topic) reviewDue(tail uint64, m *Message, full *fullness) {
	for n := 0; len(t.due) > 0 && t.due[0].at <= tail; n++ {
		if n == 1+len(t.due)/8 {
			for i := len(t.due) - 1; i >= 0; i-- {
				if i < len(t.due) && t.due[i].at <= tail {
					t.review(t.due[i].sub, tail, m, full)
				}
			}
			continue
		}
		t.review(t.due[0].sub, tail, m, full)
	}
}

// review looks at a subscription whose buffer was full by the last look: it
// has room meanwhile, or m, which comes at position tail, does not fit.
func (t *topic) review(sub *Subscription, tail uint64, m *Message, full *fullness) {
	pos, _ := sub.cursor.position()
	switch at := pos + uint64(sub.capacity); {
	case at > tail:
		t.due.postpone(sub, at)
	case sub.overflow == Block:
		// m goes to the log all the same and waits there: the buffer is the
		// capacity messages before it.
		sub.expect(waitsOnLog)
		full.add(sub, mustWait)
		t.due.postpone(sub, tail+1)
	default:
		if t.detach(sub, pos) {
			full.add(sub, sub.offer(m))
		}
	}
}

// read puts a subscription that is nowhere or fed on the log.
func (t *topic) read(sub *Subscription) {
	if sub.place.list == inFed {
		t.unfeed(sub)
	}
	tail := t.log.tail.Load()
	sub.matched -= tail
	t.due.add(sub, tail+uint64(sub.capacity))
	if len(t.due) == 2 {
		t.log.close() // it has been that of one reader
	}
	sub.mu.Lock() // a reader sees the cursor on the log, or is a sleeper by now
	sub.cursor.join(&t.log)
	sub.mu.Unlock()
	if sub.sleepers.Load() > 0 {
		t.park(sub)
	}
}

// feed makes a subscription that reads the log a fed one.
func (t *topic) feed(sub *Subscription) {
	for sub.place.list == inDue {
		pos, _ := sub.cursor.position()
		t.detach(sub, pos)
	}
}

// tighten looks whether the subscriptions that read the log have become so few
// that a chunk may keep too much for them. Then they leave it, with what they
// have not read, and join it again one by one, when they have read that. Those
// that are fed have a share in what a chunk keeps as long as they are there.
func (t *topic) tighten() {
	for len(t.due) > 0 && t.log.slack > slackEach*len(t.due) {
		t.feed(t.due[0].sub)
	}
}

// detach takes a subscription whose cursor is at pos off the log, with the
// messages in its buffer, and makes it a fed one. It fails if the cursor moved.
func (t *topic) detach(sub *Subscription, pos uint64) bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	tail := t.log.tail.Load()
	full := pos + uint64(sub.capacity)
	unread, ok := sub.cursor.leave(pos, min(tail, full))
	if !ok {
		return false
	}
	if sub.pending == waitsOnLog {
		sub.pending = waitsToBeFed
		if tail <= full { // the reader has made room meanwhile
			sub.pending = waitsNoMore
		}
	}
	sub.backlog = unread
	sub.wake()
	sub.handover.notify()
	sub.matched += tail
	t.due.remove(sub)
	if len(t.due) == 0 {
		t.log.forget()
	}
	t.addFed(sub)
	return true
}

func (t *topic) addFed(sub *Subscription) {
	sub.place.list, sub.place.index = inFed, int32(len(t.fed))
	t.fed = append(t.fed, sub)
	t.feeds.Store(int32(len(t.fed)))
}

// unfeed takes a fed subscription out of the list.
func (t *topic) unfeed(sub *Subscription) {
	last := len(t.fed) - 1
	t.fed[last].place.index = sub.place.index
	t.fed[sub.place.index] = t.fed[last]
	t.fed[last] = nil
	t.fed = t.fed[:last]
	t.feeds.Store(int32(last))
	sub.place.list = nowhere
}

// remove takes a subscription off the topic, with what it has not read.
func (t *topic) remove(sub *Subscription) {
	t.feed(sub)
	if sub.place.list == inFed {
		t.unfeed(sub)
	}
	if sub.parked.Load() {
		t.forgetParked()
	}
	t.tighten()
}

// members returns how many subscriptions a publication goes to.
func (t *topic) members() int { return len(t.due) + len(t.fed) }

// member returns one of them.
func (t *topic) member() *Subscription {
	if last := len(t.fed) - 1; last >= 0 {
		return t.fed[last]
	}
	return t.due[len(t.due)-1].sub
}
