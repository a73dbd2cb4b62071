package redisbridge

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/harkbus/pubsub"
)

// ErrAttached says that a server has another bridge to the same bus: with both,
// others would receive all that it publishes twice, and so would it what they
// publish, and its own.
var ErrAttached = errors.New("redisbridge: the server is attached already")

// attachments are the bridges of this process that have not ended.
type attachments struct {
	mu sync.Mutex
	of map[*pubsub.Server][]*Bridge // in the order in which they came
}

var attached = attachments{of: make(map[*pubsub.Server][]*Bridge)}

// add takes a bridge in, unless its options name the same bus as those of one
// that is there.
func (a *attachments) add(b *Bridge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, other := range a.of[b.server] {
		if b.opt.namesBusOf(&other.opt) && b.opt.sharesAddress(&other.opt) {
			return b.attachedError()
		}
	}
	a.of[b.server] = append(a.of[b.server], b)
	return nil
}

func (a *attachments) remove(b *Bridge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rest := slices.DeleteFunc(a.of[b.server], func(other *Bridge) bool { return other == b })
	if a.of[b.server] = rest; len(rest) == 0 {
		delete(a.of, b.server)
	}
}

// laidOut takes note of when the namespace of a bridge was laid out, by which
// Redis is known whatever its addresses, and returns those that came to the same
// bus after another one.
func (a *attachments) laidOut(b *Bridge) (second []*Bridge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b.bus = b.since
	first := true
	for _, other := range a.of[b.server] {
		if other.bus != b.bus || !b.opt.namesBusOf(&other.opt) {
			continue
		}
		if !first {
			second = append(second, other)
		}
		first = false
	}
	return second
}

// watchTwins ends who came second to a bus.
func (b *Bridge) watchTwins() {
	select {
	case <-b.member.laidOut:
	case <-b.ctx.Done():
		return
	}
	for _, second := range attached.laidOut(b) {
		second.fail(second.attachedError())
	}
}

func (b *Bridge) attachedError() error {
	return fmt.Errorf("%w to namespace %q in mode %v: close that bridge first", ErrAttached, b.opt.Namespace, b.opt.Mode)
}

// namesBusOf tells whether two bridges speak to each other if their Redis is one.
func (o *Options) namesBusOf(other *Options) bool {
	return o.Namespace == other.Namespace && o.Mode == other.Mode
}

// sharesAddress tells whether two bridges were given one Redis, by one name.
// Channels are the same in all its databases.
func (o *Options) sharesAddress(other *Options) bool {
	if o.Redis.Sentinel.MasterSet != other.Redis.Sentinel.MasterSet ||
		o.Mode == Durable && o.Redis.SelectDB != other.Redis.SelectDB {
		return false
	}
	return slices.ContainsFunc(o.Redis.InitAddress, func(addr string) bool {
		return slices.Contains(other.Redis.InitAddress, addr)
	})
}
