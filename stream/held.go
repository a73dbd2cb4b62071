package stream

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// holdings bound what clients that do not read keep in memory, all of them
// together: messages in the buffers of subscriptions, and frames that are yet
// to be written. Nobody waits for it: the connections that hold most end.
//
// The count is never below what is held. Of messages it is the smaller of
//
//   - what was published since the oldest that a client has yet to get; so what
//     waits in many buffers counts once
//   - the sum over all clients of as many messages as wait for each, of the size
//     of the largest published since its oldest one
//
// Frames count for each connection, unless their payload is the message itself.
//
// It may be much above what is held: where one small message waits among large ones
// that somebody else waits for, it counts as one of these.
type holdings struct {
	limit int64         // 0: none
	most  int64         // bytes that may be added between two looks
	added atomic.Int64  // since the last look
	ended atomic.Uint64 // connections
	told  time.Duration // for one that ends to take what is being written

	mu      sync.Mutex // never taken with another lock held
	sizes   sizes
	counted time.Time     // when used was counted
	bytes   int64         // that used was then
	conns   []*connection // reused, as the next
	holders []holder
}

// A holder is a connection and what it holds.
type holder struct {
	conn     *connection
	messages int64 // bytes, at most
	frames   int64
	oldest   int // run of sizes
}

func (h holder) bytes() int64 { return h.messages + h.frames }

func (h *holdings) init(limit int) {
	h.limit, h.told = int64(limit), farewellTime
	h.most = max(1, h.limit/64)
	h.sizes.step = max(1, h.limit/256)
}

// note takes note of a publication, before it is delivered.
func (h *holdings) note(s *Server, m pubsub.Message) {
	if h.limit == 0 {
		return
	}
	size := int64(history.SizeOf(m))
	h.mu.Lock()
	h.sizes.note(m.Sequence(), size)
	h.mu.Unlock()
	h.add(s, size)
}

// add takes note that clients may hold so much more, and now and then looks how
// much that is.
func (h *holdings) add(s *Server, bytes int64) {
	if h.limit == 0 || h.added.Add(bytes) < h.most {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.added.Swap(0) >= h.most {
		h.lookLocked(s)
	}
}

// used returns how many bytes are held, or were at most countedFor ago: counting
// them looks at every connection, and Stats may be called again and again.
func (h *holdings) used(s *Server) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); h.limit > 0 && now.Sub(h.counted) >= countedFor {
		defer h.clear()
		h.counted, h.bytes = now, h.countLocked(s, true)
	}
	return h.bytes
}

const countedFor = 100 * time.Millisecond

// lookLocked ends connections until no more is held than may be, those that hold
// most first. The caller holds h.mu.
func (h *holdings) lookLocked(s *Server) {
	defer h.clear()
	total := h.countLocked(s, false)
	if total <= h.limit {
		return
	}
	slices.SortFunc(h.holders, func(a, b holder) int { return cmp.Compare(a.bytes(), b.bytes()) })
	keep, rest := 0, sum{oldest: len(h.sizes.runs)}
	for ; keep < len(h.holders); keep++ {
		if rest.add(h.holders[keep]); h.sizes.total(rest) > h.limit {
			break
		}
	}
	for _, holder := range h.holders[keep:] {
		if holder.conn.shed() {
			h.ended.Add(1)
		}
	}
}

// clear keeps the room, and nobody. The caller holds h.mu.
func (h *holdings) clear() { clear(h.holders) }

// countLocked returns how many bytes are held, with or without connections that
// are about to end. The caller holds h.mu.
func (h *holdings) countLocked(s *Server, closing bool) int64 {
	s.mu.Lock()
	h.conns = h.conns[:0]
	for c := range s.conns {
		h.conns = append(h.conns, c)
	}
	s.mu.Unlock()
	h.sizes.addUp()
	oldest, _ := s.config.History.Bounds()
	h.holders = h.holders[:0]
	all := sum{oldest: len(h.sizes.runs)}
	for _, c := range h.conns {
		if !closing && c.closing.Load() != nil {
			continue
		}
		if holder := h.holderOf(c, oldest); holder.bytes() > 0 {
			h.holders = append(h.holders, holder)
			all.add(holder)
		}
	}
	clear(h.conns)
	return h.sizes.total(all)
}

// holderOf returns what a connection holds.
func (h *holdings) holderOf(c *connection, oldest history.Cursor) holder {
	all := holder{conn: c, frames: c.w.frames.Load(), oldest: len(h.sizes.runs)}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.outlets {
		n, after := o.holds(oldest)
		if n == 0 {
			continue
		}
		first := h.sizes.after(after)
		all.oldest = min(all.oldest, first)
		all.messages += h.sizes.atMost(first, n)
	}
	return all
}

// A sum is what several connections hold.
type sum struct {
	messages, frames int64
	oldest           int // run of sizes
}

func (s *sum) add(h holder) {
	s.messages = min(s.messages+h.messages, math.MaxInt64/4)
	s.frames += h.frames
	s.oldest = min(s.oldest, h.oldest)
}

// sizes are how large the latest publications were, in runs that have
// at most step bytes, or one publication.
type sizes struct {
	step  int64
	runs  []run // oldest first
	older int64 // the largest publication before them
	tails []run // of runs: each with all that follow
}

// A run is some publications that follow each other.
type run struct {
	last    uint64 // sequence
	bytes   int64  // of all
	largest int64
}

// maxRuns is how many runs are kept: two in a row have more than step, so these
// have more than all may hold.
const maxRuns = 512

func (l *sizes) note(sequence uint64, bytes int64) {
	if n := len(l.runs); n > 0 && l.runs[n-1].bytes+bytes <= l.step {
		last := &l.runs[n-1]
		*last = run{sequence, last.bytes + bytes, max(last.largest, bytes)}
		return
	}
	if len(l.runs) == maxRuns {
		l.older = max(l.older, l.runs[0].largest)
		l.runs = slices.Delete(l.runs, 0, 1)
	}
	l.runs = append(l.runs, run{sequence, bytes, bytes})
}

// addUp prepares the questions below.
func (l *sizes) addUp() {
	l.tails = slices.Grow(l.tails[:0], len(l.runs))[:len(l.runs)]
	var tail run
	for i := len(l.runs) - 1; i >= 0; i-- {
		tail.bytes += l.runs[i].bytes
		tail.largest = max(tail.largest, l.runs[i].largest)
		l.tails[i] = tail
	}
}

// beforeAll is the run of what sizes have forgotten.
const beforeAll = -1

// after returns the run with the first publication after a sequence.
func (l *sizes) after(sequence uint64) int {
	i, _ := slices.BinarySearchFunc(l.runs, sequence+1, func(r run, s uint64) int { return cmp.Compare(r.last, s) })
	if i == 0 && len(l.runs) == maxRuns {
		return beforeAll
	}
	return i
}

// since returns the bytes of all publications from a run on, and the largest.
func (l *sizes) since(first int) (bytes, largest int64) {
	switch {
	case first == len(l.tails):
		return 0, 0
	case first == beforeAll:
		return math.MaxInt64 / 4, max(l.older, l.tails[0].largest)
	}
	return l.tails[first].bytes, l.tails[first].largest
}

// atMost returns the most bytes that n publications from a run on may have.
func (l *sizes) atMost(first, n int) int64 {
	bytes, largest := l.since(first)
	return min(bytes, int64(n)*largest)
}

// total returns the bytes that several connections hold.
func (l *sizes) total(all sum) int64 {
	bytes, _ := l.since(all.oldest)
	return min(all.messages, bytes) + all.frames
}

// holds returns how many messages wait for an outlet, and a sequence that all of
// them come after. What is replayed waits in the history, and once that begins
// later, with who reads it.
func (o *outlet) holds(oldest history.Cursor) (n int, after uint64) {
	after = o.read.Load()
	if live := o.live.Load(); live != nil {
		n = live.Len()
	}
	if o.replaying.Load() && o.server.config.History.Cursor(after).Before(oldest) {
		n += replayStep
	}
	if waiting := int(o.conn.w.messages.Load()); waiting > 0 { // of the only outlet
		n, after = n+waiting, o.conn.w.passed.Load()
	}
	return n, after
}

// replayStep is how many publications a reader of the history holds at most.
const replayStep = 64

// shed ends a connection that holds too much. What waits in its buffers is
// dropped; what waits to be written it gets, and why it ends, if it takes that
// within a second. It returns false if the connection is about to end
// already.
func (c *connection) shed() bool {
	if !c.closing.CompareAndSwap(nil, &endHeld) {
		return false
	}
	c.shedding.Store(true)
	c.visit.slow("held", 1)
	c.spawn(func() {
		for _, o := range c.allAndGoing() {
			o.end(endHeld)
			o.discard()
		}
		c.shutdown(endHeld)
	})
	c.spawn(func() { c.w.awaitEnd(c.ctx, c.server.held.told, c.kill) })
	return true
}

// discard empties the buffer of an outlet that has left the bus, and sends
// nothing of what comes after that.
func (o *outlet) discard() {
	live := o.live.Load()
	if live == nil {
		return
	}
	var some [16]pubsub.Message
	for live.Len() > 0 {
		if n, err := live.NextBatch(o.ctx, some[:]); n == 0 || err != nil {
			return
		}
		clear(some[:])
	}
}
