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
}

// A sink takes what was received, in order, from one goroutine per partition.
type sink interface {
	// receive takes a publication, whose fields it may keep but not r. It waits
	// for room; an error ends the receiving.
	receive(ctx context.Context, r *Received) error
	gap(ctx context.Context, g Gap)
}

// An inbound is the receiving side of one partition.
type inbound struct {
	*member
	partition int
	inbox     *inbox
	sink      sink

	// Of the goroutine of run.
	origins  *origins
	up       bool        // the reader is connected
	decoded  codec.Event // the event in hand; reused
	received Received    // and what it is handed on as

	known atomic.Int64 // origins.len, for Stats

	mu       sync.Mutex
	first    position // where reading began; Durable only, as is
	position position // of what was handed on
}

func newInbound(m *member, partition int, s sink) *inbound {
	return &inbound{member: m, partition: partition, inbox: newInbox(m.opt.InboxBytes), sink: s, origins: newOrigins(m.opt.MaxOrigins)}
}

// admit lets a message in through the gate, for either reader. The error was
// counted.
func (b *inbound) admit(text string) (a arrival, err error) {
	h, payload, err := b.gate.open(text, uint16(b.partition))
	if err != nil {
		b.counts.refuse(err)
		return a, err
	}
	if h.kind != kindEvents && h.kind != kindMark {
		b.counts.malformed.Add(1)
		return a, errMalformed
	}
	return arrival{header: h, payload: payload, size: len(text)}, nil
}

// run hands on what arrives until the member ends.
func (b *inbound) run() {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		a, ok := b.inbox.take()
		if ok {
			if b.handle(&a) != nil {
				return
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
		b.report(*a.gap)
	case a.state == lineUp:
		b.up = true
		b.origins.refresh(time.Now())
	case a.state == lineDown:
		b.up = false
	case a.header.epoch == b.origin.Epoch && a.header.name == b.origin.Name:
		b.counts.own.Add(1)
		b.moveTo(a, allEvents)
	case a.header.kind == kindMark:
		b.mark(a)
		b.moveTo(a, allEvents)
	default:
		return b.events(a)
	}
	return nil
}

func (b *inbound) report(g Gap) {
	g.Partition = b.partition
	b.counts.gap(g)
	b.sink.gap(b.ctx, g)
}

// pass moves the account of the frame's origin over the frame, reports what is
// missing before it, and returns how many of its events were had before.
func (b *inbound) pass(h *header) (a *account, had int) {
	now := time.Now()
	if a = b.origins.find(h, now); a == nil {
		var forgotten *account
		a, forgotten = b.origins.add(h, now)
		b.known.Store(int64(b.origins.len()))
		if forgotten != nil && b.opt.Mode == Live {
			b.report(Gap{Reason: Forgotten, Origin: *forgotten.origin, Count: Unknown})
		}
		if b.opt.Mode == Live {
			a.lease = b.opt.Lease
		}
	}
	next := a.next
	before, missing := a.pass(h.first, uint64(h.count))
	if missing > 0 {
		b.report(Gap{Reason: Lost, Origin: *a.origin, From: next, To: h.first - 1, Count: int64(missing)})
	}
	return a, int(before)
}

// mark takes note of where an origin stands. Its payload is the origin's lease
// in milliseconds.
func (b *inbound) mark(m *arrival) {
	a, _ := b.pass(&m.header)
	if b.opt.Mode != Live {
		return
	}
	if len(m.payload) >= 4 {
		lease := time.Duration(binary.BigEndian.Uint32(m.payload)) * time.Millisecond
		a.lease = min(max(lease, time.Second), time.Hour)
	}
	if m.header.closing {
		b.origins.remove(*a.origin)
		b.known.Store(int64(b.origins.len()))
	}
}

// expire gives up the accounts of origins that are not heard of any more. While
// the reader is cut off, silence says nothing.
func (b *inbound) expire(now time.Time) {
	if b.opt.Mode == Live && !b.up {
		return
	}
	for _, a := range b.origins.expired(now, 2*max(b.opt.Retention, originKeyLife)) {
		if b.opt.Mode == Live {
			b.report(Gap{Reason: Silent, Origin: *a.origin, Count: Unknown})
		}
	}
	b.known.Store(int64(b.origins.len()))
}

// events hands on the events of a frame.
func (b *inbound) events(a *arrival) error {
	b.counts.receivedFrames.Add(1)
	b.counts.receivedBytes.Add(uint64(a.size))
	from, had := b.pass(&a.header)
	b.counts.duplicates.Add(uint64(had))
	had = max(had, a.skip)
	c, err := b.codecs.Find(a.header.codec)
	if err != nil {
		had = b.refuse(from, a, had, int(a.header.count), err)
	}
	rest := a.payload
	for i := range int(a.header.count) {
		var raw []byte
		if raw, rest, err = cutEvent(rest); err != nil {
			b.refuse(from, a, max(i, had), int(a.header.count), err)
			break
		}
		if i < had {
			continue
		}
		if err := b.event(from, a, i, c, raw); err != nil {
			return err
		}
	}
	b.moveTo(a, allEvents)
	return nil
}

// event hands on event i of a frame.
func (b *inbound) event(from *account, a *arrival, i int, c codec.Codec, raw []byte) error {
	e, r := &b.decoded, &b.received
	*e, *r = codec.Event{}, Received{Origin: from.origin, Partition: b.partition}
	err := codec.Decode(c, raw, e)
	if err == nil {
		r.Data, err = b.opt.Types.Decode(e.Type, e.Data)
	}
	if err != nil {
		b.refuse(from, a, i, i+1, err)
		return nil
	}
	r.Events, r.Time = e.Events, e.Time
	if a.id.n > 0 {
		r.position = position{a.incarnation, a.id, i + 1}
		if i+1 == int(a.header.count) {
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

// refuse reports that events i to end-1 of a frame could not be decoded, and
// returns end.
func (b *inbound) refuse(from *account, a *arrival, i, end int, err error) int {
	if i < end {
		b.counts.undecodable.Add(uint64(end - i))
		b.notes.fails("decode", err)
		first := a.header.first + uint64(i)
		b.report(Gap{Reason: Undecodable, Origin: *from.origin, From: first, To: first + uint64(end-i) - 1, Count: int64(end - i)})
	}
	return end
}

// moveTo takes note that the first events of an entry are done with.
func (b *inbound) moveTo(a *arrival, events int) {
	if a.id.n == 0 {
		return
	}
	b.mu.Lock()
	b.position = position{a.incarnation, a.id, events}
	b.mu.Unlock()
}

// begin takes note of where reading begins.
func (b *inbound) begin(p position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first, b.position = p, p
}

func (b *inbound) at() position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.position
}

func (b *inbound) start() position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first
}
