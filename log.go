package pubsub

import "sync/atomic"

// A log holds the messages of one topic, once for all its subscriptions, each
// of which reads at its own cursor:
//
//	 chunk (base 0)     chunk (base 4)                last
//	┌──┬──┬──┬──┐ next ┌──┬──┬──┬──┬─────┬──┐ next ┌──┬──┬──┬─
//	│ 0│ 1│ 2│ 3│ ───▶ │ 4│ 5│ 6│ 7│  …  │19│ ───▶ │20│21│  │
//	└──┴──┴──┴──┘      └──┴──┴──┴──┴─────┴──┘      └──┴──┴──┴─
//	                     ▲        ▲                      ▲
//	                 cursor of  cursor of              tail
//	                  sub A      sub B
//
// A chunk points to the next one only and the log to the last one only: what
// all cursors have passed is garbage, and no list of readers is kept for it.
// An entry is written before tail passes it and never again, so reading needs
// no lock. Positions are counted from the making of the log and never reused.
type log struct {
	tail atomic.Uint64 // where the next message goes; written by the dispatcher
	last *chunk        // nil: none yet; guarded by the server's mu
}

// A chunk is a run of the log. Chunks grow, so that a topic with few messages
// takes little memory.
type chunk struct {
	base uint64 // position of msgs[0]
	msgs []Message
	next atomic.Pointer[chunk]
}

const (
	firstChunk = 4
	largeChunk = 64 // 3 KiB
)

// extend makes room for the next message. It returns the chunk it made if
// there was none before: cursors that joined an empty log start there. The
// caller holds the server's mu.
func (l *log) extend() (first *chunk) {
	tail := l.tail.Load()
	if l.last != nil && tail < l.last.base+uint64(len(l.last.msgs)) {
		return nil
	}
	c := l.grow(tail)
	if l.last == nil {
		first = c
	}
	l.last = c
	return first
}

// append adds m, for which extend made room. The caller holds the server's mu.
func (l *log) append(m *Message) {
	tail := l.tail.Load()
	l.last.msgs[tail-l.last.base] = *m
	l.tail.Store(tail + 1)
}

func (l *log) grow(base uint64) *chunk {
	size := firstChunk
	if l.last != nil {
		size = min(4*len(l.last.msgs), largeChunk)
	}
	c := &chunk{base: base, msgs: make([]Message, size)}
	if l.last != nil {
		l.last.next.Store(c)
	}
	return c
}

// forget lets go of all messages. It skips the positions that are left in the
// last chunk: a reader that has looked up its chunk, and slept while its cursor
// left the log and joined it again, must not take that chunk for the one that
// holds its new position. The caller holds the server's mu and knows that
// there is no cursor.
func (l *log) forget() {
	if l.last != nil {
		l.tail.Store(l.last.base + uint64(len(l.last.msgs)))
		l.last = nil
	}
}

// holding returns the chunk that holds position pos; c is at or before it. It
// returns nil if the log has forgotten that chunk.
func (c *chunk) holding(pos uint64) *chunk {
	for c != nil && pos-c.base >= uint64(len(c.msgs)) {
		c = c.next.Load()
	}
	return c
}

// message returns the one at position pos, which the chunk holds.
func (c *chunk) message(pos uint64) *Message { return &c.msgs[pos-c.base] }

// copyTo appends the messages in [from, to) to dst; c is at or before from.
func (c *chunk) copyTo(dst []Message, from, to uint64) []Message {
	for from < to {
		c = c.holding(from)
		run := c.msgs[from-c.base:]
		run = run[:min(uint64(len(run)), to-from)]
		dst = append(dst, run...)
		from += uint64(len(run))
	}
	return dst
}

// offLog is the position of a cursor that does not read the log.
const offLog = ^uint64(0)

// A cursor is where one subscription reads a log. Many goroutines may read at
// it, each message goes to one of them, and the dispatcher may take the
// cursor off the log at any time; the one compare-and-swap settles all that.
type cursor struct {
	pos     atomic.Uint64         // next message to read, or offLog
	at      atomic.Pointer[chunk] // at or before pos
	awaited atomic.Bool           // a delivery waits for pos to move
	parked  atomic.Uint64         // pos when a reader last found nothing
}

// join puts the cursor at the tail of l. The caller holds the server's mu.
func (c *cursor) join(l *log) {
	c.at.Store(l.last)
	c.pos.Store(l.tail.Load())
}

// read takes the next message; it is not to be modified. It returns nil if
// there is none or the cursor is off the log.
func (c *cursor) read(l *log) *Message {
	for {
		at := c.at.Load() // before pos, which may only be later then
		pos := c.pos.Load()
		if pos >= l.tail.Load() { // offLog too
			return nil
		}
		in := at
		if at == nil || pos-at.base >= uint64(len(at.msgs)) {
			if in = c.advance(at, pos); in == nil {
				continue
			}
		}
		if c.pos.CompareAndSwap(pos, pos+1) {
			return in.message(pos)
		}
	}
}

// advance moves at to the chunk that holds pos. It returns nil if at is from
// before the cursor left the log and joined it again.
func (c *cursor) advance(at *chunk, pos uint64) *chunk {
	in := at.holding(pos)
	if in != nil {
		c.at.CompareAndSwap(at, in)
	}
	return in
}

// leave takes the cursor off the log if it still is at pos and returns what it
// has not read, up to position to. The caller holds the server's mu.
func (c *cursor) leave(pos, to uint64) (unread []Message, ok bool) {
	if !c.pos.CompareAndSwap(pos, offLog) {
		return nil, false
	}
	at := c.at.Swap(nil)
	if pos >= to {
		return nil, true
	}
	return at.copyTo(make([]Message, 0, to-pos), pos, to), true
}

// linger waits a moment for a message, well below a microsecond, if messages
// have been coming in a stream: parking and waking would cost both sides more.
// It tells whether there is one. A reader that is woken for each message does
// not linger.
func (c *cursor) linger(l *log) bool {
	pos := c.pos.Load()
	if pos == offLog {
		return false
	}
	if last := c.parked.Swap(pos); pos-last < stream {
		return false
	}
	for range lingerLooks {
		if pos < l.tail.Load() {
			return true
		}
	}
	return false
}

const (
	stream      = 4   // messages without a pause that make a stream
	lingerLooks = 256 // about 1 ns each
)
