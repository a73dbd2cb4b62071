package redismux

import (
	"container/list"
	"context"
	"sync"
)

// A Multiplexer carries subscriptions over as few connections as it can. Its
// methods may be called from any goroutine, callbacks excepted for Stop and
// Restart. Make one with New or NewWithOpts, do not copy it.
//
// Its goroutines, each waited for by Stop:
//
//	New, Restart ─┬─ dispatch           runs all callbacks
//	              └─ link.run           one per connection: makes it, sends commands, makes it anew
//	                  ├─ link.run       of the nodes that own sharded channels
//	                  └─ conn.close     may take a second when nobody answers
//	rueidis reads each connection on a goroutine of its own, and puts what comes into the mailbox
type Multiplexer struct {
	options Options
	clients clients
	stats   counters

	life sync.Mutex // held by Stop and Restart
	run  *run       // written with life and mu held; nil while stopped

	mu            sync.RWMutex
	subscriptions list.List // of *subscription, in order of creation
	topics        [kinds]map[string]*topic
	created       uint64           // topics so far
	epochs        uint64           // connections so far
	base          *link            // channels and patterns
	home          *link            // sharded channels whose node is not known; nil before the first
	nodes         map[string]*link // sharded channels, by the address of their node
}

// A run is what lives from New or Restart to Stop.
type run struct {
	ctx    context.Context
	stop   context.CancelCauseFunc
	links  sync.WaitGroup // link.run and conn.close
	inbox  *mailbox
	idle   chan struct{} // closed by the dispatcher when it ends
	closed bool          // under Multiplexer.mu: no further link may start
}

// New returns a running Multiplexer with default options.
func New(factory Factory) *Multiplexer { return NewWithOpts(factory, Options{}) }

// NewWithOpts returns a running Multiplexer. It does not wait for the first
// connection; a server that is down is dialed until it is there.
func NewWithOpts(factory Factory, options Options) *Multiplexer {
	if factory == nil {
		panic("redismux: factory is nil")
	}
	m := &Multiplexer{
		options: options.withDefaults(),
		clients: clients{factory: factory},
		nodes:   make(map[string]*link),
	}
	for k := range m.topics {
		m.topics[k] = make(map[string]*topic)
	}
	m.base = newLink(m, "", false)
	m.start()
	return m
}

// Restart starts a stopped Multiplexer with the subscriptions it has. The only
// error is ErrRunning.
func (m *Multiplexer) Restart() error {
	m.life.Lock()
	defer m.life.Unlock()
	if m.run != nil {
		return ErrRunning
	}
	m.start()
	return nil
}

// start is called with m.life held, or by the only one who knows m.
func (m *Multiplexer) start() {
	r := &run{inbox: newMailbox(m.options.BufferBytes), idle: make(chan struct{})}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	go func() {
		defer close(r.idle)
		m.dispatch(r.inbox)
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = r
	m.startLocked(m.base)
	if m.home != nil {
		m.startLocked(m.home)
	}
}

// startLocked starts a link unless the Multiplexer is stopped. The caller holds
// m.mu.
func (m *Multiplexer) startLocked(l *link) bool {
	r := m.run
	if r == nil || r.closed {
		return false
	}
	r.links.Go(func() { l.run(r) })
	return true
}

// Stop closes the connections, waits until the callbacks have got what came
// through them, and ends all goroutines. Stopping again does nothing.
func (m *Multiplexer) Stop() {
	m.life.Lock()
	defer m.life.Unlock()
	r := m.run
	if r == nil {
		return
	}
	m.mu.Lock()
	r.closed = true
	m.mu.Unlock()
	r.stop(ErrStopped)
	r.links.Wait()
	m.clients.close()
	r.inbox.close()
	<-r.idle
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = nil
}

// joinLocked makes a subscription a listener of a name, unless it is one. The
// caller holds m.mu.
func (m *Multiplexer) joinLocked(s *subscription, name string) {
	t := m.topics[s.kind][name]
	switch {
	case t == nil: // then s is no listener either
		t = m.newTopicLocked(s.kind, name)
	case s.members[name] != nil:
		return
	}
	member := t.join(s)
	s.members[name] = member
	if m.isLiveLocked(t) {
		m.postLocked(event{what: memberJoined, member: member, epoch: t.live})
		return
	}
	t.refused = false // permissions may have changed
	t.link.queueLocked(t)
}

func (m *Multiplexer) newTopicLocked(k kind, name string) *topic {
	m.created++
	t := &topic{kind: k, name: name, number: m.created, link: m.base}
	if k == shards {
		t.link = m.homeLocked()
	}
	m.topics[k][name] = t
	return t
}

// homeLocked returns the link of sharded channels whose node is not known.
func (m *Multiplexer) homeLocked() *link {
	if m.home == nil {
		m.home = newLink(m, "", true)
		m.startLocked(m.home)
	}
	return m.home
}

// isLiveLocked tells whether the dispatcher has told, and not taken back, that
// t is active. The caller holds m.mu.
func (m *Multiplexer) isLiveLocked(t *topic) bool {
	return t.live != 0 && t.live == t.link.up
}

func (m *Multiplexer) leaveLocked(member *member) {
	t := member.topic
	t.leave(member)
	if !t.isWanted() {
		t.link.queueLocked(t)
	}
}

// forgetLocked drops a topic that nobody wants and no connection has. The
// caller holds m.mu.
func (m *Multiplexer) forgetLocked(t *topic) {
	if !t.isWanted() && !t.sent && t.awaiting == 0 && !t.queued && m.topics[t.kind][t.name] == t {
		delete(m.topics[t.kind], t.name)
	}
}

// postLocked puts an event that a method of a subscription causes. Without a
// dispatcher nothing is active, so there is nothing to tell. The caller holds
// m.mu.
func (m *Multiplexer) postLocked(e event) {
	if m.run != nil {
		m.run.inbox.put(e)
	}
}
