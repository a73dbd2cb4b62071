package redismux

import "unsafe"

// keptEvents bounds the buffer of events that is kept for reuse after a burst.
const keptEvents = 4096

// dispatch runs the callbacks. It ends when the mailbox is closed and empty.
func (m *Multiplexer) dispatch(b *mailbox) {
	var spare []event
	for {
		events, ok := b.take(spare)
		if !ok {
			return
		}
		for i := range events {
			e := &events[i]
			m.tell(e)
			if e.what == messageCame {
				b.sent(e)
			}
			*e = event{} // so that the buffer keeps nothing alive
		}
		if spare = events[:0]; cap(spare) > keptEvents {
			spare = nil
		}
	}
}

func (m *Multiplexer) tell(e *event) {
	switch e.what {
	case messageCame:
		m.tellMessage(e)
	case confirmed:
		m.tellConfirmed(e)
	case linkUp:
		m.setUp(e.link, e.epoch)
	case linkLost:
		m.tellLost(e)
	case memberJoined:
		m.tellJoined(e)
	case topicsInactive:
		m.tellInactive(e)
	}
}

// tellMessage drops what comes late from a connection whose loss was told, and
// spares members whose activation was not told yet: they came when the message
// was waiting already.
func (m *Multiplexer) tellMessage(e *event) {
	var members []*member
	m.mu.RLock()
	if t := m.topics[e.kind][e.name]; t != nil && e.link.up == e.epoch {
		members = t.members
	}
	m.mu.RUnlock()
	if len(members) == 0 {
		m.stats.unclaimed.Add(1)
		return
	}
	m.stats.messages.Add(1)
	message := bytesOf(e.message)
	for _, member := range members {
		if member.active == e.epoch && !member.left.Load() {
			member.sub.onMessage(e.channel, message)
		}
	}
}

// bytesOf returns the bytes of a message without a copy, which nobody else
// holds and nobody may modify.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func (m *Multiplexer) setUp(l *link, epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.up = epoch
}

func (m *Multiplexer) tellLost(e *event) {
	defer close(e.told)
	m.mu.Lock()
	e.link.up = 0
	var subs []*subscription
	for place := m.subscriptions.Front(); place != nil; place = place.Next() {
		if s := place.Value.(*subscription); s.onDisconnect != nil && s.wasActiveOn(e.link, e.epoch) {
			subs = append(subs, s)
		}
	}
	m.mu.Unlock()
	for _, s := range subs {
		if m.isOpen(s) {
			s.onDisconnect(e.err)
		}
	}
}

// isOpen tells whether an earlier callback, or anyone else, closed s.
func (m *Multiplexer) isOpen(s *subscription) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return s.place != nil
}

// tellConfirmed tells a topic's members at most once per connection, though one
// that is removed and added again is confirmed twice.
func (m *Multiplexer) tellConfirmed(e *event) {
	var active [batchSize][]*member
	m.mu.Lock()
	for i, t := range e.topics {
		active[i] = m.confirmedLocked(t, e)
	}
	m.mu.Unlock()
	for _, members := range active[:len(e.topics)] {
		for _, member := range members {
			tellActivation(member, e.epoch)
		}
	}
}

// confirmedLocked returns the members of a topic that has become active. The
// caller holds m.mu.
func (m *Multiplexer) confirmedLocked(t *topic, e *event) []*member {
	if t.epoch != e.epoch || e.link.up != e.epoch {
		return nil
	}
	t.awaiting--
	if !t.sent || t.awaiting > 0 {
		m.forgetLocked(t)
		return nil
	}
	t.live, t.moves = e.epoch, 0
	return t.members
}

func (m *Multiplexer) tellJoined(e *event) {
	m.mu.RLock()
	active := m.isLiveLocked(e.member.topic) && e.member.topic.live == e.epoch
	m.mu.RUnlock()
	if active {
		tellActivation(e.member, e.epoch)
	}
}

func tellActivation(member *member, epoch uint64) {
	if member.left.Load() || member.active == epoch {
		return
	}
	member.active = epoch
	if tell := member.sub.onActivation; tell != nil {
		tell(member.topic.name)
	}
}

func (m *Multiplexer) tellInactive(e *event) {
	for _, t := range e.topics {
		m.mu.RLock()
		members := t.members
		m.mu.RUnlock()
		for _, member := range members {
			if !member.left.Load() {
				member.active = 0
				member.sub.onError(t.name, e.err)
			}
		}
	}
}
