package redismux

import (
	"context"
	"time"
)

// A Promise is one awaited message. Its methods may be called from any
// goroutine.
type Promise struct {
	// C gets the message, if it comes, and is closed then, when the promise
	// timed out or was canceled, when the connection was lost and when its
	// subscription was closed. Promises of one name share the message: do not
	// modify it.
	C <-chan []byte

	c        chan<- []byte // the same
	sub      *PromiseSubscription
	suffix   string
	deadline time.Time

	// guarded by sub.mu
	next, previous *Promise // of the same suffix
	index          int      // in sub.deadlines
	done           bool
	err            error // why it failed; written before C is closed
}

// Err returns why C was closed without a message: [ErrTimeout], [ErrCanceled],
// [ErrClosed], or what OnDisconnect got. It is nil while the promise waits and
// when it was fulfilled.
func (p *Promise) Err() error {
	p.sub.mu.Lock()
	defer p.sub.mu.Unlock()
	return p.err
}

// Wait returns the message, or why there is none. When ctx ends first it
// returns the cause, and the promise waits on.
func (p *Promise) Wait(ctx context.Context) ([]byte, error) {
	select {
	case message, ok := <-p.C:
		if !ok {
			return nil, p.Err()
		}
		return message, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Cancel fails the promise, unless it is fulfilled or has failed.
func (p *Promise) Cancel() {
	p.sub.mu.Lock()
	defer p.sub.mu.Unlock()
	if !p.done {
		p.sub.abandonLocked(p, ErrCanceled)
	}
}

// endLocked fulfils the promise, or fails it if err is not nil. The caller
// holds sub.mu and has taken the promise out of sub.
func (p *Promise) endLocked(message []byte, err error) {
	p.done, p.err = true, err
	if err == nil {
		p.c <- message // never waits: it has room for one
	}
	close(p.c)
}
