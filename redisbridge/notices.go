package redisbridge

import (
	"context"
	"fmt"
	"sync"
)

// notices calls OnError and OnDrop on a goroutine of their own, so that they
// hold up neither publishers nor what goes to and from Redis. There is at most
// one notice of each part and partition on its way: a fault is told once until
// the part works again.
type notices struct {
	onError func(error)
	onDrop  func(partition int)
	wake    chan struct{} // capacity 1

	mu      sync.Mutex
	failing map[string]bool
	errors  []error
	drops   []int
	last    error
}

func newNotices(onError func(error), onDrop func(int)) *notices {
	return &notices{onError: onError, onDrop: onDrop, wake: make(chan struct{}, 1), failing: make(map[string]bool)}
}

// run ends with ctx, after it has told what there was.
func (n *notices) run(ctx context.Context) {
	for {
		select {
		case <-n.wake:
			n.tell()
		case <-ctx.Done():
			n.tell()
			return
		}
	}
}

func (n *notices) tell() {
	n.mu.Lock()
	errs, drops := n.errors, n.drops
	n.errors, n.drops = nil, nil
	n.mu.Unlock()
	for _, err := range errs {
		n.onError(err)
	}
	for _, partition := range drops {
		n.onDrop(partition)
	}
}

func (n *notices) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notices) fails(part string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = fmt.Errorf("redisbridge: %s: %w", part, err)
	if n.failing[part] {
		return
	}
	n.failing[part] = true
	n.errors = append(n.errors, n.last)
	n.signal()
}

func (n *notices) works(part string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.failing, part)
}

// dropped is called at the beginning of an episode, on the publisher's path.
func (n *notices) dropped(partition int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drops = append(n.drops, partition)
	n.signal()
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
