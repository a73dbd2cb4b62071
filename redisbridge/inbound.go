package redisbridge

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
)

// Received is one publication of another process, or a gap, as a Reader returns
// it.
type Received struct {
	Gap *Gap // if set, this is not a publication

	Data   any
	Events map[string][]string // not to be modified
	Origin *pubsub.Origin      // shared; not to be modified
	Time   time.Time           // when its own process accepted it

	Partition int
	position  position // after it; Durable only
	size      int      // of what Data holds
}

// A sink takes what was received, in order, from one goroutine per partition.
type sink interface {
	// receive takes a publication, whose fields it may keep but not r. It waits
	// for room; an error ends the receiving.
	receive(ctx context.Context, r *Received) error

	// gap reports what is missing; in Durable, reading goes on at a position.
	gap(ctx context.Context, g Gap, to position)

	// waiting returns how many frames of a partition wait in the sink for the
	// application, but for one that is still being handed on, and when the oldest
	// was written, ms; 0 if there is none.
	waiting(partition int, but entryID) (frames, oldest int64)

	// passed tells that everything up to a position is done with, as far as
	// this sink is concerned.
	passed(partition int, p position)
}

// An inbound is the receiving side of one partition.
type inbound struct {
	*member
	partition int
	inbox     *inbox
	sink      sink
	gate      gate
	progress  progressOf // Durable only

	// Of the goroutine of run.
	origins  *origins
	up       bool        // the reader is connected
	decoded  codec.Event // the event in hand; reused
	received Received    // and what it is handed on as
	copies   copies

	known atomic.Int64 // origins.present, for Stats
}

// progressOf says how far a partition was handed on, and how far reading is
// behind.
type progressOf struct {
	mu       sync.Mutex
	first    position // where reading began
	position position

	unread Lag      // what Redis had and the reader had not read, at Lag.At
	now    int64    // what the clock of Redis showed then, ms
	held   int64    // frames that were read and are not handed on yet
	hand   *arrival // the one of them that is being handed on
}

func newInbound(m *member, partition int, s sink) *inbound {
	in := &inbound{member: m, partition: partition, inbox: newInbox(m.opt.InboxBytes), sink: s, origins: newOrigins(maxOrigins)}
	in.gate = m.gate.at(m.placeOf(partition))
	in.received.Partition = partition
	if p, known := m.opt.From.position(partition); known && p.epoch != 0 {
		in.progress.first, in.progress.position = p, p
	}
	return in
}

// run hands on what arrives until the member ends. Who is silent is looked for
// as of when that arrived which is in hand: what is behind it may be a sign of
// life.
func (b *inbound) run() {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		a, ok := b.inbox.take()
		if ok {
			if b.handle(&a) != nil {
				return
			}
			select {
			case <-ticker.C:
				b.expire(a.at())
			default:
			}
			continue
		}
		select {
		case <-b.inbox.came:
		case now := <-ticker.C:
			b.expire(now)
		case <-b.ctx.Done():
			return
		}
	}
}

func (b *inbound) handle(a *arrival) error {
	switch {
	case a.gap != nil:
		b.progress.moveTo(a.to)
		b.report(*a.gap, a.to)
	case a.state == lineUp:
		b.beat.cutOff(b.partition)
		b.up = true
		b.origins.refresh(a.at())
	case a.state == lineDown:
		b.up = false
	default:
		return b.open(a)
	}
	return nil
}

// admit lets a frame in through the gate.
func (b *inbound) admit(frame string) (o opened, err error) {
	o.header, o.payload, err = b.gate.open(frame, uint16(b.partition))
	if err == nil && o.header.kind > kindMark {
		err = errMalformed
	}
	return o, err
}

// open handles a frame, once it was let in.
func (b *inbound) open(a *arrival) (err error) {
	b.progress.takeUp(a)
	defer b.progress.handOn()
	o := a.own
	if o == nil {
		o = new(opened)
		*o, err = b.admit(a.frame)
	}
	h, payload := o.header, o.payload
	if err == nil && h.epoch == b.origin.Epoch && h.name == b.origin.Name {
		b.counts.own.Add(1)
		b.beat.cameBack(b.partition, h.stamp)
	} else if err == nil {
		err = b.foreign(a, &h, payload)
	}
	if reason, refused := err.(refusal); refused {
		b.counts.refuse(reason)
		err = nil
	}
	if err == nil {
		b.moveTo(a, allEvents)
	}
	return err
}

// foreign handles a frame of another process.
func (b *inbound) foreign(a *arrival, h *header, payload []byte) error {
	from, had, isNews, err := b.pass(a, h)
	if err != nil {
		return err
	}
	if h.kind == kindMark {
		if isNews {
			b.mark(from, h, payload)
		}
		return nil
	}
	return b.events(from, a, h, payload, had)
}

func (b *inbound) report(g Gap, to position) {
	g.Partition = b.partition
	b.counts.gap(g)
	b.sink.gap(b.ctx, g, to)
}

func (b *inbound) reportLost(g Gap) { b.report(g, position{}) }

// pass moves the account of the frame's origin over the frame, reports what is
// missing before it, and returns how many of its events were had before. A
// repetition is no news, and so no sign of life.
func (b *inbound) pass(a *arrival, h *header) (from *account, had int, isNews bool, err error) {
	now, isUnknown := a.at(), false
	if from = b.origins.find(h); from == nil {
		if !b.isFresh(a, h.stamp, now) {
			return nil, 0, false, errStale
		}
		isUnknown = true
		from = b.takeUp(h, now)
		if n := a.breach.next; n > 0 {
			from.next = min(n, h.first)
		}
	}
	next := from.next
	before, missing := from.pass(h.first, uint64(h.count))
	if a.breach.isThere && a.breach.next == 0 && (isUnknown || missing > 0) {
		b.reportLost(Gap{Reason: Rewound, Count: Unknown})
	}
	if missing > 0 {
		b.reportLost(Gap{Reason: Lost, Origin: *from.origin, From: next, To: h.first - 1, Count: int64(missing)})
	}
	isLater := b.isFresh(a, h.stamp, now) && (h.stamp > from.stamp || !b.isFresh(a, from.stamp, now))
	if isLater {
		from.stamp = h.stamp
	}
	isNews = before < uint64(h.count) || isLater
	if isNews {
		b.origins.heard(from, now)
	}
	b.known.Store(int64(b.origins.present()))
	return from, int(before), isNews, nil
}

// isFresh tells whether a stamp is near to when a frame was written, or in Live
// to now. One that is not may be of a clock that has stepped since.
func (b *inbound) isFresh(a *arrival, stamp int64, now time.Time) bool {
	if a.epoch != 0 {
		return a.isNear(stamp) && abs(a.written*1000-stamp) <= freshness.Microseconds()
	}
	return abs(b.clock.at(now)-stamp) <= freshness.Microseconds()
}

func abs(n int64) int64 { return max(n, -n) }

// takeUp opens an account.
func (b *inbound) takeUp(h *header, now time.Time) *account {
	a, forgotten := b.origins.add(h, now)
	if b.opt.Mode == Live {
		a.lease = b.opt.Lease
	}
	if forgotten != nil && !forgotten.gone {
		b.reportLost(Gap{Reason: Forgotten, Origin: *forgotten.origin, Count: Unknown})
	}
	return a
}

// mark takes note of where an origin stands. Its payload is the origin's lease
// in milliseconds.
func (b *inbound) mark(a *account, h *header, payload []byte) {
	if b.opt.Mode != Live {
		return
	}
	if len(payload) >= 4 {
		lease := time.Duration(binary.BigEndian.Uint32(payload)) * time.Millisecond
		a.lease = min(max(lease, smallestLease), largestLease)
	}
	b.origins.setGone(a, h.closing)
	b.known.Store(int64(b.origins.present()))
}

// expire gives up the accounts of origins that are not heard of any more. While
// the reader is cut off, silence says nothing.
func (b *inbound) expire(now time.Time) {
	life := 2 * freshness
	if b.opt.Mode == Durable {
		life = max(life, b.opt.Retention, originKeyLife)
	} else if !b.up {
		return
	}
	for _, a := range b.origins.expire(now, life) {
		b.reportLost(Gap{Reason: Silent, Origin: *a.origin, Count: Unknown})
	}
	b.known.Store(int64(b.origins.present()))
}

// events hands on the events of a frame but those that were had.
func (b *inbound) events(from *account, a *arrival, h *header, payload []byte, had int) error {
	b.counts.receivedFrames.Add(1)
	b.counts.receivedBytes.Add(uint64(len(a.frame)))
	b.counts.duplicates.Add(uint64(had))
	had = max(had, a.skip)
	count := int(h.count)
	c, err := b.codecs.Find(h.codec)
	if err != nil {
		b.refuse(from, h, had, count, err)
		return nil
	}
	rest := payload
	for i := range count {
		var raw []byte
		if raw, rest, err = cutEvent(rest); err != nil {
			b.refuse(from, h, max(i, had), count, err)
			return nil
		}
		if i < had {
			continue
		}
		if err := b.event(from, a, h, i, c, raw); err != nil {
			return err
		}
	}
	return nil
}

// event hands on event i of a frame.
func (b *inbound) event(from *account, a *arrival, h *header, i int, c codec.Codec, raw []byte) error {
	e, r := &b.decoded, &b.received
	*e = codec.Event{}
	r.Origin, r.position = from.origin, position{}
	err := codec.Decode(c, raw, e)
	if err == nil {
		var data []byte
		data, r.size = b.copies.apart(e.Data, len(a.frame))
		r.Data, err = b.opt.Types.Decode(e.Type, data)
	}
	if err != nil {
		b.refuse(from, h, i, i+1, err)
		return nil
	}
	r.Events, r.Time = e.Events, e.Time
	last := i+1 == int(h.count)
	if a.epoch != 0 && !a.isAstray {
		r.position = position{a.epoch, a.id, i + 1}
		if last {
			r.position.events = allEvents
		}
	}
	if err := b.sink.receive(b.ctx, r); err != nil {
		return err
	}
	b.counts.received.Add(1)
	b.moveTo(a, i+1)
	return nil
}

// refuse reports that events i to end-1 of a frame could not be decoded.
func (b *inbound) refuse(from *account, h *header, i, end int, err error) {
	if i >= end {
		return
	}
	b.counts.undecodable.Add(uint64(end - i))
	b.notes.tell("decode", err)
	first := h.first + uint64(i)
	b.reportLost(Gap{Reason: Undecodable, Origin: *from.origin, From: first, To: first + uint64(end-i) - 1, Count: int64(end - i)})
}

// moveTo takes note that the first events of an entry are done with.
func (b *inbound) moveTo(a *arrival, events int) {
	if a.epoch == 0 || a.isAstray {
		return
	}
	p := position{a.epoch, a.id, events}
	b.progress.moveTo(p)
	if events == allEvents {
		b.sink.passed(b.partition, p)
	}
}

func (p *progressOf) moveTo(to position) {
	if to.epoch == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position = to
	if p.first.epoch == 0 {
		p.first = to
	}
}

// begin returns where reading began; zero if that is not known yet.
func (p *progressOf) begin() position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

func (p *progressOf) at() position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// setUnread takes note of what Redis has told, whose clock showed now.
func (p *progressOf) setUnread(lag Lag, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unread, p.now = lag, now
}

// hold takes note that the reader has read a frame.
func (p *progressOf) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held++
	if p.unread.Entries > 0 {
		p.unread.Entries--
	}
}

func (p *progressOf) takeUp(a *arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hand = a
}

func (p *progressOf) handOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hand = nil
	p.held--
}

// lag returns how far what was handed on is behind what Redis has.
func (b *inbound) lag(now time.Time) Lag {
	if b.opt.Mode == Live {
		return Lag{}
	}
	queued := b.inbox.oldest()
	b.progress.mu.Lock()
	defer b.progress.mu.Unlock()
	p := &b.progress
	lag := p.unread
	if lag.At.IsZero() {
		return Lag{Entries: Unknown}
	}
	since := now.Sub(lag.At)
	behind := entryID{}
	oldest := queued
	if p.hand != nil {
		behind, oldest = p.hand.id, p.hand.written
	}
	waiting, first := b.sink.waiting(b.partition, behind)
	held := p.held + waiting
	if first > 0 {
		oldest = first
	}
	switch {
	case held > 0 && oldest > 0:
		lag.Time = time.Duration(max(p.now-oldest, 0))*time.Millisecond + since
	case lag.Time > 0 || since > lagIsOld:
		lag.Time += since
	}
	if since > lagIsOld {
		lag.Entries = Unknown
	} else if lag.Entries != Unknown {
		lag.Entries += held
	}
	return lag
}

// lagIsOld is when what Redis has told says nothing about now.
const lagIsOld = 3 * checkEvery
