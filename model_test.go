package pubsub_test

import (
	"slices"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/service"
)

// A model is a server as its promises read: slices, no goroutines, no index.
// Each of its methods leaves it as the server is once nothing moves any more.
type model struct {
	capacity int // of the queue
	life     life
	now      time.Duration
	seq      uint64 // last given

	subs      []*modelSub    // alive, oldest first
	queue     []*publication // accepted
	waiting   []*publication // not accepted: their publishers wait
	observers []*modelObserver

	published, matched, dropped, cut uint64
}

type life int

const (
	fresh life = iota
	running
	stopped
)

type publication struct {
	seq    uint64 // 0: not accepted
	data   int
	events map[string][]string
	err    error // why it was refused
}

type modelSub struct {
	client, text string
	matches      func(events map[string][]string) bool
	capacity     int
	policy       pubsub.Overflow
	timeout      time.Duration // 0: none

	after    uint64 // gets publications above it
	buffer   []*publication
	pending  *publication // waits for room
	deadline time.Duration
	readers  int            // that wait
	handed   []*publication // to them

	matched, dropped uint64
	reason           error
}

type modelObserver struct{ seen []uint64 }

// A publication that is not accepted at once waits.
func (m *model) publish(p *publication) {
	if m.life == stopped {
		p.err = pubsub.ErrServerStopped
		return
	}
	m.waiting = append(m.waiting, p)
	m.settle()
}

// giveUp is a waiting publisher whose context is done.
func (m *model) giveUp(p *publication, err error) {
	p.err = err
	m.waiting = slices.DeleteFunc(m.waiting, func(w *publication) bool { return w == p })
}

// settle dispatches until nothing is left to do or a delivery waits.
func (m *model) settle() {
	m.admit()
	for m.life == running && !m.blocked() {
		if len(m.queue) == 0 && len(m.waiting) > 0 { // a queue without capacity
			m.accept()
		}
		if len(m.queue) == 0 {
			return
		}
		p := m.queue[0]
		m.queue = m.queue[1:]
		m.dispatch(p)
		m.admit()
	}
}

// admit accepts those who wait while there is room.
func (m *model) admit() {
	for len(m.waiting) > 0 && len(m.queue) < m.capacity {
		m.accept()
	}
}

func (m *model) accept() {
	p := m.waiting[0]
	m.waiting = m.waiting[1:]
	m.seq++
	p.seq = m.seq
	m.queue = append(m.queue, p)
}

func (m *model) blocked() bool {
	return slices.ContainsFunc(m.subs, func(s *modelSub) bool { return s.pending != nil })
}

// quiet tells whether a publication would be dispatched at once.
func (m *model) quiet() bool {
	return m.life == running && !m.blocked() && len(m.queue)+len(m.waiting) == 0
}

func (m *model) dispatch(p *publication) {
	m.published++
	for _, o := range m.observers {
		o.seen = append(o.seen, p.seq)
	}
	for _, s := range slices.Clone(m.subs) {
		if p.seq > s.after && s.matches(p.events) {
			m.offer(s, p)
		}
	}
}

func (m *model) offer(s *modelSub, p *publication) {
	m.matched++
	s.matched++
	switch {
	case s.readers > 0:
		s.readers--
		s.handed = append(s.handed, p)
	case len(s.buffer) < s.capacity:
		s.buffer = append(s.buffer, p)
	case s.policy == pubsub.Block && m.life == running:
		s.pending, s.deadline = p, m.now+s.timeout
	case s.policy == pubsub.DropOldest:
		s.buffer = append(s.buffer[1:], p)
		m.drop(s)
	case s.policy == pubsub.Cancel:
		m.drop(s)
		m.cutOff(s)
	default: // DropNewest, and Block while stopping
		m.drop(s)
	}
}

func (m *model) drop(s *modelSub) {
	m.dropped++
	s.dropped++
}

func (m *model) cutOff(s *modelSub) {
	m.cut++
	m.end(s, pubsub.ErrOutOfCapacity)
}

func (m *model) end(s *modelSub, reason error) {
	m.subs = slices.DeleteFunc(m.subs, func(o *modelSub) bool { return o == s })
	if s.pending != nil {
		s.pending = nil
		m.drop(s)
	}
	s.reason = reason
	s.readers = 0
}

func (m *model) find(client, text string) *modelSub {
	i := slices.IndexFunc(m.subs, func(s *modelSub) bool { return s.client == client && s.text == text })
	if i < 0 {
		return nil
	}
	return m.subs[i]
}

// subscribe enters s, or returns what the server returns.
func (m *model) subscribe(s *modelSub) error {
	switch {
	case m.life == stopped:
		return pubsub.ErrServerStopped
	case m.find(s.client, s.text) != nil:
		return pubsub.ErrAlreadySubscribed
	}
	s.after = m.seq
	m.subs = append(m.subs, s)
	return nil
}

// unsubscribe ends the subscriptions given, nil if there are none.
func (m *model) unsubscribe(subs ...*modelSub) error {
	switch {
	case m.life == stopped:
		return pubsub.ErrServerStopped
	case len(subs) == 0 || subs[0] == nil || subs[0].reason != nil:
		return pubsub.ErrSubscriptionNotFound
	}
	for _, s := range subs {
		m.end(s, pubsub.ErrUnsubscribed)
	}
	m.settle()
	return nil
}

func (m *model) of(client string) (subs []*modelSub) {
	for _, s := range m.subs {
		if s.client == client {
			subs = append(subs, s)
		}
	}
	return subs
}

func (m *model) clients() int {
	names := map[string]bool{}
	for _, s := range m.subs {
		names[s.client] = true
	}
	return len(names)
}

// read takes the next message. It fails if there is none: then a reader waits,
// unless the subscription has ended.
func (m *model) read(s *modelSub) (p *publication, ok bool) {
	switch {
	case len(s.buffer) > 0:
		p, s.buffer = s.buffer[0], s.buffer[1:]
		if s.pending != nil {
			s.buffer, s.pending = append(s.buffer, s.pending), nil
		}
	case s.pending != nil: // without a buffer
		p, s.pending = s.pending, nil
	default:
		return nil, false
	}
	m.settle()
	return p, true
}

// advance lets time pass.
func (m *model) advance(d time.Duration) {
	for end := m.now + d; ; {
		first := end + 1
		for _, s := range m.subs {
			if s.pending != nil && s.timeout > 0 {
				first = min(first, s.deadline)
			}
		}
		if first > end {
			m.now = end
			return
		}
		m.now = first
		m.expire()
	}
}

// expire cuts those whose message has waited too long.
func (m *model) expire() {
	for _, s := range slices.Clone(m.subs) {
		if s.pending != nil && s.timeout > 0 && s.deadline == m.now {
			s.pending = nil
			m.drop(s)
			m.cutOff(s)
		}
	}
	m.settle()
}

func (m *model) start() error {
	switch m.life {
	case running:
		return service.ErrAlreadyStarted
	case stopped:
		return service.ErrAlreadyStopped
	}
	m.life = running
	m.settle()
	return nil
}

func (m *model) stop() error {
	switch m.life {
	case fresh:
		return service.ErrNotStarted
	case stopped:
		return service.ErrAlreadyStopped
	}
	m.life = stopped
	for _, p := range m.waiting {
		p.err = pubsub.ErrServerStopped
	}
	m.waiting = nil
	for _, s := range m.subs {
		if s.pending != nil {
			s.pending = nil
			m.drop(s)
		}
	}
	for _, p := range m.queue {
		m.dispatch(p)
	}
	m.queue = nil
	for _, s := range slices.Clone(m.subs) {
		m.end(s, pubsub.ErrServerStopped)
	}
	return nil
}

func (m *model) reset() bool {
	if m.life != stopped {
		return false
	}
	m.life = fresh
	m.published, m.matched, m.dropped, m.cut = 0, 0, 0, 0
	return true
}
