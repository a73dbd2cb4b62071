package pubsub

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

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
// An entry is written before tail passes it and read after, so reading needs
// no lock. Positions are counted from the making of the log and never reused.
//
// A chunk is collected as a whole, so it keeps messages that all have read
// while one cursor stands in it. How many that are is bounded by the number of
// readers: few have small chunks, and a single one clears what it takes out.
type log struct {
	tail atomic.Uint64 // where the next message goes; written by the dispatcher
	room *sync.Pool    // see newRoom

	// Guarded by the server's mu.
	last  *chunk // nil: none yet
	slack int    // how many messages that all have read any chunk may keep
}

// A chunk is a run of the log. The first ones are small, so that a topic with
// few messages takes little memory.
type chunk struct {
	base  uint64        // position of msgs[0]
	end   atomic.Uint64 // after the last one; lowered when the chunk is closed
	sole  bool          // one subscription reads it, and clears what it has read
	taken atomic.Int32  // sole: how many it has cleared
	msgs  []Message
	next  atomic.Pointer[chunk]
	room  *sync.Pool // that msgs goes back to; nil: none
}

const (
	firstChunk = 4
	largeChunk = 64 // 3 KiB

	// slackEach is how many messages that all have read a log may keep for
	// each of its readers.
	slackEach = 4
)

// slackFor returns how many messages that all have read the log may keep for
// some readers: a chunk of that size, or what a single one has not cleared yet.
func slackFor(readers int) int {
	if readers == 1 {
		return 0
	}
	return min(slackEach<<(bits.Len(uint(readers))-1), largeChunk)
}

// full tells whether the log must be extended before the next message. The
// caller holds the server's mu.
func (l *log) full() bool { return l.last == nil || l.tail.Load() == l.last.end.Load() }

// extend makes room for the next message, which some subscriptions read. It
// returns the chunk it made if there was none before: cursors that joined an
// empty log start there. The caller holds the server's mu.
func (l *log) extend(readers int) (first *chunk) {
	c := l.grow(l.tail.Load(), readers)
	if l.last == nil {
		first = c
	} else {
		l.last.next.Store(c)
	}
	l.last = c
	return first
}

func (l *log) grow(base uint64, readers int) *chunk {
	size := firstChunk
	if l.last != nil {
		size = max(size, 4*len(l.last.msgs))
	}
	most := largeChunk
	if readers > 1 {
		most = slackFor(readers)
	}
	l.slack = max(l.slack, slackFor(readers)) // a cursor may stand in an earlier one
	c := &chunk{base: base, sole: readers == 1}
	if size = min(size, most); c.sole && size == largeChunk {
		c.room = l.room
		c.msgs = l.room.Get().(*[largeChunk]Message)[:]
	} else {
		c.msgs = make([]Message, size)
	}
	c.end.Store(base + uint64(size))
	return c
}

// newRoom returns the room of large chunks with a single reader, for all logs of
// a server, so that a stream leaves the collector hardly anything, and what is
// written to is in a cache. Who holds the server's mu keeps all of it from being
// written.
func newRoom() *sync.Pool {
	return &sync.Pool{New: func() any { return new([largeChunk]Message) }}
}

// giveBack lets others use the room of a chunk that the only cursor has moved
// past, unless somebody still takes a message out: then it is left to the
// collector.
func (c *chunk) giveBack() {
	if c.read() {
		c.room.Put((*[largeChunk]Message)(c.msgs))
	}
}

// read tells whether all of a large chunk has been taken out and cleared.
func (c *chunk) read() bool { return c.taken.Load() == largeChunk }

// append adds m, for which extend made room. The caller holds the server's mu.
func (l *log) append(m *Message) {
	tail := l.tail.Load()
	l.last.msgs[tail-l.last.base] = *m
	l.tail.Store(tail + 1)
}

// close lets the next message begin a chunk, and puts an empty one in between:
// a cursor that joins the log here stands in that, and keeps nothing that came
// before. The caller holds the server's mu.
func (l *log) close() {
	if l.last == nil || len(l.last.msgs) == 0 {
		return
	}
	tail := l.tail.Load()
	empty := &chunk{base: tail}
	empty.end.Store(tail)
	l.last.end.Store(tail)
	l.last.next.Store(empty)
	l.last = empty
}

// forget lets go of all messages. It closes the last chunk: a reader that has
// looked it up, and slept while its cursor left the log and joined it again,
// must not take that chunk for the one that holds its new position. The caller
// holds the server's mu and knows that there is no cursor.
func (l *log) forget() {
	l.close()
	l.last, l.slack = nil, 0
}

// holding returns the chunk that holds position pos, which tail has passed; c
// is at or before it. It returns nil if the log has forgotten that chunk.
func (c *chunk) holding(pos uint64) *chunk {
	for c != nil && pos >= c.end.Load() {
		c = c.next.Load()
	}
	return c
}

// message returns the one at position pos, which the chunk holds.
func (c *chunk) message(pos uint64) *Message { return &c.msgs[pos-c.base] }

// take returns the message at position pos, which the chunk holds. The caller
// has moved its cursor past it.
func (c *chunk) take(pos uint64) Message {
	at := c.message(pos)
	m := *at
	if c.sole {
		at.release()
		c.taken.Add(1)
	}
	return m
}

// takeTo moves the messages in [from, to) to dst; c is at or before from. The
// caller has moved its cursor past them.
func (c *chunk) takeTo(dst []Message, from, to uint64) {
	for from < to {
		c = c.holding(from)
		run := c.run(from, to)
		n := copy(dst, run)
		if c.sole {
			for i := range run {
				run[i].release()
			}
			c.taken.Add(int32(n))
		}
		dst, from = dst[n:], from+uint64(n)
	}
}

// run returns the messages of the chunk in [from, to), where it holds from.
func (c *chunk) run(from, to uint64) []Message {
	return c.msgs[from-c.base : min(to, c.end.Load())-c.base]
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

// read moves past the next message and returns where it is, for the caller to
// take. It returns nil if there is none, or if the cursor is off the log or
// awaited.
func (c *cursor) read(l *log) (in *chunk, pos uint64) {
	for {
		at := c.at.Load() // before word, which may only be later then
		pos := c.word.Load()
		if pos >= l.tail.Load() {
			return nil, 0
		}
		if at == nil || pos >= at.end.Load() {
			if at = c.advance(at, pos); at == nil {
				continue
			}
		}
		if c.word.CompareAndSwap(pos, pos+1) {
			return at, pos
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
			at.takeTo(buf, pos, pos+n)
			c.advance(at, pos+n-1) // not to pin what was read
			return int(n)
		}
	}
}

// readAwaited is read for a cursor that a delivery may wait for. It tells
// whether one did: it waits no more, since one step is all the room it needs.
func (c *cursor) readAwaited(l *log) (in *chunk, pos uint64, waits bool) {
	for {
		at := c.at.Load()
		word := c.word.Load()
		pos := word &^ awaited
		if word == offLog || pos >= l.tail.Load() {
			return nil, 0, false
		}
		in := c.advance(at, pos)
		if in != nil && c.word.CompareAndSwap(word, pos+1) {
			return in, pos, word != pos
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
	if in != nil && in != at && c.at.CompareAndSwap(at, in) {
		for ; at != in; at = at.next.Load() {
			at.giveBack()
		}
	}
	return in
}

// leave takes the cursor off the log if it still is at pos and returns what it
// has not read, up to position to. Whole chunks are shared, so that this takes
// tens of nanoseconds for each; of others the messages are copied, so that
// nothing else is kept. The caller holds the server's mu.
func (c *cursor) leave(pos, to uint64) (unread *backlog, ok bool) {
	word := c.word.Load()
	if word&^awaited != pos || !c.word.CompareAndSwap(word, offLog) {
		return nil, false
	}
	unread = new(backlog)
	var runs []run // made many at a time
	for at := c.at.Swap(nil); pos < to; {
		at = at.holding(pos)
		msgs := at.run(pos, to)
		if len(runs) == cap(runs) {
			runs = make([]run, 0, min(1+(to-pos)/uint64(len(msgs)), runsAtOnce))
		}
		pos += uint64(len(msgs))
		whole := len(msgs) == len(at.msgs)
		if !whole {
			msgs = slices.Clone(msgs)
		}
		runs = append(runs, run{msgs: msgs, shared: whole})
		unread.add(&runs[len(runs)-1])
	}
	return unread, true
}

// runsAtOnce is how many runs of a backlog are made in one piece.
const runsAtOnce = 512
