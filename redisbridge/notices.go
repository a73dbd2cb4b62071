package redisbridge

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// notices calls OnError on a goroutine of its own, so that it holds up neither
// publishers nor what goes to and from Redis. A part that fails is reported
// once until it works again; what is no part's failure at most once a second.
// While OnError is slow, maxWaiting errors wait for it, and how many more there
// were is counted: it is called with that after them.
type notices struct {
	onError func(error)
	wake    chan struct{} // capacity 1

	mu      sync.Mutex
	failing map[string]bool
	told    map[string]time.Time
	errors  []error // at most maxWaiting, and what ended the member
	leftOut int
	last    error
}

const maxWaiting = 64

func newNotices(onError func(error)) *notices {
	return &notices{onError: onError, wake: make(chan struct{}, 1), failing: make(map[string]bool), told: make(map[string]time.Time)}
}

// run ends with ctx, after it has reported what there was.
func (n *notices) run(ctx context.Context) {
	for {
		select {
		case <-n.wake:
			n.report()
		case <-ctx.Done():
			n.report()
			return
		}
	}
}

func (n *notices) report() {
	n.mu.Lock()
	errs := n.errors
	if n.leftOut > 0 {
		errs = append(errs, fmt.Errorf("redisbridge: %d more errors, which came while OnError was busy", n.leftOut))
	}
	n.errors, n.leftOut = nil, 0
	n.mu.Unlock()
	for _, err := range errs {
		n.onError(err)
	}
}

// fails takes note that a part does not work.
func (n *notices) fails(part string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = fmt.Errorf("redisbridge: %s: %w", part, err)
	if !n.failing[part] {
		n.failing[part] = true
		n.addLocked(n.last)
	}
}

func (n *notices) works(part string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.failing, part)
}

// tell takes note of an error after which things go on.
func (n *notices) tell(what string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = fmt.Errorf("redisbridge: %s: %w", what, err)
	if now := time.Now(); now.Sub(n.told[what]) >= time.Second {
		n.told[what] = now
		n.addLocked(n.last)
	}
}

// ended takes note of the error that ended the member.
func (n *notices) ended(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = err
	n.errors = append(n.errors, err) // however many wait
	signal(n.wake)
}

// dropped is called at the beginning of an episode, on the publisher's path.
func (n *notices) dropped(partition int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = &DropError{Partition: partition}
	n.addLocked(n.last)
}

// addLocked has an error reported. The caller holds n.mu.
func (n *notices) addLocked(err error) {
	if len(n.errors) >= maxWaiting {
		n.leftOut++
		return
	}
	n.errors = append(n.errors, err)
	signal(n.wake)
}

// lastError returns the last error reported, and whether a part fails now.
func (n *notices) lastError() (err error, failing bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last, len(n.failing) > 0
}

func (n *notices) lastText() string {
	if err, failing := n.lastError(); failing && err != nil {
		return "; last: " + err.Error()
	}
	return ""
}
