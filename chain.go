package pubsub

// A chain is a list of subscriptions, linked through the subscriptions
// themselves. A subscription is in at most one chain of each kind.
type chain struct {
	kind        chainKind
	first, last *Subscription
	n           int
}

// A chainKind says which link of a subscription a chain uses.
type chainKind uint8

const (
	ofClient  chainKind = iota // subscriptions of one client; guarded by the server's mu
	ofParking                  // of one topic, with a waiting reader; guarded by topic.parking
	chainKinds
)

type link struct {
	prev, next *Subscription
	in         bool
}

// add appends s, unless it is in the chain.
func (c *chain) add(s *Subscription) {
	l := &s.links[c.kind]
	if l.in {
		return
	}
	*l = link{prev: c.last, in: true}
	if c.last == nil {
		c.first = s
	} else {
		c.last.links[c.kind].next = s
	}
	c.last = s
	c.n++
}

// remove takes s out, if it is in the chain.
func (c *chain) remove(s *Subscription) {
	l := &s.links[c.kind]
	if !l.in {
		return
	}
	if l.prev == nil {
		c.first = l.next
	} else {
		l.prev.links[c.kind].next = l.next
	}
	if l.next == nil {
		c.last = l.prev
	} else {
		l.next.links[c.kind].prev = l.prev
	}
	*l = link{}
	c.n--
}
