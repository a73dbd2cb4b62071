package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// A Bridge joins a Server to those of other processes; see the package comment
// for what it promises. Its methods may be called from any goroutine.
type Bridge struct {
	*member
	server  *pubsub.Server
	detach  func() // ends observing
	sending []*outbound
	getting []*inbound

	reserved pubsub.Origin // by its address: what Publish has room for
	measure  measure       // of the observer, which runs once at a time
	seen     progress      // what the observer has seen

	closing sync.Once
	closed  chan struct{} // closed when Close is done
	result  error         // of Close
}

// Attach joins server to a namespace. It returns at once, with an error only
// for Options that are wrong; the bridge connects in the background. See Ready.
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
	b := &Bridge{member: m, server: server, closed: make(chan struct{}), detach: func() {}}
	b.seen.begin(server.Sequence())
	m.requests = newRequests(m)
	if m.opt.Mode == Live {
		b.addControl()
	}
	if !m.opt.ReceiveOnly {
		b.startSending()
	}
	if !m.opt.SendOnly {
		b.getting = m.startReceiving(serverSink{b})
	}
	m.start()
	return b, nil
}

// addControl has what the server's subscriptions ask for announced, and what
// others ask for learned.
func (b *Bridge) addControl() {
	filters := !b.opt.ReceiveOnly && !b.opt.SendAll
	if b.opt.SendOnly && !filters {
		return
	}
	c := newControl(b.member)
	c.answered = b.requests.answer
	if filters {
		c.view = newView()
	}
	if !b.opt.SendOnly {
		c.ask = b.interests
		c.changes = b.server.SubscriptionChanges
		c.lapsed = func() { reportLapse(b.getting) }
	}
	b.control = c
}

// interests returns what this process asks for; it is not whole if that is
// everything.
func (b *Bridge) interests() (queries []*query.Query, changes uint64, whole bool) {
	if b.opt.ReceiveAll {
		return nil, 0, false
	}
	return b.server.Interests(b.opt.MaxInterests)
}

// reportLapse reports that this process may have been sent nothing for a while.
func reportLapse(getting []*inbound) {
	for _, in := range getting {
		in.inbox.offer(arrival{gap: &Gap{Reason: Unannounced, Count: Unknown}})
	}
}

func (b *Bridge) startSending() {
	for p := range b.opt.Partitions {
		w := newOutbound(b.member, p)
		if b.control != nil && b.control.view != nil {
			w.wants = b.control.view.wants
		}
		b.sending = append(b.sending, w)
		w.start()
	}
	b.detach = b.server.Observe(b.observe)
}

// startReceiving starts the receiving side of all partitions.
func (m *member) startReceiving(s sink) (getting []*inbound) {
	m.expect(m.opt.Partitions)
	for p := range m.opt.Partitions {
		in := newInbound(m, p, s)
		getting = append(getting, in)
		m.wg.Go(in.run)
		if m.opt.Mode == Durable {
			m.wg.Go(newStreamReader(in).run)
		} else {
			m.wg.Go(newLiveReader(in).run)
		}
	}
	return getting
}

// observe offers a publication to the outbox of its partition. It runs on the
// publisher's path.
func (b *Bridge) observe(m pubsub.Message) {
	hasRoom := m.CameWith(&b.reserved)
	if hasRoom || m.Origin() == (pubsub.Origin{}) {
		w := b.outboundFor(m)
		if w.box.offer(m, &b.measure, hasRoom) {
			b.notes.dropped(w.partition)
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
// On an error nothing was published: that of ctx, ErrClosed,
// pubsub.ErrServerStopped, ErrTooLarge, or why data cannot be encoded.
func (b *Bridge) Publish(ctx context.Context, data any, events map[string][]string) error {
	if b.opt.ReceiveOnly {
		return errors.New("redisbridge: Publish on a bridge that is ReceiveOnly")
	}
	m := pubsub.NewMessage(data, events)
	w := b.outboundFor(m)
	size, err := b.check(m)
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

// Announce waits until all processes know what the server's subscriptions ask
// for now: what they publish after that, and what matches, is sent here. Others
// learn it soon without it, too. In Durable, everything is written, and there is
// nothing to wait for.
func (b *Bridge) Announce(ctx context.Context) error {
	if b.control == nil || b.control.ask == nil {
		return b.err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.ctx, func() { cancel(b.err()) })()
	return b.endedOr(b.control.awaitSeen(ctx))
}

// Done is closed when the bridge has ended: by Close, or for the reason that
// Err returns.
func (b *Bridge) Done() <-chan struct{} { return b.done }

// Err returns why the bridge ended: ErrClosed after Close, a *LayoutError, or
// pubsub.ErrServerStopped. It is nil while it runs.
func (b *Bridge) Err() error { return b.err() }

// Origin returns how other processes see publications of this one.
func (b *Bridge) Origin() pubsub.Origin { return b.origin }

// Cursor returns up to where publications of others were published on the
// server. It is zero in Live, and before the bridge is ready.
func (b *Bridge) Cursor() Cursor { return cursorOf(b.getting) }

func cursorOf(getting []*inbound) (c Cursor) {
	for _, in := range getting {
		p := in.at()
		if p.incarnation == "" {
			return Cursor{}
		}
		c.positions = append(c.positions, p)
	}
	return c
}

// Close detaches the bridge from its server and ends it; see Shutdown in the
// package comment. It returns an error if publications were left that Redis
// did not acknowledge. A second Close returns the same.
func (b *Bridge) Close() error {
	b.closing.Do(func() {
		defer close(b.closed)
		b.result = b.shutDown()
	})
	<-b.closed
	return b.result
}

func (b *Bridge) shutDown() error {
	b.detach()
	for _, w := range b.sending {
		w.finish()
	}
	b.awaitFinished()
	b.stop()
	left := 0
	for _, w := range b.sending {
		left += w.box.close()
	}
	if left > 0 {
		return fmt.Errorf("redisbridge: closed with %d publications that Redis did not acknowledge%s", left, b.notes.lastText())
	}
	return nil
}

// awaitFinished waits until everything is sent, for CloseTimeout at most, and
// for the goodbye alone not even that.
func (b *Bridge) awaitFinished() {
	timeout := min(b.opt.CloseTimeout, goodbyeTimeout)
	for _, w := range b.sending {
		if !w.box.isEmpty() {
			timeout = b.opt.CloseTimeout
		}
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for _, w := range b.sending {
		select {
		case <-w.finished:
		case <-b.done:
			return
		case <-timer.C:
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
	if m.control != nil {
		m.control.addTo(&s.Interest)
	}
	for _, in := range getting {
		s.Inbox += in.inbox.len()
		s.Origins += int(in.known.Load())
	}
	return s
}

// A serverSink publishes on the local server what was received.
type serverSink struct{ *Bridge }

func (s serverSink) receive(ctx context.Context, r *Received) error {
	_, err := s.server.PublishWithArgs(ctx, pubsub.PublishArgs{Data: r.Data, Events: r.Events, Origin: r.Origin, Time: r.Time})
	if errors.Is(err, pubsub.ErrServerStopped) {
		s.fail(fmt.Errorf("redisbridge: %w", err))
	}
	return err
}

func (s serverSink) gap(_ context.Context, g Gap) { s.opt.OnGap(g) }

// progress tells how far the observer has come.
type progress struct {
	at      atomic.Uint64
	waiting atomic.Int32

	mu    sync.Mutex
	moved chan struct{} // closed and replaced at each step while somebody waits
}

func (p *progress) begin(sequence uint64) {
	p.at.Store(sequence)
	p.moved = make(chan struct{})
}

func (p *progress) reach(sequence uint64) {
	p.at.Store(sequence)
	if p.waiting.Load() == 0 {
		return
	}
	p.mu.Lock()
	close(p.moved)
	p.moved = make(chan struct{})
	p.mu.Unlock()
}

func (p *progress) await(ctx context.Context, done <-chan struct{}, sequence uint64) error {
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
