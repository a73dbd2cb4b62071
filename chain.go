package pubsub

// A chain is a list of the subscriptions of one client, oldest first, linked
// through the subscriptions themselves. It is guarded by the server's mu.
type chain struct {
	first, last *Subscription
	n           int
}

// A link is a subscription's place in the chain of its client.
type link struct{ prev, next *Subscription }

func (c *chain) add(s *Subscription) {
	s.inClient = link{prev: c.last}
	if c.last == nil {
		c.first = s
	} else {
		c.last.inClient.next = s
	}
	c.last = s
	c.n++
}

func (c *chain) remove(s *Subscription) {
	l := s.inClient
	if l.prev == nil {
		c.first = l.next
	} else {
		l.prev.inClient.next = l.next
	}
	if l.next == nil {
		c.last = l.prev
	} else {
		l.next.inClient.prev = l.prev
	}
	s.inClient = link{}
	c.n--
}
