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

	c              chan<- []byte // the same
	sub            *PromiseSubscription
	suffix         string
	timer          *time.Timer
	next, previous *Promise // of the same suffix; guarded by sub.mu

	// guarded by sub.mu
	done bool
	err  error // why it failed; written before C is closed
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
func (p *Promise) Cancel() { p.abandon(ErrCanceled) }

func (p *Promise) expire() { p.abandon(ErrTimeout) }

func (p *Promise) abandon(err error) {
	p.sub.mu.Lock()
	defer p.sub.mu.Unlock()
	if !p.done {
		p.sub.removeLocked(p)
		p.failLocked(err)
	}
}

// fulfilLocked and failLocked leave the promise's neighbours alone. The caller
// holds sub.mu.
func (p *Promise) fulfilLocked(message []byte) {
	p.c <- message // never waits: it has room for one
	p.endLocked()
}

func (p *Promise) failLocked(err error) {
	p.err = err
	p.endLocked()
}

func (p *Promise) endLocked() {
	p.done = true
	p.timer.Stop()
	close(p.c)
}
