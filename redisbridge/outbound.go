package redisbridge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/backoff"
)

const (
	takeEvents  = 64
	batchEvents = 4096
	batchBytes  = 256 << 10
)

// An outbound is the sending side of one partition. Two goroutines work in
// turn: while one waits for Redis to answer a batch, the other packs the next.
//
//	outbox ──pack──▶ batch of sealed frames ──write──▶ Redis
//	                                          window: resent from the oldest
//	                                          frame that is not answered
type outbound struct {
	*member
	partition int
	keys      partitionNames
	box       *outbox
	batches   chan []sealed // closed by pack
	finishing chan struct{} // closed by finish: send what is there, say goodbye
	finished  chan struct{} // closed by write

	// Of the goroutine of pack.
	sequence uint64 // of the last publication, dropped ones included
	written  uint64 // of the last publication of the last frame
	encoder  encoder
	items    []item
	scale    scale
	wants    func(pubsub.Message) bool // nil: everything is sent

	// Of the goroutine of write.
	scriptKnown bool
	command     func(client rueidis.Client, f *sealed, oldest bool) rueidis.Completed
	fixedArgs   [4]string
}

// A sealed is a frame that is ready to be sent, and sent again without a
// change, with the items that its answer releases. It may have no frame.
type sealed struct {
	frame    string
	buf      *[]byte // what holds frame, to be used again once it is answered
	previous uint64  // last sequence of the frame before
	last     uint64
	events   int
	gone     load
	ticket   uint64
	tries    int
}

func newOutbound(m *member, partition int) *outbound {
	w := &outbound{
		member:    m,
		partition: partition,
		keys:      namesOfPartition(m.opt.Namespace, partition, m.origin),
		box:       newOutbox(&m.opt),
		encoder:   encoder{types: m.opt.Types, codec: m.opt.Codec},
		batches:   make(chan []sealed),
		finishing: make(chan struct{}),
		finished:  make(chan struct{}),
	}
	w.command = w.publish
	if m.opt.Mode == Durable {
		w.command = w.appendToStream
		w.fixedArgs = [4]string{
			strconv.FormatInt(m.opt.RetainFrames, 10),
			millis(m.opt.Retention),
			millis(max(originKeyLife, 2*m.opt.Retention)),
			newIncarnation(),
		}
	}
	return w
}

func (w *outbound) start() {
	w.wg.Go(w.pack)
	w.wg.Go(w.write)
}

// pack makes frames of what is in the outbox until the member ends or finish
// is called. In Live it sends a mark soon after the last frame, and then as
// often as the lease needs.
func (w *outbound) pack() {
	defer close(w.batches)
	marks := time.NewTimer(0)
	defer marks.Stop()
	if w.opt.Mode == Durable {
		marks.Stop()
	}
	finishing, last := w.finishing, false
	for {
		batch := w.sealNext()
		if len(batch) > 0 {
			w.remindIn(marks, markAfter)
		} else if last && !w.box.hasQueued() {
			w.sayGoodbye()
			return
		} else {
			select {
			case <-w.box.wake:
				continue
			case <-w.box.weigh:
				continue
			case <-marks.C:
				batch = []sealed{w.mark(false)}
				w.remindIn(marks, w.opt.Lease/3)
			case <-finishing:
				finishing, last = nil, true
				continue
			case <-w.ctx.Done():
				return
			}
		}
		if !w.hand(batch) {
			return
		}
	}
}

func (w *outbound) remindIn(marks *time.Timer, d time.Duration) {
	if w.opt.Mode == Live {
		marks.Reset(d)
	}
}

// hand gives a batch to write, and weighs what is offered while write is busy.
func (w *outbound) hand(batch []sealed) bool {
	for {
		select {
		case w.batches <- batch:
			return true
		case <-w.box.weigh:
			w.box.weighGuessed(&w.scale)
		case <-w.ctx.Done():
			return false
		}
	}
}

// sayGoodbye sends a mark that ends the lease.
func (w *outbound) sayGoodbye() {
	if w.opt.Mode == Live {
		w.hand([]sealed{w.mark(true)})
	}
}

// finish has everything sent and both goroutines end.
func (w *outbound) finish() { close(w.finishing) }

// sealNext packs what is in the outbox, up to the size of a batch. It takes a
// few at a time, because publishers wait for the outbox meanwhile.
func (w *outbound) sealNext() []sealed {
	p := packer{outbound: w}
	for events, bytes := batchEvents, batchBytes; events > 0 && bytes > 0; {
		var skipped uint64
		w.box.weighGuessed(&w.scale)
		w.items, skipped = w.box.take(&w.scale, w.items[:0], takeEvents, bytes)
		for i := range w.items {
			p.add(&w.items[i])
			bytes -= w.items[i].size
		}
		events -= len(w.items)
		if skipped > 0 {
			p.close()
			w.sequence += skipped
			p.batch = append(p.batch, w.mark(false))
		}
		if len(w.items) < takeEvents {
			break
		}
	}
	p.close()
	clear(w.items[:cap(w.items)])
	return p.batch
}

// A packer packs the items of one batch into frames.
type packer struct {
	*outbound
	batch []sealed
	buf   []byte // the frame being filled; empty: none
	open  sealed // what its answer will release
}

func (p *packer) add(i *item) {
	if i.skipped > 0 {
		p.close()
		p.sequence += i.skipped
	}
	if p.wants == nil || p.wants(i.message) {
		p.place(i)
	} else {
		p.counts.filtered.Add(1)
	}
	p.open.gone.add(1, i.size)
	p.open.ticket = i.ticket
}

// place gives an item the next sequence and a place in a frame. If it cannot be
// encoded its sequence is missing, as if it had been dropped.
func (p *packer) place(i *item) {
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
		p.notes.fails("encode", err)
		p.close()
	}
	p.sequence++
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

func (p *packer) begin() {
	h := header{
		kind: kindEvents, codec: p.opt.Codec.ID(), partition: uint16(p.partition),
		first: p.sequence + 1, epoch: p.origin.Epoch, name: p.origin.Name, namespace: p.opt.Namespace,
	}
	p.open.buf = frames.Get().(*[]byte)
	p.buf = appendHeader((*p.open.buf)[:0], &h)
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
func (w *outbound) mark(closing bool) sealed {
	h := header{
		kind: kindMark, partition: uint16(w.partition), closing: closing,
		first: w.sequence + 1, epoch: w.origin.Epoch, name: w.origin.Name, namespace: w.opt.Namespace,
	}
	frame := binary.BigEndian.AppendUint32(appendHeader(nil, &h), uint32(w.opt.Lease.Milliseconds()))
	f := sealed{frame: rueidis.BinaryString(finish(frame, 0, w.sign)), previous: w.written, last: w.sequence}
	w.written = w.sequence
	return f
}

// write sends batches until pack ends.
func (w *outbound) write() {
	defer close(w.finished)
	for batch := range w.batches {
		w.deliver(batch)
	}
}

// deliver sends a batch until all of it is answered or the member ends.
func (w *outbound) deliver(batch []sealed) {
	retry := backoff.New(minBackoff, maxBackoff)
	part := "send on partition " + strconv.Itoa(w.partition)
	for len(batch) > 0 {
		began := time.Now()
		n, err := w.send(batch)
		w.acknowledge(batch[:n])
		batch = batch[n:]
		switch {
		case w.ctx.Err() != nil:
			return
		case err == nil:
			w.notes.works(part)
		case errors.Is(err, errAgain):
		default:
			w.counts.failures.Add(1)
			w.notes.fails(part, err)
			retry.Lasted(time.Since(began))
			if retry.Wait(w.ctx) != nil {
				return
			}
		}
	}
}

// errAgain says that sending can go on at once from the oldest frame that is
// not answered.
var errAgain = errors.New("out of step")

// send sends frames and returns how many of them, from the first on, are
// answered.
func (w *outbound) send(batch []sealed) (answered int, err error) {
	client, err := w.awaitLayout(w.ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(w.ctx, commandTimeout)
	defer cancel()
	commands := make([]rueidis.Completed, 0, len(batch))
	for i := range batch {
		f := &batch[i]
		if f.frame == "" {
			continue
		}
		if f.tries++; f.tries > 1 {
			w.counts.resent.Add(1)
		}
		commands = append(commands, w.command(client, f, len(commands) == 0))
	}
	results := client.DoMulti(ctx, commands...)
	for i := range batch {
		if batch[i].frame == "" {
			continue
		}
		if err := w.check(results[0]); err != nil {
			return i, err
		}
		results = results[1:]
	}
	return len(batch), nil
}

// check judges the answer to one frame.
func (w *outbound) check(r rueidis.RedisResult) error {
	n, err := r.AsInt64()
	switch {
	case hasCode(err, "NOSCRIPT"):
		w.scriptKnown = false
		return errAgain
	case err != nil:
		return err
	case w.opt.Mode == Live: // n is how many subscribers there were
		return nil
	case n < 0:
		return errAgain
	case n == 0:
		w.counts.already.Add(1)
	}
	w.scriptKnown = true
	return nil
}

// publish is the command of Live.
func (w *outbound) publish(client rueidis.Client, f *sealed, _ bool) rueidis.Completed {
	return w.link.publishing(client, w.keys.channel, f.frame)
}

// appendToStream is the command of Durable. The oldest frame that is not
// answered may come after anything; the others only after the one before them.
func (w *outbound) appendToStream(client rueidis.Client, f *sealed, oldest bool) rueidis.Completed {
	previous := strconv.FormatUint(f.previous, 10)
	if oldest {
		previous = ""
	}
	keys := []string{w.keys.stream, w.keys.origin, w.keys.meta}
	args := []string{previous, strconv.FormatUint(f.last, 10), f.frame,
		w.fixedArgs[0], w.fixedArgs[1], w.fixedArgs[2], w.fixedArgs[3]}
	if oldest && !w.scriptKnown {
		return client.B().Eval().Script(writeScript.text).Numkeys(3).Key(keys...).Arg(args...).Build()
	}
	return client.B().Evalsha().Sha1(writeScript.hash).Numkeys(3).Key(keys...).Arg(args...).Build()
}

// reuse gives the buffer of a frame back, if it was sent once: then the client,
// which has the answer, is done with it. Large ones are left to the collector.
func (f *sealed) reuse() {
	if f.tries == 1 && cap(*f.buf) <= 2*frameTarget {
		frames.Put(f.buf)
	}
	f.frame, f.buf = "", nil
}

// acknowledge counts what is answered and makes room in the outbox.
func (w *outbound) acknowledge(batch []sealed) {
	var gone load
	var ticket uint64
	for i := range batch {
		f := &batch[i]
		switch {
		case f.events > 0:
			w.counts.sentEvents.Add(uint64(f.events))
			w.counts.sentFrames.Add(1)
			w.counts.sentBytes.Add(uint64(len(f.frame)))
			f.reuse()
		case f.frame != "":
			w.counts.marks.Add(1)
		}
		gone.add(f.gone.count, f.gone.bytes)
		ticket = max(ticket, f.ticket)
	}
	if gone.count > 0 {
		w.box.release(gone, ticket)
	}
}
