package redismux

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"
)

// A PromiseSubscription awaits single messages, each on a channel whose name
// begins with the same prefix. All promises share one pattern, so that making,
// fulfilling and failing one sends nothing to Redis; any program fulfils it by
//
//	PUBLISH prefix+suffix value
//
// Its methods may be called from any goroutine. Those that wait must not be
// called from callbacks.
type PromiseSubscription struct {
	prefix  string
	pattern *PatternSubscription

	mu        sync.Mutex
	waiting   map[string]*Promise // by suffix; more of the same suffix hang on the first
	most      int                 // that waiting has held
	deadlines deadlines           // of all that wait
	timer     *time.Timer         // for the first deadline, or earlier; calls expire
	active    bool
	closed    bool
	refusal   error         // why Redis refused the pattern; nil when it did not
	changing  chan struct{} // closed when one of the three above changes; then a new one
}

// NewPromiseSubscription returns a subscription to the channels whose names
// begin with prefix, taken literally. It becomes active by itself: see
// WaitForActivation.
func (m *Multiplexer) NewPromiseSubscription(prefix string) *PromiseSubscription {
	p := &PromiseSubscription{
		prefix:   prefix,
		waiting:  make(map[string]*Promise),
		changing: make(chan struct{}),
	}
	p.timer = time.AfterFunc(time.Hour, p.expire)
	p.timer.Stop() // until there is a promise
	p.pattern = m.NewPatternSubscription(EscapeGlob(prefix)+"*", p.onMessage, p.onDisconnect, p.onActivation, WithOnError(p.onError))
	return p
}

// NewPromise returns a promise of the next message to the channel prefix+suffix,
// which fails when there is none within timeout. While the subscription is not
// active, because it is new or the connection was lost, it returns
// [ErrInactiveSubscription], and after Close [ErrClosed].
func (p *PromiseSubscription) NewPromise(suffix string, timeout time.Duration) (*Promise, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, ErrClosed
	case !p.active:
		return nil, ErrInactiveSubscription
	}
	return p.addLocked(suffix, timeout), nil
}

// WaitForNewPromise is like NewPromise but waits until the subscription is
// active. The timeout counts from its return. It fails as WaitForActivation
// does.
func (p *PromiseSubscription) WaitForNewPromise(ctx context.Context, suffix string, timeout time.Duration) (*Promise, error) {
	for {
		if err := p.WaitForActivation(ctx); err != nil {
			return nil, err
		}
		promise, err := p.NewPromise(suffix, timeout)
		if err != ErrInactiveSubscription {
			return promise, err
		}
	}
}

// WaitForActivation waits until promises can be made, which may be at once. It
// fails with ErrClosed when the subscription is closed, with the answer of
// Redis when that refuses the pattern, and with the cause of ctx.
func (p *PromiseSubscription) WaitForActivation(ctx context.Context) error {
	for {
		active, changing, err := p.state()
		if active || err != nil {
			return err
		}
		select {
		case <-changing:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *PromiseSubscription) state() (active bool, changing <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, nil, ErrClosed
	}
	return p.active, p.changing, p.refusal
}

// Close fails the promises that wait, with [ErrClosed], and ends the
// subscription. Closing it again does nothing.
func (p *PromiseSubscription) Close() {
	p.pattern.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.changeLocked(false, nil)
	p.failAllLocked(ErrClosed)
}

// changeLocked sets the state and wakes up those that wait for one. The caller
// holds p.mu.
func (p *PromiseSubscription) changeLocked(active bool, refusal error) {
	p.active, p.refusal = active, refusal
	close(p.changing)
	p.changing = make(chan struct{})
}

func (p *PromiseSubscription) onActivation(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.changeLocked(true, nil)
	}
}

func (p *PromiseSubscription) onError(_ string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changeLocked(false, err)
}

func (p *PromiseSubscription) onDisconnect(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changeLocked(false, nil)
	p.failAllLocked(cause)
}

func (p *PromiseSubscription) onMessage(channel string, message []byte) {
	suffix := strings.TrimPrefix(channel, p.prefix)
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.waiting[suffix]
	p.dropLocked(suffix)
	for promise := first; promise != nil; promise = promise.next {
		p.deadlines.remove(promise)
		promise.endLocked(message, nil)
	}
}

func (p *PromiseSubscription) failAllLocked(err error) {
	waiting := p.waiting
	p.waiting, p.most, p.deadlines = make(map[string]*Promise), 0, deadlines{}
	p.timer.Stop()
	for _, first := range waiting {
		for promise := first; promise != nil; promise = promise.next {
			promise.endLocked(nil, err)
		}
	}
}

func (p *PromiseSubscription) addLocked(suffix string, timeout time.Duration) *Promise {
	c := make(chan []byte, 1)
	promise := &Promise{C: c, c: c, sub: p, suffix: suffix, deadline: time.Now().Add(timeout)}
	if first := p.waiting[suffix]; first != nil {
		promise.next, promise.previous = first.next, first
		if promise.next != nil {
			promise.next.previous = promise
		}
		first.next = promise
	} else {
		p.waiting[suffix] = promise
		p.most = max(p.most, len(p.waiting))
	}
	p.deadlines.add(promise)
	if p.deadlines.next() == promise {
		p.timer.Reset(until(promise.deadline))
	}
	return promise
}

// expire fails what is due and sets the timer for the rest.
func (p *PromiseSubscription) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for promise := p.deadlines.next(); promise != nil; promise = p.deadlines.next() {
		if promise.deadline.After(now) {
			p.timer.Reset(until(promise.deadline))
			return
		}
		p.abandonLocked(promise, ErrTimeout)
	}
}

// abandonLocked takes one promise out and fails it. The caller holds p.mu.
func (p *PromiseSubscription) abandonLocked(promise *Promise, err error) {
	if promise.next != nil {
		promise.next.previous = promise.previous
	}
	switch {
	case promise.previous != nil:
		promise.previous.next = promise.next
	case promise.next != nil:
		p.waiting[promise.suffix] = promise.next
	default:
		p.dropLocked(promise.suffix)
	}
	p.deadlines.remove(promise)
	promise.endLocked(nil, err)
}

// dropLocked forgets a suffix. A map keeps the room of its fullest time, so it
// is replaced when three quarters are empty: what failed keeps nothing. The
// caller holds p.mu.
func (p *PromiseSubscription) dropLocked(suffix string) {
	delete(p.waiting, suffix)
	if p.most < 64 || len(p.waiting) > p.most/4 {
		return
	}
	waiting := make(map[string]*Promise, len(p.waiting))
	maps.Copy(waiting, p.waiting)
	p.waiting, p.most = waiting, len(waiting)
}
