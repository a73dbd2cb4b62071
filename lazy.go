package pubsub

import "sync/atomic"

// A lazy is a channel that is made when it is first needed, so that a
// subscription that nobody waits for takes no memory for it. Looking takes no
// lock; whoever sets it holds the subscription's mu.
type lazy[T any] struct{ made atomic.Pointer[chan T] }

// get returns the channel; nil: it has not been made.
func (l *lazy[T]) get() chan T {
	if c := l.made.Load(); c != nil {
		return *c
	}
	return nil
}

// set makes it c, for ever.
func (l *lazy[T]) set(c chan T) { l.made.Store(&c) }
