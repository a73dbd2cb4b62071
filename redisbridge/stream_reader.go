package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/redis/rueidis"
)

const (
	readMost  = 32        // entries that a read brings
	readBytes = 512 << 10 // bytes after which it brings no more

	lookCost     = 250 * time.Nanosecond  // for each byte that a look has cost Redis, the next one waits so long
	suspectEvery = 100 * time.Millisecond // how often an entry that seems too old is looked into
)

// A streamReader feeds an inbound from its stream.
//
//	floor ─────── anchors ──── at ───── from ──▶ what is read next
//	where it      places seen  the      the last entry of
//	began         to be there  last     anybody
//	                           of ours
//
// What is read is always after an ID. Entries of strangers move from alone.
// Every second, and on each new connection, the reader compares itself with the
// stream: after FLUSHALL or a failover XREAD after an ID beyond the end would
// wait until the end of time, without an error.
type streamReader struct {
	*inbound
	keys    partitionNames
	isReady func()
	part    string

	begun    bool
	isFirst  bool      // it began FromFirst, and has read nothing of ours: nothing is missing before that
	epoch    uint64    // of the stream
	floor    entryID   // what is not after it was there before we began
	at       entryID   // the last entry that was taken; at first, floor
	isRead   bool      // at was read
	from     entryID   // where the next read begins
	anchored bool      // since the last look
	anchors  []entryID // values of at that were there at a look, oldest first
	restarts int
	resume   position // a frame that was read in part
	passed   int64    // entries ever added, up to from; -1 if unknown
	isBehind bool     // there may be more to read
	caughtUp int64    // what is read next was not there yet, ms by the clock of Redis

	addr      string        // where a MOVED said that the slot is
	looked    time.Time     // when it was compared last
	now       int64         // what the clock of Redis showed then, ms
	rest      time.Duration // until it is compared again, beyond the usual
	connected bool
}

func newStreamReader(b *inbound) *streamReader {
	return &streamReader{
		inbound: b,
		keys:    namesOfPartition(b.opt.Namespace, b.partition, b.origin),
		isReady: sync.OnceFunc(b.partReady),
		part:    "receive on partition " + strconv.Itoa(b.partition),
		passed:  -1,
	}
}

// run reads until the member ends.
func (r *streamReader) run() {
	r.try(r.part, func(ctx context.Context) (bool, error) {
		client, err := r.awaitLayout(ctx)
		if err != nil {
			return false, err
		}
		err = r.serve(ctx, client)
		r.addr = movedTo(err)
		return false, err
	})
}

// serve is the life of one connection.
func (r *streamReader) serve(ctx context.Context, client rueidis.Client) error {
	conn := r.link.dedicate(client, r.addr)
	defer conn.close()
	defer context.AfterFunc(ctx, conn.close)() // a read that waits does not look at ctx
	if err := r.look(ctx, conn, r.isIdle()); err != nil {
		return err
	}
	if r.connected {
		r.counts.reconnects.Add(1)
	}
	r.connected = true
	r.notes.works(r.part)
	r.isReady()
	for {
		if err := r.read(ctx, conn); err != nil {
			return err
		}
		if time.Since(r.looked) >= checkEvery+r.rest {
			if err := r.look(ctx, conn, r.isIdle()); err != nil {
				return err
			}
		}
	}
}

// read takes entries. It waits for one, though not for long, and then asks for
// what else is there, until that is all.
func (r *streamReader) read(ctx context.Context, conn line) error {
	began := r.clockNow()
	entries, err := r.fetch(ctx, conn)
	if err != nil {
		return err
	}
	r.isBehind = len(entries) > 0
	if !r.isBehind {
		r.caughtUp = began
	}
	for i := range entries {
		e, err := parseEntry(&entries[i])
		entries[i] = rueidis.RedisMessage{} // the frame alone is held, while it waits for room
		if err != nil {
			return err
		}
		if err := r.take(ctx, conn, e); errors.Is(err, errRestarted) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// fetch brings the next entries. One that is waited for comes as it is, however
// large; of those that are there already, only frames of ours, and one after the
// other until it is enough: somebody may have put in thirty of any size.
//
// A read is not marked as one that blocks: then the client would not ask for
// signs of life meanwhile.
func (r *streamReader) fetch(ctx context.Context, conn line) ([]rueidis.RedisMessage, error) {
	if r.isBehind {
		return readScript.run(ctx, conn, []string{r.keys.stream}, r.from.String(), strconv.Itoa(readMost), strconv.Itoa(readBytes),
			strconv.Itoa(r.opt.MaxFrame+macSize)).ToArray()
	}
	reply := conn.Do(ctx, conn.B().Arbitrary("XREAD", "COUNT", "1", "BLOCK", millis(blockTime), "STREAMS").
		Keys(r.keys.stream).Args(r.from.String()).Build())
	if rueidis.IsRedisNil(reply.Error()) {
		return nil, nil
	}
	return entriesOf(reply)
}

var errReply = errors.New("a reply of an unexpected form")

// entriesOf takes the entries out of a reply of XREAD for one stream: a map in
// RESP3, an array of pairs in RESP2.
func entriesOf(reply rueidis.RedisResult) ([]rueidis.RedisMessage, error) {
	m, err := reply.ToMessage()
	if err != nil {
		return nil, err
	}
	if m.IsMap() {
		streams, err := m.AsMap()
		for _, entries := range streams {
			return entries.ToArray()
		}
		return nil, err
	}
	streams, err := m.ToArray()
	if err != nil || len(streams) != 1 {
		return nil, errors.Join(errReply, err)
	}
	pair, err := streams[0].ToArray()
	if err != nil || len(pair) != 2 {
		return nil, errors.Join(errReply, err)
	}
	return pair[1].ToArray()
}

// An entry is an entry of the stream. What is not of ours has no frame.
type entry struct {
	id       entryID
	frame    string
	previous entryID // the entry of ours that was written before; zero if unknown
	breach   breach

	isTooLarge bool // only the beginning of its frame was brought
}

// A breach says that publications of an origin are missing before its frame, for
// those that do not know the origin.
type breach struct {
	isThere bool
	next    uint64 // the sequence that should have come; 0: Redis has lost what it acknowledged, or may have
}

func parseEntry(m *rueidis.RedisMessage) (e entry, err error) {
	pair, err := m.ToArray()
	if err != nil || len(pair) != 2 {
		return e, errors.Join(errReply, err)
	}
	s, err := pair[0].ToString()
	if err != nil {
		return e, err
	}
	var ok bool
	if e.id, ok = parseEntryID(s); !ok {
		return e, fmt.Errorf("%w: entry ID %q", errReply, s)
	}
	values, err := pair[1].ToArray()
	if err != nil || len(values) > 6 { // there may be a million
		return e, err
	}
	fields, err := pair[1].AsStrSlice()
	switch {
	case err != nil:
		return e, err
	case len(fields) == 3: // see read.lua
		e.frame, e.isTooLarge = fields[1], true
		return e, nil
	case len(fields) != 4 && len(fields) != 6, fields[0] != "f", fields[2] != "p":
		return e, nil
	}
	e.frame = fields[1]
	if len(fields) == 6 && fields[4] == "n" {
		e.breach.isThere = true
		e.breach.next, _ = strconv.ParseUint(fields[5], 10, 64)
	}
	if e.previous, ok = parseEntryID(fields[3]); !ok || !e.id.isAfter(e.previous) {
		e.previous = entryID{}
	}
	return e, nil
}

// errRestarted says that reading goes on elsewhere.
var errRestarted = errors.New("restarted")

// take puts one entry into the inbox. What is missing before it is reported
// first; what somebody else wrote is passed over.
func (r *streamReader) take(ctx context.Context, conn line, e entry) error {
	if !e.id.isAfter(r.from) {
		return nil
	}
	own, err := r.admit(e.frame)
	if e.isTooLarge {
		err = errOversized
	}
	if err == nil && r.isSuspect(&e) {
		if err := r.lookInto(ctx, conn); err != nil {
			return err
		}
	}
	missing := e.previous.isAfter(r.from) && !r.isFirst
	r.from = e.id
	if r.passed >= 0 {
		r.passed++
	}
	if err != nil {
		r.counts.refuse(err.(refusal))
		if err == errOversized && r.gate.addresses(e.frame, uint16(r.partition)) {
			return r.tell(ctx, Gap{Reason: Undecodable, Count: Unknown})
		}
		return nil
	}
	if missing {
		if err := r.tell(ctx, Gap{Reason: Trimmed, Count: Unknown}); err != nil {
			return err
		}
	}
	a := arrival{frame: e.frame, own: &own, id: e.id, epoch: r.epoch, breach: e.breach, written: max(e.id.millis(), r.caughtUp)}
	a.isAstray = !a.isNear(own.header.stamp)
	if r.resume.id == e.id {
		a.skip = r.resume.events
	}
	r.progress.hold()
	if err := r.put(ctx, conn, a); err != nil {
		return err
	}
	if a.isAstray {
		return nil
	}
	r.at, r.isRead, r.isFirst = e.id, true, false
	if !r.anchored {
		r.anchored = true
		r.drop(e.id)
	}
	return nil
}

// isSuspect tells whether an entry does not know of the one before it, or is
// older than it can be: the stream has lost something, the clock of Redis has
// stepped back, or a stranger has copied an entry.
func (r *streamReader) isSuspect(e *entry) bool {
	isLost := r.wasThere() && e.previous != (entryID{}) && r.at.isAfter(e.previous)
	isOld := r.caughtUp-e.id.millis() > freshness.Milliseconds() && time.Since(r.looked) > suspectEvery
	return isLost || isOld
}

// lookInto looks at the stream because of a suspect entry.
func (r *streamReader) lookInto(ctx context.Context, conn line) error {
	if r.wasThere() {
		r.drop(r.at)
	}
	restarts := r.restarts
	if err := r.look(ctx, conn, true); err != nil {
		return err
	}
	if r.restarts != restarts {
		return errRestarted
	}
	return nil
}

// wasThere tells whether at is an entry that was seen: it was read, or a look has
// shown it.
func (r *streamReader) wasThere() bool {
	n := len(r.anchors)
	return r.isRead || n > 0 && r.anchors[n-1] == r.at
}

// put waits for room in the inbox. Whoever is slow wants to know how far reading
// is behind, so that is measured every second of it. An error of that is left to
// the next read.
func (r *streamReader) put(ctx context.Context, conn line, a arrival) error {
	if r.inbox.offer(a) {
		return nil
	}
	for {
		second, cancel := context.WithTimeout(ctx, checkEvery+r.rest)
		err := r.inbox.put(second, a)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if state, err := r.ask(ctx, conn, false); err == nil {
			r.progress.setUnread(r.lagAt(&state), state.now)
		}
	}
}

// clockNow is what the clock of Redis shows, in ms.
func (r *streamReader) clockNow() int64 { return r.now + time.Since(r.looked).Milliseconds() }

// tell reports a gap, after which reading goes on where it is.
func (r *streamReader) tell(ctx context.Context, g Gap) error {
	return r.inbox.put(ctx, arrival{gap: &g, to: position{r.epoch, r.at, allEvents}})
}

// A streamState is what a reader compares itself with.
type streamState struct {
	isSame  bool // nothing has changed; then no more is known than now
	epoch   uint64
	last    entryID // the last ID ever given out
	first   entryID // of the oldest entry; zero if there is none
	deleted entryID // the greatest deleted by hand; zero if unknown
	latest  entryID // last, unless that is a stranger's, of the future
	isThere bool    // the place of the reader
	anchor  int     // which of its anchors is there, 1 for the latest; 0: none
	added   int64   // entries ever added; -1 if unknown
	length  int64
	now     int64 // ms
}

// isIdle tells whether the reader has nothing to ask for but whether the places
// that it knows are still there.
func (r *streamReader) isIdle() bool {
	return !r.isBehind && r.passed >= 0 && r.from.millis() < r.clockNow()+freshness.Milliseconds()
}

// look compares the reader with the stream; if brief, only its places, as long
// as those are there.
func (r *streamReader) look(ctx context.Context, conn line, brief bool) error {
	if !r.begun {
		state, err := r.ask(ctx, conn, false)
		if err != nil {
			return err
		}
		r.begin(&state)
	}
	state, err := r.ask(ctx, conn, brief)
	if err != nil {
		return err
	}
	before := r.now
	r.looked, r.now, r.anchored = time.Now(), state.now, false
	if state.isSame {
		r.caughtUp = min(r.caughtUp, state.now)
		r.drop(r.at)
		if !r.isBehind {
			r.progress.setUnread(Lag{At: time.Now()}, state.now)
		}
		return nil
	}
	if err := r.resolve(ctx, &state, before); err != nil {
		return err
	}
	if !state.last.isAfter(r.from) {
		r.passed, r.caughtUp = state.added, state.now
	}
	r.progress.setUnread(r.lagAt(&state), state.now)
	return nil
}

// ask brings what a reader compares itself with. After an answer that cost Redis
// much it does so less often: what has made it dear may be there for long.
func (r *streamReader) ask(ctx context.Context, conn line, brief bool) (s streamState, err error) {
	extent, epoch := "", ""
	if brief {
		extent = "brief"
	}
	if r.epoch > 0 {
		epoch = epochText(r.epoch)
	}
	args := []string{millis(r.opt.keyLife()), extent, epoch, r.at.String()}
	for _, id := range slices.Backward(r.anchors) {
		args = append(args, id.String())
	}
	reply, err := lookScript.run(ctx, conn, []string{r.keys.stream, r.keys.last, r.keys.epoch}, args...).ToArray()
	if err != nil {
		return s, err
	}
	r.rest = 0
	if len(reply) == 1 {
		s.isSame = true
		s.now, err = reply[0].AsInt64()
		return s, err
	}
	if len(reply) != 11 {
		return s, errReply
	}
	var text [5]string
	for i := range text {
		if text[i], err = reply[i].ToString(); err != nil {
			return s, err
		}
	}
	var numbers [6]int64
	for i := range numbers {
		if numbers[i], err = reply[len(text)+i].AsInt64(); err != nil {
			return s, err
		}
	}
	var ok bool
	if s.epoch, ok = parseEpoch(text[0]); text[0] == "" {
		s.epoch = r.epoch
	} else if !ok {
		return s, errReply
	}
	s.last, _ = parseEntryID(text[1])
	s.first, _ = parseEntryID(text[2])
	s.deleted, _ = parseEntryID(text[3])
	s.latest, _ = parseEntryID(text[4])
	s.isThere, s.anchor = numbers[0] == 1, int(numbers[1])
	s.added, s.length, s.now = numbers[2], numbers[3], numbers[4]
	r.rest = time.Duration(numbers[5]) * lookCost
	return s, nil
}

// begin fixes where reading begins.
func (r *streamReader) begin(s *streamState) {
	r.begun = true
	start, known := r.opt.From.position(r.partition)
	switch {
	case r.opt.From.kind == startFirst && s.length > 0:
		start = position{s.epoch, s.first.before(), allEvents}
		r.isFirst = true
		r.passed = max(s.added-s.length, -1)
	case !known: // or the first, and there is none
		start = position{s.epoch, s.latest, allEvents}
		r.caughtUp = s.now
	case start.epoch == 0: // the first there is, or a time
		start.epoch, start.id = s.epoch, earliest(start.id, s.last)
		known = false
	}
	r.epoch, r.at, r.from, r.floor = start.epoch, start.id, start.id, start.id
	if known && start.id.mayBeAnEntry() { // as whoever saved the cursor says
		r.anchors = []entryID{start.id}
	}
	if start.events != allEvents {
		r.resume, r.from = start, start.id.before()
		r.floor = r.from
	}
	if start.id == (entryID{}) {
		r.passed = max(s.added-s.length, -1)
	}
	r.progress.moveTo(start)
}

// resolve acts on what a look has shown. An anchor that is there, or was trimmed
// away, proves that the stream is still the one it was; at alone does not, for
// it may be the first entry of another. The look before this one was at a time
// of the clock of Redis.
func (r *streamReader) resolve(ctx context.Context, s *streamState, before int64) error {
	r.caughtUp = min(r.caughtUp, s.now) // the clock may have stepped back
	if s.epoch != r.epoch && s.anchor == 0 {
		r.epoch, r.caughtUp = s.epoch, min(max(r.caughtUp, before), s.now) // the other one was there then
		return r.restart(ctx, entryID{}, Gap{Reason: Reset, Count: Unknown})
	}
	n := len(r.anchors)
	switch {
	case (n == 0 || s.anchor == 1 || s.hasPassed(r.anchors[n-1])) && (s.isThere || s.hasPassed(r.at) || !r.isRead && !r.at.isAfter(s.last)):
		if s.isThere {
			r.drop(r.at)
		}
		if r.from.isAfter(s.last) { // a stranger's entry of the future is gone
			r.from = r.at
		}
		return nil
	case s.anchor > 0:
		return r.restart(ctx, r.anchors[n-s.anchor], Gap{Reason: Rewound, Count: Unknown})
	}
	r.anchors = nil // none is there, not even where reading began
	return r.restart(ctx, earliest(r.floor, s.last), Gap{Reason: Rewound, Count: Unknown})
}

// hasPassed tells whether a place that is not there was trimmed away or deleted
// by hand.
func (s *streamState) hasPassed(id entryID) bool {
	return !id.isAfter(s.last) && (s.length == 0 || s.first.isAfter(id) || !id.isAfter(s.deleted))
}

// restart goes back to an anchor, or to where none is. What was handed on after
// it is known by the sequences of its origins.
func (r *streamReader) restart(ctx context.Context, to entryID, g Gap) error {
	r.at, r.from, r.isRead, r.resume, r.passed = to, to, false, position{}, -1
	r.restarts++
	r.anchors = r.anchors[:slices.Index(r.anchors, to)+1]
	if g.Reason == Reset {
		r.floor = to
	}
	r.floor = earliest(r.floor, to)
	return r.tell(ctx, g)
}

// maxAnchors bounds the places that a reader remembers: the more the older they
// are, the farther they are from one another.
const maxAnchors = 32

// drop remembers a place, once.
func (r *streamReader) drop(anchor entryID) {
	if n := len(r.anchors); n > 0 && r.anchors[n-1] == anchor {
		return
	}
	r.anchors = append(r.anchors, anchor)
	if len(r.anchors) <= maxAnchors {
		return
	}
	kept := r.anchors[:0]
	for i, id := range r.anchors {
		if i >= maxAnchors/2 || i%2 == 0 {
			kept = append(kept, id)
		}
	}
	r.anchors = kept
}

// lagAt returns how far reading is behind, as Redis has just told.
func (r *streamReader) lagAt(s *streamState) (lag Lag) {
	lag.At = time.Now()
	if !s.last.isAfter(r.from) || s.length == 0 {
		return lag
	}
	next := max(latest(r.from, s.first).millis(), r.caughtUp) // it was written later
	lag.Time = time.Duration(max(s.now-next, 0)) * time.Millisecond
	lag.Entries = Unknown
	if r.passed >= 0 && s.added >= 0 {
		lag.Entries = max(s.added-r.passed, 0)
	} else if s.first.isAfter(r.from) {
		lag.Entries = s.length
	}
	return lag
}

func earliest(a, b entryID) entryID {
	if b.isAfter(a) {
		return a
	}
	return b
}

func latest(a, b entryID) entryID {
	if b.isAfter(a) {
		return b
	}
	return a
}

// textOf returns b as a string without a copy. Nobody may write to b any more.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
