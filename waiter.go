package pubsub

// A waiter is a goroutine in Next that waits for a message. It is either given
// one directly, or told to look again. It lives in one list at a time, under
// the mu of its subscription.
type waiter struct {
	ready chan struct{} // capacity 1: given or told

	prev, next *waiter
	listed     bool
	given      bool
	m          Message
}

// waiters is the list of the waiters of one subscription, first come first.
// The caller of its methods holds the subscription's mu.
type waiters struct {
	first, last *waiter
	spare       *waiter // the last one released, for reuse
}

// release takes w out of the list, keeps it for reuse and returns what it was
// given. The caller is the goroutine that waited. Waiters are not shared
// between subscriptions: a channel made in one synctest bubble must not be
// used in another.
func (l *waiters) release(w *waiter) (m Message, given bool) {
	l.remove(w)
	m, given = w.m, w.given
	w.m, w.given = Message{}, false
	select {
	case <-w.ready:
	default:
	}
	l.spare = w
	return m, given
}

// add appends the calling goroutine.
func (l *waiters) add() *waiter {
	w := l.spare
	l.spare = nil
	if w == nil {
		w = &waiter{ready: make(chan struct{}, 1)}
	}
	w.listed, w.prev, w.next = true, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	return w
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
