package pubsub

// A waiter is a goroutine in Next that waits for a message. It is either given
// one directly, or told to look again. It is guarded by the mu of its
// subscription.
type waiter struct {
	ready chan struct{} // capacity 1: given or told

	prev, next *waiter
	listed     bool
	heard      bool // has received from ready
	given      bool
	leads      bool // woken to wake others
	m          Message
}

// wait returns when w is given a message or told to look again, or done is
// closed. The caller is the goroutine that waits.
func (w *waiter) wait(done <-chan struct{}) {
	if done == nil {
		<-w.ready
		w.heard = true
		return
	}
	select {
	case <-w.ready:
		w.heard = true
	case <-done:
	}
}

// waiters is the list of the waiters of one subscription, first come first.
// The caller of its methods holds the subscription's mu.
type waiters struct {
	first, last *waiter
	spare       *waiter // for the next to wait: a subscription mostly has one
}

// add appends the calling goroutine.
func (l *waiters) add() *waiter {
	w := l.spare
	if l.spare = nil; w == nil {
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

// release ends the wait of w and returns what it was given and told. The
// caller is the goroutine that waited.
func (l *waiters) release(w *waiter) (m Message, given, leads bool) {
	l.remove(w)
	m, given, leads = w.m, w.given, w.leads
	if !w.heard {
		select {
		case <-w.ready: // just too late
		default:
		}
	}
	*w = waiter{ready: w.ready}
	l.spare = w
	return m, given, leads
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
