package pubsub

import "slices"

// A backlog is the buffer of a subscription that is fed: a queue of messages in
// runs, so that neither adding one nor taking one out moves the others. A nil
// backlog is empty.
//
//	 first                                  last
//	┌──┬──┬──┬──┐ next ┌──┬──┬──┬──┐ next ┌──┬──┬──┬──┐
//	│  │  │ 0│ 1│ ───▶ │ 2│ 3│ 4│ 5│ ───▶ │ 6│  │  │  │
//	└──┴──┴──┴──┘      └──┴──┴──┴──┘      └──┴──┴──┴──┘
//	        ▲ head          shared             ▲ tail
//
// Runs that come from a log may be shared with its readers. They are full, and
// copied when their turn comes.
type backlog struct {
	first, last *run
	head        int // of the first message, in first
	tail        int // of the next message to be added, in last
	n           int
	spare       *run // was read empty, for the next one

	moved chan Message // what comes before first: on the way to Out; nil until it is called
}

// A run is a part of a backlog.
type run struct {
	msgs   []Message
	shared bool // not to be written
	next   *run
}

func (b *backlog) len() int {
	if b == nil {
		return 0
	}
	return b.n + len(b.moved)
}

// push adds m at the end.
func (b *backlog) push(m *Message) {
	if b.last == nil || b.tail == len(b.last.msgs) {
		b.link(b.room())
		b.tail = 0
	}
	b.last.msgs[b.tail] = *m
	b.tail++
	b.n++
}

// add adds a run before the first push, its own or one that others read too.
func (b *backlog) add(r *run) {
	b.link(r)
	b.tail = len(r.msgs)
	b.n += len(r.msgs)
}

func (b *backlog) link(r *run) {
	if b.last == nil {
		b.first, b.head = r, 0
	} else {
		b.last.next = r
	}
	b.last = r
}

// room returns an empty run, larger the more messages there are.
func (b *backlog) room() *run {
	if r := b.spare; r != nil {
		b.spare = nil
		return r
	}
	return &run{msgs: make([]Message, min(max(firstChunk, 2*b.n), largeChunk))}
}

// peek returns the first message, and nil if there is none or it is on the way
// to Out.
func (b *backlog) peek() *Message {
	if b.len() == 0 || len(b.moved) > 0 {
		return nil
	}
	return b.front()
}

// front returns the first message in the runs. There is one.
func (b *backlog) front() *Message {
	if r := b.first; r.shared {
		r.msgs, r.shared = slices.Clone(r.msgs), false // what is read is to be let go
	}
	return &b.first.msgs[b.head]
}

// pop takes the first message out. There is one.
func (b *backlog) pop() Message {
	if len(b.moved) > 0 {
		return <-b.moved
	}
	return b.popRun()
}

// move moves up to some messages to the channel, which has room for all, and
// tells whether that was the last.
func (b *backlog) move(most int) (done bool) {
	for ; b.n > 0 && most > 0; most-- {
		b.moved <- b.popRun()
	}
	return b.n == 0
}

func (b *backlog) popRun() Message {
	at := b.front()
	m := *at
	*at = Message{} // not to keep what was read
	b.head++
	b.n--
	switch r := b.first; {
	case b.n == 0:
		*b = backlog{first: r, last: r, moved: b.moved} // r is empty, and the last
	case b.head == len(r.msgs):
		b.first, b.head = r.next, 0
		r.next = nil
		if len(r.msgs) >= min(b.n, largeChunk) { // those of one size take turns
			b.spare, r = r, b.spare
		}
		if r != nil {
			r.msgs = nil // r may be one of many made in one piece
		}
	}
	return m
}
