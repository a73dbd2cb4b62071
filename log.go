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

// A cursor is where one subscription reads a log. Many goroutines may read at
// it, each message goes to one of them, and the dispatcher may take the cursor
// off the log at any time; one compare-and-swap on word settles all that:
//
//	63        62                                    0
//	┌─────────┬─────────────────────────────────────┐
//	│ awaited │ position of the next message        │   or offLog
//	└─────────┴─────────────────────────────────────┘
//
// Awaited means that a delivery waits for the cursor to move. A word with it,
// and offLog, are above every tail: a reader looks at them only where it would
// wait otherwise.
type cursor struct {
	word atomic.Uint64
	at   atomic.Pointer[chunk] // at or before the position
}

const (
	awaited = uint64(1) << 63
	offLog  = ^uint64(0)
)

// join puts the cursor at the tail of l. The caller holds the server's mu.
func (c *cursor) join(l *log) {
	c.at.Store(l.last)
	c.word.Store(l.tail.Load())
}

// position returns where the cursor is, unless it is off the log.
func (c *cursor) position() (pos uint64, ok bool) {
	word := c.word.Load()
	return word &^ awaited, word != offLog
}

// read takes the next message; it is not to be modified. It returns nil if
// there is none, or if the cursor is off the log or awaited.
func (c *cursor) read(l *log) *Message {
	for {
		at := c.at.Load() // before word, which may only be later then
		pos := c.word.Load()
		if pos >= l.tail.Load() {
			return nil
		}
		if at == nil || pos-at.base >= uint64(len(at.msgs)) {
			if at = c.advance(at, pos); at == nil {
				continue
			}
		}
		if c.word.CompareAndSwap(pos, pos+1) {
			return at.message(pos)
		}
	}
}

// readBatch takes as many messages as there are, up to len(buf), into buf, and
// returns how many: none where read finds none.
func (c *cursor) readBatch(l *log, buf []Message) int {
	for {
		at := c.at.Load() // as in read
		pos := c.word.Load()
		tail := l.tail.Load()
		if pos >= tail {
			return 0
		}
		if at = c.advance(at, pos); at == nil {
			continue
		}
		n := min(tail-pos, uint64(len(buf)))
		if c.word.CompareAndSwap(pos, pos+n) {
			at.copyTo(buf[:0], pos, pos+n)
			c.advance(at, pos+n-1) // not to pin what was read
			return int(n)
		}
	}
}

// readAwaited is read for a cursor that a delivery may wait for. It tells
// whether one did: it waits no more, since one step is all the room it needs.
func (c *cursor) readAwaited(l *log) (m *Message, waits bool) {
	for {
		at := c.at.Load()
		word := c.word.Load()
		pos := word &^ awaited
		if word == offLog || pos >= l.tail.Load() {
			return nil, false
		}
		in := c.advance(at, pos)
		if in != nil && c.word.CompareAndSwap(word, pos+1) {
			return in.message(pos), word != pos
		}
	}
}

// await says whether a delivery waits for the cursor to move.
func (c *cursor) await(yes bool) {
	for {
		word := c.word.Load()
		next := word &^ awaited
		if yes {
			next = word | awaited
		}
		if word == offLog || c.word.CompareAndSwap(word, next) {
			return
		}
	}
}

// advance moves at to the chunk that holds pos. It returns nil if at is from
// before the cursor left the log and joined it again.
func (c *cursor) advance(at *chunk, pos uint64) *chunk {
	in := at.holding(pos)
	if in != nil && in != at {
		c.at.CompareAndSwap(at, in)
	}
	return in
}

// leave takes the cursor off the log if it still is at pos and returns what it
// has not read, up to position to. The caller holds the server's mu.
func (c *cursor) leave(pos, to uint64) (unread []Message, ok bool) {
	word := c.word.Load()
	if word&^awaited != pos || !c.word.CompareAndSwap(word, offLog) {
		return nil, false
	}
	at := c.at.Swap(nil)
	if pos >= to {
		return nil, true
	}
	return at.copyTo(make([]Message, 0, to-pos), pos, to), true
}
