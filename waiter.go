package pubsub

import "sync"

// A waiter is a goroutine in Next that waits for a message. It is either given
// one directly, or told to look again. It lives in one list at a time, under
// the mu of its subscription.
type waiter struct {
	ready chan struct{} // capacity 1: given or told

	prev, next *waiter
	listed     bool
	given      bool
	leads      bool // woken to wake others
	m          Message
}

// A waiterPool keeps waiters for reuse. Each server has its own: a channel that
// was made inside a bubble of testing/synctest must not be used outside of it.
type waiterPool struct{ pool sync.Pool }

func (p *waiterPool) get() *waiter {
	if w, ok := p.pool.Get().(*waiter); ok {
		return w
	}
	return &waiter{ready: make(chan struct{}, 1)}
}

// release puts w back for reuse and returns what it was given and told. The
// caller is the goroutine that waited, and w is in no list.
func (p *waiterPool) release(w *waiter) (m Message, given, leads bool) {
	m, given, leads = w.m, w.given, w.leads
	w.m, w.given, w.leads = Message{}, false, false
	select {
	case <-w.ready:
	default:
	}
	p.pool.Put(w)
	return m, given, leads
}

// waiters is the list of the waiters of one subscription, first come first.
// The caller of its methods holds the subscription's mu.
type waiters struct{ first, last *waiter }

// add appends w, which is in no list.
func (l *waiters) add(w *waiter) {
	w.listed, w.prev, w.next = true, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
}

// remove takes w out of the list, if it is in it.
func (l *waiters) remove(w *waiter) {
	if !w.listed {
		return
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.listed, w.prev, w.next = false, nil, nil
}

// give hands m to the one who has waited longest, if anybody waits.
func (l *waiters) give(m *Message) bool {
	w := l.first
	if w == nil {
		return false
	}
	l.remove(w)
	w.m, w.given = *m, true
	w.ready <- struct{}{}
	return true
}

// wakeAll tells everybody to look again.
func (l *waiters) wakeAll() {
	for l.first != nil {
		w := l.first
		l.remove(w)
		w.ready <- struct{}{}
	}
}
