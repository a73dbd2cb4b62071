package pubsub

import (
	"math"
	"reflect"

	"github.com/harkbus/pubsub/query"
)

// A registry knows the subscriptions of a server by all the ways they are
// asked for. It is guarded by the server's mu.
type registry struct {
	clients map[string]*client
	topics  map[string]*topic // of *query.Query, by canonical text
	slots   slots
	births  uint64 // subscriptions ever
}

// A client is a name with at least one subscription. No two of its
// subscriptions have queries of the same text.
type client struct {
	id     string
	subs   chain
	byText map[string]*Subscription // once they are more than fewSubs
}

// fewSubs is how many subscriptions of a client are looked through one by one.
const fewSubs = 8

// find returns the subscription to the query with a text, or nil.
func (c *client) find(text string) *Subscription {
	if c.byText != nil {
		return c.byText[text]
	}
	for sub := c.subs.first; sub != nil; sub = sub.inClient.next {
		if sub.topic.text == text {
			return sub
		}
	}
	return nil
}

func (c *client) add(sub *Subscription) {
	c.subs.add(sub)
	switch {
	case c.byText != nil:
		c.byText[sub.topic.text] = sub
	case c.subs.n > fewSubs:
		c.byText = make(map[string]*Subscription)
		for sub := c.subs.first; sub != nil; sub = sub.inClient.next {
			c.byText[sub.topic.text] = sub
		}
	}
}

func (c *client) remove(sub *Subscription) {
	c.subs.remove(sub)
	delete(c.byText, sub.topic.text)
}

// newRegistry returns an empty registry that goes on with the slots, all free,
// and the births of another one: no ID is given again.
func newRegistry(slots slots, births uint64) registry {
	return registry{
		slots:   slots,
		births:  births,
		clients: make(map[string]*client),
		topics:  make(map[string]*topic),
	}
}

// find returns the subscription of a client to the query with a text, or nil.
func (r *registry) find(clientID, text string) *Subscription {
	c := r.clients[clientID]
	if c == nil {
		return nil
	}
	return c.find(text)
}

// add enters sub, which is new, for a client.
func (r *registry) add(sub *Subscription, clientID string) {
	c := r.clients[clientID]
	if c == nil {
		c = &client{id: clientID}
		r.clients[clientID] = c
	}
	sub.client = c
	c.add(sub)
	r.births++
	sub.birth = r.births
	sub.id = r.slots.add(sub)
}

// remove forgets sub, and its client with its last subscription.
func (r *registry) remove(sub *Subscription) {
	c := sub.client
	c.remove(sub)
	if c.subs.n == 0 {
		delete(r.clients, c.id)
	}
	r.slots.remove(sub.id)
}

// shrink gives back what many subscriptions took, when all have ended: maps do
// not shrink by themselves.
func (r *registry) shrink() {
	if r.slots.reset() {
		*r = newRegistry(r.slots, r.births)
	}
}

// slots gives subscriptions their IDs and walks over them in steps.
//
//	ID = generation of the slot (32 bits) | number of the slot + 1 (32 bits)
//
// A slot that becomes free is used again with the next generation. After its
// last generation it is not used again, which costs its 16 bytes after four
// billion subscriptions: no ID is given twice. When all are free and are
// forgotten, new ones begin with a generation that none of them had.
type slots struct {
	pages []*[slotsPerPage]slot // grown a page at a time: no step copies all
	used  int                   // slots that were ever used
	free  []uint32
	live  int // slots with a subscription

	first uint32 // generation of a slot that was never used
	next  uint32 // generation that no slot has had, unless spent
	spent bool   // a slot has had its last generation
}

type slot struct {
	sub        *Subscription // nil: free
	generation uint32
}

const slotsPerPage = 512

func (s *slots) at(i uint32) *slot { return &s.pages[i/slotsPerPage][i%slotsPerPage] }

func (s *slots) add(sub *Subscription) (id uint64) {
	i := uint32(s.used)
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		if s.used%slotsPerPage == 0 {
			s.pages = append(s.pages, new([slotsPerPage]slot))
		}
		s.used++
		s.at(i).generation = s.first
	}
	at := s.at(i)
	at.sub = sub
	s.live++
	return uint64(at.generation)<<32 | uint64(i+1)
}

// get returns the subscription with an ID, or nil.
func (s *slots) get(id uint64) *Subscription {
	i := uint32(id) - 1 // 0 wraps around and is out of range
	if uint64(i) >= uint64(s.used) || s.at(i).generation != uint32(id>>32) {
		return nil
	}
	return s.at(i).sub
}

func (s *slots) remove(id uint64) {
	i := uint32(id) - 1
	at := s.at(i)
	at.sub = nil
	s.live--
	if at.generation < math.MaxUint32 {
		at.generation++
		s.next = max(s.next, at.generation)
		s.free = append(s.free, i)
	} else {
		s.spent = true
	}
}

// reset forgets all slots if they are free and more than a page, and tells
// whether it did. It keeps them if a slot has had its last generation.
func (s *slots) reset() bool {
	if s.live > 0 || s.used <= slotsPerPage || s.spent {
		return false
	}
	*s = slots{first: s.next, next: s.next}
	return true
}

// walk calls f for the subscriptions in the next slots from i on, at most n
// of them, and returns where to go on, or false after the last.
func (s *slots) walk(i, n int, f func(*Subscription)) (next int, more bool) {
	for end := i + n; i < min(end, s.used); i++ { // f may remove the last one, and with it all slots
		if sub := s.at(uint32(i)).sub; sub != nil {
			f(sub)
		}
	}
	return i, i < s.used
}

// canonical returns q as the server keeps it, a *query.Query if it means one,
// and the text that it is known by. It calls the methods of q.
func canonical(q Query) (Query, string) {
	switch other := q.(type) {
	case query.Empty:
		q = query.All
	case Indexable:
		if form := meaning(other); form != nil {
			q = form
		}
	}
	return q, q.String()
}

// meaning returns what q says that it means, nil if it is of a type that only
// embeds the one that says so.
func meaning(q Indexable) *query.Query {
	receiver, means := q.Indexed()
	if reflect.TypeOf(receiver) != reflect.TypeOf(q) {
		return nil
	}
	return means
}

// isNil tells whether q is no query: nil, or a nil pointer to one of a language
// that has no meaning for it. Other types may have.
func isNil(q Query) bool {
	if q == nil || q == (*query.Query)(nil) {
		return true
	}
	other, ok := q.(Indexable)
	if v := reflect.ValueOf(q); !ok || v.Kind() != reflect.Pointer || !v.IsNil() {
		return false
	}
	receiver, means := other.Indexed()
	return reflect.TypeOf(receiver) == reflect.TypeOf(q) && means == nil
}
