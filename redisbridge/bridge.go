package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/usercode"
)

// A Bridge joins a Server to those of other processes; see the package comment
// for what it promises. Its methods may be called from any goroutine, and from
// callbacks.
type Bridge struct {
	*member
	server   *pubsub.Server
	requests *requests
	detach   func() // ends observing
	sending  []*outbound
	getting  []*inbound

	bus      string        // when its namespace was laid out; "" until that is known; of attached
	reserved pubsub.Origin // by its address: what Publish has room for
	measure  measure       // of the observer, which runs once at a time
	seen     *advance      // what the observer has seen

	closing sync.Once
	closed  chan struct{} // closed when Close is done
	result  error         // of Close
}

// An outbound is the sending side of one partition.
type outbound struct {
	box    *outbox
	packer *packer
	writer *writer
}

// Attach joins server to a namespace. It returns at once, with an error only
// for Options that are wrong and ErrAttached; the bridge connects in the
// background. See Ready.
//
// A server has one bridge to a bus: to a namespace, in a mode, of a Redis. If the
// other one shows only after connecting, because its address was written in another
// way, the second ends with ErrAttached.
//
// Publications that are accepted from now on are sent; those of others are
// published on server as they arrive.
func Attach(server *pubsub.Server, options Options) (*Bridge, error) {
	if server == nil {
		return nil, errors.New("redisbridge: Attach without a server")
	}
	m, err := newMember(options)
	if err != nil {
		return nil, err
	}
	b := &Bridge{member: m, server: server, closed: make(chan struct{}), detach: func() {}, seen: newAdvance()}
	if err := attached.add(b); err != nil {
		m.stop()
		return nil, err
	}
	b.ended = b.hasEnded
	b.requests = newRequests(m)
	if !m.opt.ReceiveOnly {
		b.startSending()
	}
	if !m.opt.SendOnly {
		b.getting = m.startReceiving(func(int) sink { return &serverSink{Bridge: b, pace: pace{server: server}} })
	}
	m.start()
	m.crew.Go(b.watchServer)
	m.crew.Go(b.watchTwins)
	return b, nil
}

func (b *Bridge) startSending() {
	for p := range b.opt.Partitions {
		box := newOutbox(&b.opt)
		w := &outbound{box, newPacker(b.member, p, box), newWriter(b.member, p, box)}
		b.sending = append(b.sending, w)
		b.crew.Go(w.packer.run)
		b.crew.Go(func() { w.writer.run(w.packer.batches) })
		if b.opt.Mode == Durable {
			b.crew.Go(w.writer.keep)
		}
	}
	b.detach = b.server.Observe(b.observe)
	b.seen.reach(b.server.Sequence()) // what was accepted before may have been dispatched, unseen
}

// hasEnded lets others attach and nothing more be sent.
func (b *Bridge) hasEnded(err error) {
	attached.remove(b)
	for _, w := range b.sending {
		if errors.Is(err, pubsub.ErrServerStopped) { // which dispatches what it has accepted
			w.box.shut(err)
		} else {
			w.box.refuse(err)
		}
	}
}

// startReceiving starts the receiving side of all partitions.
func (m *member) startReceiving(sinkOf func(partition int) sink) (getting []*inbound) {
	m.expect(m.opt.Partitions)
	for p := range m.opt.Partitions {
		in := newInbound(m, p, sinkOf(p))
		getting = append(getting, in)
		m.crew.Go(in.run)
		if m.opt.Mode == Durable {
			m.crew.Go(newStreamReader(in).run)
		} else {
			m.keepSubscribed(newLiveReader(in))
		}
	}
	return getting
}

// watchServer ends the bridge with its server. What was accepted is still sent,
// until Close.
func (b *Bridge) watchServer() {
	select {
	case <-b.server.Quit():
		b.serverStopped()
	case <-b.ctx.Done():
	}
}

func (b *Bridge) serverStopped() {
	err := fmt.Errorf("redisbridge: %w", pubsub.ErrServerStopped)
	if b.end(err) {
		b.notes.ended(err)
	}
}

// observe offers a publication to the outbox of its partition. It runs on the
// publisher's path.
func (b *Bridge) observe(m pubsub.Message) {
	hasRoom := m.CameWith(&b.reserved)
	if hasRoom || m.Origin() == (pubsub.Origin{}) {
		w := b.outboundFor(m)
		if w.box.offer(m, &b.measure, hasRoom) {
			b.notes.dropped(w.packer.partition)
		}
	}
	b.seen.reach(m.Sequence())
}

// outboundFor returns the partition of a publication.
func (b *Bridge) outboundFor(m pubsub.Message) *outbound {
	if len(b.sending) == 1 {
		return b.sending[0]
	}
	return b.sending[b.partitionOf(b.opt.Route(m))]
}

// partitionOf returns the partition of a routing key: FNV-1a modulo their
// number, so that other programs can find it.
func (b *Bridge) partitionOf(key string) int {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return int(h % uint32(b.opt.Partitions))
}

// Publish waits until the outbox has room and then publishes on the server, so
// that the publication is not dropped on this side. It returns nil once the
// server has accepted it; Flush waits until Redis has it. The events belong to
// the server then.
//
// On an error nothing was published: that of ctx, ErrClosed once Close was
// called, pubsub.ErrServerStopped, ErrTooLarge, or why data cannot be encoded.
func (b *Bridge) Publish(ctx context.Context, data any, events map[string][]string) error {
	if b.opt.ReceiveOnly {
		return errors.New("redisbridge: Publish on a bridge that is ReceiveOnly")
	}
	w := b.outboundFor(pubsub.NewMessage(data, events))
	size, err := b.check(data, events)
	if err != nil {
		return err
	}
	if err := w.box.reserve(ctx, size); err != nil {
		return err
	}
	_, err = b.server.PublishWithArgs(ctx, pubsub.PublishArgs{Data: data, Events: events, Origin: &b.reserved})
	if err != nil {
		w.box.unreserve(size)
	}
	if errors.Is(err, pubsub.ErrServerStopped) {
		b.serverStopped()
		return b.err()
	}
	return err
}

// Flush waits until Redis has acknowledged all publications that the server
// accepted before, as far as they were not dropped. It returns the error of
// ctx or why the bridge ended.
func (b *Bridge) Flush(ctx context.Context) error {
	if len(b.sending) == 0 {
		return b.err()
	}
	if err := b.seen.await(ctx, b.done, b.server.Sequence()); err != nil {
		return b.endedOr(err)
	}
	for _, w := range b.sending {
		select {
		case <-w.box.flushed():
		case <-b.done:
			return b.err()
		case <-ctx.Done():
			return fmt.Errorf("redisbridge: flush: %w%s", context.Cause(ctx), b.notes.lastText())
		}
	}
	return b.err()
}

func (b *Bridge) endedOr(err error) error {
	if ended := b.err(); ended != nil {
		return ended
	}
	return err
}

// Ready waits until the bridge has connected for the first time and would miss
// nothing that others send from then on. It returns the error of ctx, with the
// last failure, or why the bridge ended.
func (b *Bridge) Ready(ctx context.Context) error { return b.awaitReady(ctx) }

// Announce returns at once: what others publish is sent here whatever the
// server's subscriptions ask for. It returns why the bridge ended, if it has.
func (b *Bridge) Announce(context.Context) error { return b.err() }

// Done is closed when the bridge has ended: by Close, or for the reason that
// Err returns.
func (b *Bridge) Done() <-chan struct{} { return b.done }

// Err returns why the bridge ended: ErrClosed after Close, a *LayoutError,
// ErrAttached, or pubsub.ErrServerStopped. It is nil while it runs.
func (b *Bridge) Err() error { return b.err() }

// Origin returns how other processes see publications of this one.
func (b *Bridge) Origin() pubsub.Origin { return b.origin }

// Cursor returns up to where publications of others were published on the
// server. It is zero in Live, and in Durable for a bridge that begins at Now
// and was not ready yet; whoever resumes at a zero Cursor begins with the first
// there is, so that nothing is missed.
func (b *Bridge) Cursor() Cursor { return cursorOf(b.getting) }

func cursorOf(getting []*inbound) (c Cursor) {
	for _, in := range getting {
		c.positions = append(c.positions, in.progress.at())
	}
	if c.IsZero() {
		return Cursor{}
	}
	return c
}

// Close ends the bridge and detaches it from its server; see Shutdown in the
// package comment. It returns an error if publications were left that Redis did
// not acknowledge, or the server did not dispatch in time. A second Close
// returns the same. Under an observer or a query of the server, which
// dispatches nothing meanwhile, Close does not wait for that.
func (b *Bridge) Close() error {
	b.crew.call(func() {
		b.closing.Do(func() {
			defer close(b.closed)
			b.result = b.shutDown()
		})
		<-b.closed
	})
	return b.result
}

func (b *Bridge) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), b.opt.CloseTimeout)
	defer cancel()
	for _, w := range b.sending {
		w.box.shut(ErrClosed)
	}
	queued := b.awaitDispatched(ctx)
	b.detach()
	for _, w := range b.sending {
		w.packer.finish()
	}
	b.awaitFinished(ctx)
	b.stop()
	left := 0
	for _, w := range b.sending {
		left += w.box.left()
	}
	if left > 0 || queued > 0 {
		return fmt.Errorf("redisbridge: closed with %d publications that Redis did not acknowledge and %d that the server did not dispatch%s", left, queued, b.notes.lastText())
	}
	return nil
}

// awaitDispatched waits until what the server has accepted is in the outboxes,
// and returns how much is not.
func (b *Bridge) awaitDispatched(ctx context.Context) (queued int) {
	if len(b.sending) == 0 {
		return 0
	}
	if !usercode.Calls() {
		for _, w := range b.sending { // who has reserved may not have published yet
			select {
			case <-w.box.used:
			case <-b.ctx.Done():
			case <-ctx.Done():
			}
		}
		last := b.server.Sequence()
		if b.seen.await(ctx, b.ctx.Done(), last) != nil {
			queued = int(last - b.seen.at.Load())
		}
	}
	promised := 0
	for _, w := range b.sending {
		promised += w.box.promised()
	}
	return max(queued, promised)
}

// awaitFinished waits until everything is sent or ctx ends, and for the goodbye
// alone not even that.
func (b *Bridge) awaitFinished(ctx context.Context) {
	if !slices.ContainsFunc(b.sending, func(w *outbound) bool { return w.box.left() > 0 }) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, goodbyeTimeout)
		defer cancel()
	}
	for _, w := range b.sending {
		select {
		case <-w.writer.finished:
		case <-b.ctx.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// Stats returns what the bridge has done and holds.
func (b *Bridge) Stats() Stats {
	s := b.stats(b.getting)
	for _, w := range b.sending {
		w.box.addTo(&s)
	}
	return s
}

func (m *member) stats(getting []*inbound) Stats {
	s := m.counts.stats()
	var failing bool
	s.LastError, failing = m.notes.lastError()
	s.Connected = m.link.isUp() && !failing
	switch err := m.err(); err {
	case nil:
	case ErrClosed:
		s.Connected = false
	default:
		s.Connected, s.LastError = false, err
	}
	s.Heartbeat = m.beat.heartbeat()
	now := time.Now()
	for i, in := range getting {
		s.Inbox += in.inbox.len()
		s.Origins += int(in.known.Load())
		s.Lag.add(in.lag(now), i == 0)
	}
	return s
}

// A serverSink publishes on the local server what was received.
type serverSink struct {
	*Bridge
	pace pace
}

func (s *serverSink) receive(ctx context.Context, r *Received) error {
	if s.opt.Mode == Durable {
		s.pace.wait(ctx)
	}
	_, err := s.server.PublishWithArgs(ctx, pubsub.PublishArgs{Data: r.Data, Events: r.Events, Origin: r.Origin, Time: r.Time})
	if errors.Is(err, pubsub.ErrServerStopped) {
		s.serverStopped()
	}
	return err
}

func (s *serverSink) gap(_ context.Context, g Gap, _ position) {
	s.crew.call(func() { s.opt.OnGap(g) })
}

func (s *serverSink) passed(int, position) {}

func (s *serverSink) waiting(int, entryID) (frames, oldest int64) { return 0, 0 }

// An advance tells how far the observer has come. It never goes back.
type advance struct {
	at      atomic.Uint64
	waiting atomic.Int32

	mu    sync.Mutex
	moved chan struct{} // closed and replaced at each step while somebody waits
}

func newAdvance() *advance { return &advance{moved: make(chan struct{})} }

func (p *advance) reach(sequence uint64) {
	for at := p.at.Load(); at < sequence && !p.at.CompareAndSwap(at, sequence); {
		at = p.at.Load()
	}
	if p.waiting.Load() == 0 {
		return
	}
	p.mu.Lock()
	close(p.moved)
	p.moved = make(chan struct{})
	p.mu.Unlock()
}

func (p *advance) await(ctx context.Context, done <-chan struct{}, sequence uint64) error {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	for {
		p.mu.Lock()
		moved := p.moved
		p.mu.Unlock()
		if p.at.Load() >= sequence {
			return nil
		}
		select {
		case <-moved:
		case <-done:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("redisbridge: flush: %w", context.Cause(ctx))
		}
	}
}
