package redismux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/harkbus/pubsub/internal/backoff"
	"github.com/redis/rueidis"
)

// A link keeps one connection up and brings the topics on it to where they are
// wanted.
type link struct {
	mux     *Multiplexer
	addr    string // the cluster node to connect to; "" for any
	sharded bool
	wake    chan struct{} // a token when queue may not be empty

	// guarded by mux.mu
	conn    *conn    // nil while there is none
	queue   []*topic // those that may not be where they are wanted, in the order of the first change
	delayed []*topic // those that the server could not take just now
	up      uint64   // the connection that the dispatcher tells of; 0 for none
}

func newLink(m *Multiplexer, addr string, sharded bool) *link {
	return &link{mux: m, addr: addr, sharded: sharded, wake: make(chan struct{}, 1)}
}

// queueLocked makes the link look at a topic. The caller holds mux.mu.
func (l *link) queueLocked(t *topic) {
	if t.queued {
		return
	}
	t.queued = true
	l.queue = append(l.queue, t)
	if len(l.queue) == 1 && l.conn != nil {
		l.notify()
	}
}

func (l *link) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run connects until the Multiplexer stops, or until the link of a cluster node
// finds that node gone.
func (l *link) run(r *run) {
	retry := backoff.New(l.mux.options.MinBackOff, l.mux.options.MaxBackOff)
	for r.ctx.Err() == nil {
		began := time.Now()
		c, err := l.dial(r)
		if err == nil {
			l.mux.options.Logger.Info("redismux: connected", "node", c.addr)
			l.begin(c)
			err = l.serve(r, c)
			told := l.end(c, err)
			r.links.Go(c.dedicated.Close)
			if errors.Is(err, ErrOverflow) {
				<-told // else the next connection would overflow as well
			}
			retry.Lasted(time.Since(began))
		} else {
			l.mux.stats.dialErrors.Add(1)
			l.mux.options.OnDialError(err)
		}
		if r.ctx.Err() == nil {
			l.mux.options.Logger.Warn("redismux: no connection", "node", l.addr, "error", err)
		}
		if c == nil && l.addr != "" {
			break
		}
		_ = retry.Wait(r.ctx)
	}
	if l.addr != "" {
		l.retire()
	}
}

// begin makes c the connection of the link: every topic is to be sent anew.
func (l *link) begin(c *conn) {
	m := l.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epochs++
	c.epoch = m.epochs
	l.conn, l.queue, l.delayed = c, nil, nil
	for _, t := range l.topicsLocked() {
		t.reset()
		l.queueLocked(t)
	}
	c.inbox.put(event{what: linkUp, link: l, epoch: c.epoch})
}

// end makes c the past. The channel is closed when all subscriptions know.
func (l *link) end(c *conn, cause error) (told <-chan struct{}) {
	m := l.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	l.conn = nil
	m.stats.disconnects.Add(1)
	done := make(chan struct{})
	c.inbox.put(event{what: linkLost, link: l, epoch: c.epoch, err: cause, told: done})
	return done
}

// topicsLocked returns what the link carries, in the order of creation, and
// forgets what nobody wants any more. The caller holds mux.mu.
func (l *link) topicsLocked() []*topic {
	var topics []*topic
	for k := range l.mux.topics {
		for _, t := range l.mux.topics[k] {
			if t.link == l {
				topics = append(topics, t)
			}
		}
	}
	slices.SortFunc(topics, func(a, b *topic) int { return int(a.number) - int(b.number) })
	return slices.DeleteFunc(topics, func(t *topic) bool {
		if t.isWanted() {
			return false
		}
		t.reset()
		l.mux.forgetLocked(t)
		return true
	})
}

// retire gives the topics of a node that is gone back to the home link, which
// learns from the other nodes where they are now.
func (l *link) retire() {
	m := l.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.nodes, l.addr)
	home := m.homeLocked()
	for _, t := range l.topicsLocked() {
		t.reset()
		home.takeLocked(t)
	}
}

// takeLocked makes l carry a topic that was redirected. One that is sent to and
// fro is asked for with delays. The caller holds mux.mu.
func (l *link) takeLocked(t *topic) {
	t.link, t.live = l, 0
	if t.moves++; t.moves > patientMoves {
		l.delayLocked(t)
		return
	}
	l.queueLocked(t)
}

// patientMoves is how many redirections of a topic are followed at once: to the
// new owner of a slot, and back when it does not know yet.
const patientMoves = 3

func (l *link) delayLocked(t *topic) {
	l.delayed = append(l.delayed, t)
	l.notify()
}

// undelay queues what was delayed.
func (l *link) undelay() {
	l.mux.mu.Lock()
	defer l.mux.mu.Unlock()
	for _, t := range l.delayed {
		if t.link == l {
			l.queueLocked(t)
		}
	}
	l.delayed = nil
}

func (l *link) hasDelayed() bool {
	l.mux.mu.RLock()
	defer l.mux.mu.RUnlock()
	return len(l.delayed) > 0
}

// serve works off the queue until the connection is lost, and returns why.
func (l *link) serve(r *run, c *conn) error {
	again := backoff.New(l.mux.options.MinBackOff, l.mux.options.MaxBackOff)
	var delay <-chan time.Time // of l.delayed; nil while there are none
	var delayed time.Time
	silence := time.NewTicker(l.mux.options.PingTimeout/2 + 1)
	defer silence.Stop()
	heard := c.heard.Load()
	for {
		if err := l.flush(r.ctx, c); err != nil {
			return causeOf(r.ctx, err)
		}
		if delay == nil && l.hasDelayed() {
			again.Lasted(time.Since(delayed))
			delayed = time.Now()
			delay = time.After(again.Next())
		}
		select {
		case <-l.wake:
		case <-delay:
			delay = nil
			l.undelay()
		case <-silence.C:
			if now := c.heard.Load(); now != heard {
				heard = now
			} else if err := c.ping(r.ctx); err != nil {
				return causeOf(r.ctx, err)
			}
		case <-c.overflow:
			return ErrOverflow
		case err := <-c.lost:
			return causeOf(r.ctx, err)
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
}

// causeOf prefers that we stopped to what followed from it.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		return errors.New("redismux: connection lost")
	}
	return fmt.Errorf("redismux: connection lost: %w", err)
}

// A batch is one command: names of one kind, to subscribe or to unsubscribe.
type batch struct {
	kind      kind
	subscribe bool
	topics    []*topic
}

// pipelined bounds how many commands are sent before their replies are waited
// for. rueidis' keep-alive waits behind them.
const pipelined = 32

// flush sends what the queue asks for, until it asks for nothing.
func (l *link) flush(ctx context.Context, c *conn) error {
	for {
		batches := l.takeBatches()
		if len(batches) == 0 {
			return nil
		}
		for len(batches) > 0 {
			var err error
			if batches, err = l.send(ctx, c, batches); err != nil {
				return err
			}
		}
	}
}

// takeBatches turns the head of the queue into commands, in its order.
func (l *link) takeBatches() []batch {
	m := l.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	var batches []batch
	for len(l.queue) > 0 {
		t := l.queue[0]
		if t.link == l && t.isWanted() != t.sent && !t.refused {
			if batches = appendTo(batches, t, len(l.queue)-1); len(batches) > pipelined {
				return batches[:pipelined] // t stays in the queue
			}
			t.sent = !t.sent
			if t.sent {
				t.awaiting++
				t.epoch = l.conn.epoch
			} else {
				t.live = 0
			}
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		t.queued = false
		m.forgetLocked(t)
	}
	return batches
}

// appendTo puts t into the last batch if that does the same to the same kind
// and has room, else into a new one. So many topics are waiting behind it.
func appendTo(batches []batch, t *topic, waiting int) []batch {
	if n := len(batches) - 1; n >= 0 {
		b := &batches[n]
		if b.kind == t.kind && b.subscribe != t.sent && len(b.topics) < commands[t.kind].atOnce {
			b.topics = append(b.topics, t)
			return batches
		}
	}
	room := make([]*topic, 1, min(commands[t.kind].atOnce, 1+waiting))
	room[0] = t
	return append(batches, batch{t.kind, !t.sent, room})
}

// send pipelines commands and returns those to send instead of refused ones.
func (l *link) send(ctx context.Context, c *conn, batches []batch) ([]batch, error) {
	built := make([]rueidis.Completed, len(batches))
	for i, b := range batches {
		built[i] = b.build(c.dedicated.B())
	}
	l.mux.stats.commands.Add(uint64(len(built)))
	c.expect(batches)
	var again []batch
	for i, result := range c.do(ctx, built) {
		err := result.Error()
		if err == nil {
			continue
		}
		refusal, ok := rueidis.IsRedisErr(err)
		if !ok {
			return nil, err
		}
		if batches[i].subscribe {
			again = append(again, l.refused(c, batches[i], refusal)...)
		} else {
			l.mux.options.Logger.Warn("redismux: unsubscribe refused", "error", err)
		}
	}
	return again, nil
}

func (b batch) build(builder rueidis.Builder) rueidis.Completed {
	names := make([]string, len(b.topics))
	for i, t := range b.topics {
		names[i] = t.name
	}
	if b.subscribe {
		return commands[b.kind].subscribe(builder, names)
	}
	return commands[b.kind].unsubscribe(builder, names)
}

// refused returns what to send instead of a SUBSCRIBE that the server refused:
// it refuses all names for one that the user may not have, so that one is
// looked for by halves.
func (l *link) refused(c *conn, b batch, refusal *rueidis.RedisError) []batch {
	m := l.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	var still []*topic
	for _, t := range b.topics {
		t.awaiting--
		t.sent = false
		if t.isWanted() && !t.queued {
			still = append(still, t)
		} else {
			m.forgetLocked(t)
		}
	}
	owner := movedTo(refusal.Error(), c.addr)
	switch {
	case len(still) == 0:
	case owner != "" && l.sharded:
		for _, t := range still {
			m.nodeLocked(owner).takeLocked(t)
		}
	case isTransient(refusal):
		m.options.Logger.Warn("redismux: subscribe postponed", "names", len(still), "error", refusal)
		for _, t := range still {
			l.delayLocked(t)
		}
	case len(b.topics) > 1 && dependsOnName(refusal):
		return halvesLocked(b.kind, still)
	default:
		l.refuseLocked(c, still, refusal)
	}
	return nil
}

// movedTo returns the node that a refusal by the node at addr names,
// "MOVED 3999 127.0.0.1:6381", and "" for any other text. A host without
// brackets may be an IPv6 address; one that is empty is the host of addr.
// Without addr the client knows no cluster, and so cannot follow.
func movedTo(refusal, addr string) string {
	fields := strings.Fields(refusal)
	if len(fields) != 3 || fields[0] != "MOVED" || addr == "" {
		return ""
	}
	colon := strings.LastIndexByte(fields[2], ':')
	if colon < 0 {
		return ""
	}
	host, port := strings.Trim(fields[2][:colon], "[]"), fields[2][colon+1:]
	if host == "" {
		var err error
		if host, _, err = net.SplitHostPort(addr); err != nil {
			return ""
		}
	}
	owner := net.JoinHostPort(host, port)
	if _, _, err := net.SplitHostPort(owner); err != nil {
		return ""
	}
	return owner
}

// isTransient tells an error that passes, such as CLUSTERDOWN, LOADING or BUSY.
// Asking again costs no new connection.
func isTransient(refusal *rueidis.RedisError) bool {
	code, _, _ := strings.Cut(refusal.Error(), " ")
	return code != "NOPERM" && code != "ERR" && code != "MOVED"
}

// dependsOnName tells "no permissions to access a channel" from "no permissions
// to run the 'subscribe' command", which no choice of names helps against.
func dependsOnName(refusal *rueidis.RedisError) bool {
	return strings.HasPrefix(refusal.Error(), "NOPERM") && !strings.Contains(refusal.Error(), " command")
}

// halvesLocked sends the topics again, in two commands. The caller holds
// mux.mu.
func halvesLocked(k kind, topics []*topic) []batch {
	for _, t := range topics {
		t.sent = true
		t.awaiting++
	}
	var halves []batch
	for half := range slices.Chunk(topics, (len(topics)+1)/2) {
		halves = append(halves, batch{k, true, half})
	}
	return halves
}

// refuseLocked gives topics up until the next connection, or until they are
// added again. The caller holds mux.mu.
func (l *link) refuseLocked(c *conn, topics []*topic, refusal *rueidis.RedisError) {
	for _, t := range topics {
		t.refused = true
		c.inbox.put(event{what: topicsInactive, topics: []*topic{t}, err: fmt.Errorf("redismux: subscribe to %q: %w", t.name, refusal)})
	}
	l.mux.stats.refused.Add(uint64(len(topics)))
}

// nodeLocked returns the link of the sharded channels that the node at addr
// owns; while stopping, the one that will look for them again. The caller holds
// m.mu.
func (m *Multiplexer) nodeLocked(addr string) *link {
	if l := m.nodes[addr]; l != nil {
		return l
	}
	if h := m.home; h.conn != nil && h.conn.addr == addr {
		return h
	}
	l := newLink(m, addr, true)
	if !m.startLocked(l) {
		return m.home
	}
	m.nodes[addr] = l
	return l
}
