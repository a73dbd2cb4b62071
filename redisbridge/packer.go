package redisbridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	takeEvents  = 64
	batchEvents = 4096
	batchBytes  = 384 << 10
)

// A packer makes frames of what is in the outbox of a partition, and gives them
// to the writer in batches: while that waits for Redis, the packer packs the
// next.
//
//	outbox ──packer──▶ batch of sealed frames ──writer──▶ Redis
type packer struct {
	*member
	partition int
	box       *outbox
	sign      *Key          // of the partition; nil: nothing is signed
	batches   chan []sealed // closed by run
	finishing chan struct{} // closed by finish: send what is there, say goodbye

	// Of the goroutine of run.
	sequence uint64 // of the last publication, dropped ones included
	written  uint64 // of the last publication of the last frame
	stamp    int64  // of the last frame
	encoder  encoder
	items    []item
	scale    scale

	// Of the batch in hand.
	batch []sealed
	buf   []byte // the frame being filled; empty: none
	open  sealed // what its answer will release
}

// A sealed is a frame that is ready to be sent, with the items that its answer
// releases. It may have no frame.
type sealed struct {
	frame    string
	buf      *[]byte // what holds frame, to be used again once it is answered
	stamp    int64
	previous uint64 // last sequence of the frame before
	last     uint64
	events   int
	gone     load
	ticket   uint64
	tries    int
	force    bool // Redis claims to have it, and was wrong before
	dictated bool // Redis has said which stamp it must have
}

func newPacker(m *member, partition int, box *outbox) *packer {
	return &packer{
		member:    m,
		partition: partition,
		box:       box,
		sign:      m.sign.at(m.placeOf(partition)),
		encoder:   encoder{types: m.opt.Types, codec: m.opt.Codec},
		batches:   make(chan []sealed),
		finishing: make(chan struct{}),
	}
}

// run packs until the member ends or finish is called. It sends a mark soon
// after the last frame in Live, and then as often as the lease needs; in
// Durable only to prove that what is sent comes back.
func (p *packer) run() {
	defer close(p.batches)
	marks := time.NewTimer(p.firstMark())
	defer marks.Stop()
	finishing, last := p.finishing, false
	for {
		batch := p.sealNext()
		if len(batch) > 0 {
			marks.Reset(p.markAfterFrame())
		} else if last && !p.box.hasQueued() {
			p.sayGoodbye()
			return
		} else {
			select {
			case <-p.box.wake:
				continue
			case <-p.box.weigh:
				continue
			case <-marks.C:
				batch = []sealed{p.mark(false)}
				marks.Reset(p.markEvery())
			case <-finishing:
				finishing, last = nil, true
				continue
			case <-p.ctx.Done():
				return
			}
		}
		if !p.hand(batch) {
			return
		}
	}
}

func (p *packer) firstMark() time.Duration {
	if p.opt.Mode == Live {
		return 0
	}
	return p.opt.Lease
}

func (p *packer) markAfterFrame() time.Duration {
	if p.opt.Mode == Live {
		return markAfter
	}
	return p.opt.Lease
}

func (p *packer) markEvery() time.Duration {
	if p.opt.Mode == Live {
		return p.opt.Lease / 3
	}
	return p.opt.Lease
}

// hand gives a batch to the writer, and weighs what is offered while that is
// busy.
func (p *packer) hand(batch []sealed) bool {
	for {
		select {
		case p.batches <- batch:
			return true
		case <-p.box.weigh:
			p.box.weighGuessed(&p.scale)
		case <-p.ctx.Done():
			return false
		}
	}
}

// sayGoodbye sends a mark that ends the lease, and tells those who read what was
// lost of all that was sent.
func (p *packer) sayGoodbye() {
	if p.opt.Mode == Live || p.sequence > 0 {
		p.hand([]sealed{p.mark(true)})
	}
}

// finish has everything sent and run end.
func (p *packer) finish() { close(p.finishing) }

// sealNext packs what is in the outbox, up to the size of a batch. It takes a
// few at a time, because publishers wait for the outbox meanwhile.
func (p *packer) sealNext() []sealed {
	p.batch, p.buf, p.open = nil, nil, sealed{}
	for events, bytes := batchEvents, batchBytes; events > 0 && bytes > 0; {
		var skipped uint64
		p.box.weighGuessed(&p.scale)
		p.items, skipped = p.box.take(&p.scale, p.items[:0], takeEvents, bytes)
		for i := range p.items {
			p.add(&p.items[i])
			bytes -= p.items[i].size
		}
		events -= len(p.items)
		if skipped > 0 {
			p.close()
			p.sequence += skipped
			p.batch = append(p.batch, p.mark(false))
		}
		if len(p.items) < takeEvents {
			break
		}
	}
	p.close()
	clear(p.items[:cap(p.items)])
	return p.batch
}

// add gives an item the next sequence and a place in a frame. If it cannot be
// encoded its sequence is missing, as if it had been dropped.
func (p *packer) add(i *item) {
	if i.skipped > 0 {
		p.close()
		p.sequence += i.skipped
	}
	if p.open.events == frameEvents || len(p.buf) >= frameTarget {
		p.close()
	}
	err := p.encode(i)
	if errors.Is(err, errFull) {
		p.close()
		err = p.encode(i)
	}
	if err == nil {
		p.open.events++
	} else {
		p.counts.unencodable.Add(1)
		p.notes.tell("encode", err)
		p.close()
	}
	p.sequence++
	p.open.gone.add(1, i.size)
	p.open.ticket = i.ticket
}

// errFull says that an item does not fit the open frame.
var errFull = errors.New("the frame is full")

// encode appends an item to the open frame, or to a new one. On an error the
// frame is as it was.
func (p *packer) encode(i *item) error {
	if len(p.buf) == 0 {
		p.begin()
	}
	begun := len(p.buf) + eventPrefix
	buf, err := p.encoder.append(beginEvent(p.buf), i.message)
	switch {
	case err != nil:
		return err
	case len(buf) > frameTarget && p.open.events > 0:
		return errFull
	case len(buf) > p.opt.MaxFrame:
		return fmt.Errorf("%w: its frame would have %d bytes, at most %d are allowed", ErrTooLarge, len(buf), p.opt.MaxFrame)
	}
	endEvent(buf, begun)
	p.buf = buf
	return nil
}

// header returns what all frames of the partition begin with. Stamps grow, unless
// the clock was so far ahead that nobody holds them for fresh: who does not know us
// takes up no frame of the future, and who knows us takes no earlier mark for a sign
// of life as long as a later one is fresh. In Durable, where the IDs count, less is
// far.
func (p *packer) header(k kind) *header {
	now := p.clock.at(time.Now())
	far := freshness
	if p.opt.Mode == Durable {
		far = restampAfter
	}
	p.stamp++
	wasAhead := p.stamp > now+far.Microseconds()
	if p.stamp < now || wasAhead {
		p.stamp = now
	}
	p.beat.stamped(p.partition, p.stamp, wasAhead)
	return &header{kind: k, partition: uint16(p.partition), first: p.sequence + 1, stamp: p.stamp,
		epoch: p.origin.Epoch, name: p.origin.Name, namespace: p.opt.Namespace}
}

func (p *packer) begin() {
	h := p.header(kindEvents)
	h.codec = p.opt.Codec.ID()
	p.open.buf, p.open.stamp = frames.Get().(*[]byte), h.stamp
	p.buf = appendHeader((*p.open.buf)[:0], h)
}

// frames are buffers of frames that were answered.
var frames = sync.Pool{New: func() any {
	b := make([]byte, 0, frameTarget+frameTarget/4)
	return &b
}}

// close seals the open frame. Without events in it there is nothing to send,
// and its items are released when what came before is answered.
func (p *packer) close() {
	f := p.open
	if f.events > 0 {
		*f.buf = finish(p.buf, f.events, p.sign)
		f.frame = rueidis.BinaryString(*f.buf)
		f.previous, f.last = p.written, p.sequence
		p.written = f.last
	}
	if f.events > 0 || f.gone.count > 0 {
		p.batch = append(p.batch, f)
	}
	p.buf, p.open = nil, sealed{}
}

// mark makes a frame that tells where this origin stands.
func (p *packer) mark(closing bool) sealed {
	h := p.header(kindMark)
	h.closing = closing
	frame := binary.BigEndian.AppendUint32(appendHeader(nil, h), uint32(p.opt.Lease.Milliseconds()))
	f := sealed{frame: rueidis.BinaryString(finish(frame, 0, p.sign)), stamp: h.stamp, previous: p.written, last: p.sequence}
	p.written = p.sequence
	return f
}

// reuse gives the buffer of a frame back, if it was sent once: then the client,
// which has the answer, is done with it. Large ones are left to the collector.
func (f *sealed) reuse() {
	if f.tries == 1 && f.buf != nil && cap(*f.buf) <= 2*frameTarget {
		frames.Put(f.buf)
	}
	f.frame, f.buf = "", nil
}
