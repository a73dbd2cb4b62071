package redismux

import "sync/atomic"

type counters struct {
	dials, dialErrors, disconnects, commands, refused atomic.Uint64
	messages, unclaimed, dropped                      atomic.Uint64
}

// Stats is a snapshot. The counters run from New on and survive Stop.
type Stats struct {
	Connected     bool // the connection of channels and patterns stands
	Connections   int  // subscribed connections, those of sharded channels among them
	Subscriptions int  // not closed
	Channels      int  // distinct names
	Patterns      int  // distinct patterns, one per prefix of promises among them
	Sharded       int  // distinct names of sharded channels
	Pending       int  // bytes that wait for callbacks, in the measure of Options.BufferBytes

	Dials       uint64 // attempts to connect
	DialErrors  uint64 // those that failed
	Disconnects uint64 // connections that were lost, or stopped
	Commands    uint64 // SUBSCRIBE, UNSUBSCRIBE and the like
	Refused     uint64 // names that Redis refused
	Messages    uint64 // given to callbacks, each once however many those were
	Unclaimed   uint64 // messages whose name was removed meanwhile
	Dropped     uint64 // messages that did not fit into the buffer
}

// Stats returns what the Multiplexer does and has done.
func (m *Multiplexer) Stats() Stats {
	s := Stats{
		Dials:       m.stats.dials.Load(),
		DialErrors:  m.stats.dialErrors.Load(),
		Disconnects: m.stats.disconnects.Load(),
		Commands:    m.stats.commands.Load(),
		Refused:     m.stats.refused.Load(),
		Messages:    m.stats.messages.Load(),
		Unclaimed:   m.stats.unclaimed.Load(),
		Dropped:     m.stats.dropped.Load(),
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	s.Connected = m.base.conn != nil
	for _, l := range m.linksLocked() {
		if l.conn != nil {
			s.Connections++
		}
	}
	s.Subscriptions = m.subscriptions.Len()
	s.Channels, s.Patterns, s.Sharded = len(m.topics[channels]), len(m.topics[patterns]), len(m.topics[shards])
	if m.run != nil {
		s.Pending = int(m.run.inbox.bytes.Load())
	}
	return s
}

// linksLocked returns all links. The caller holds m.mu.
func (m *Multiplexer) linksLocked() []*link {
	links := []*link{m.base}
	if m.home != nil {
		links = append(links, m.home)
	}
	for _, l := range m.nodes {
		links = append(links, l)
	}
	return links
}
