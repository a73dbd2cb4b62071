package redismux

import (
	"container/list"
	"maps"
	"slices"
)

// The callbacks of a subscription. The message is shared by all that get it:
// do not modify it.
type (
	// OnMessageFunc gets every message to the names of a subscription. For a
	// pattern, channel is the one that matched.
	OnMessageFunc = func(channel string, message []byte)

	// OnDisconnectFunc gets the cause when the connection was lost, after all
	// messages that came through it.
	OnDisconnectFunc = func(cause error)

	// OnActivationFunc gets each name, a channel or the pattern, when it is in
	// effect: once, and again after each reconnect.
	OnActivationFunc = func(name string)

	// OnErrorFunc gets each name that is not in effect, and why.
	OnErrorFunc = func(name string, err error)
)

// A SubscriptionOption is an addition to a new subscription.
type SubscriptionOption func(*subscription)

// WithOnError sets what gets the names of a subscription that Redis refuses.
// Without it Options.OnError does.
func WithOnError(onError OnErrorFunc) SubscriptionOption {
	return func(s *subscription) {
		if onError != nil {
			s.onError = onError
		}
	}
}

// A subscription is a set of names of one kind and what wants their messages.
type subscription struct {
	mux          *Multiplexer
	kind         kind
	onMessage    OnMessageFunc
	onDisconnect OnDisconnectFunc // may be nil
	onActivation OnActivationFunc // may be nil
	onError      OnErrorFunc

	// guarded by mux.mu
	members map[string]*member
	place   *list.Element // in mux.subscriptions; nil when closed
}

func (m *Multiplexer) newSubscription(k kind, onMessage OnMessageFunc, onDisconnect OnDisconnectFunc, onActivation OnActivationFunc, options []SubscriptionOption) *subscription {
	if onMessage == nil {
		panic("redismux: onMessage is nil")
	}
	s := &subscription{
		mux:          m,
		kind:         k,
		onMessage:    onMessage,
		onDisconnect: onDisconnect,
		onActivation: onActivation,
		onError:      m.options.OnError,
		members:      make(map[string]*member),
	}
	for _, option := range options {
		option(s)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.place = m.subscriptions.PushBack(s)
	return s
}

// add lets go of the lock now and then, so that the first names of many are on
// their way while the last ones are still being noted.
func (s *subscription) add(names []string) error {
	if len(names) == 0 {
		return s.addSome(nil)
	}
	s.expect(len(names))
	for some := range slices.Chunk(names, 2*batchSize) {
		if err := s.addSome(some); err != nil {
			return err
		}
	}
	return nil
}

// expect makes room for many names at once, rather than by doubling.
func (s *subscription) expect(n int) {
	if n < 1000 {
		return
	}
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	s.members = grown(s.members, n)
	s.mux.topics[s.kind] = grown(s.mux.topics[s.kind], n)
	if s.kind != shards {
		s.mux.base.queue = slices.Grow(s.mux.base.queue, n)
	}
}

// grown returns a map with room for n more, m itself if it holds as many.
func grown[V any](m map[string]V, n int) map[string]V {
	if len(m) >= n {
		return m
	}
	larger := make(map[string]V, len(m)+n)
	maps.Copy(larger, m)
	return larger
}

func (s *subscription) addSome(names []string) error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.place == nil {
		return ErrClosed
	}
	for _, name := range names {
		s.mux.joinLocked(s, name)
	}
	return nil
}

// refuse tells OnError of a name that is not worth asking Redis for.
func (s *subscription) refuse(name string, err error) {
	t := &topic{kind: s.kind, name: name}
	t.join(s)
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	s.mux.postLocked(event{what: topicsInactive, topics: []*topic{t}, err: err})
}

func (s *subscription) remove(names []string) error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.place == nil {
		return ErrClosed
	}
	for _, name := range names {
		s.removeLocked(name)
	}
	return nil
}

// removeLocked ignores a name that the subscription does not have. The caller
// holds mux.mu.
func (s *subscription) removeLocked(name string) {
	if member := s.members[name]; member != nil {
		delete(s.members, name)
		s.mux.leaveLocked(member)
	}
}

func (s *subscription) clear() error {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.place == nil {
		return ErrClosed
	}
	s.clearLocked()
	return nil
}

// clearLocked removes all names. The caller holds mux.mu.
func (s *subscription) clearLocked() {
	for name := range s.members {
		s.removeLocked(name)
	}
}

func (s *subscription) close() {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.place != nil {
		s.clearLocked()
		s.mux.subscriptions.Remove(s.place)
		s.place = nil
	}
}

// wasActiveOn tells whether a connection that is lost mattered to the
// subscription: ordinary channels and patterns are all on one, sharded ones on
// that of their slot. The dispatcher calls it, with mux.mu held.
func (s *subscription) wasActiveOn(l *link, epoch uint64) bool {
	if !l.sharded {
		return s.kind != shards
	}
	for _, member := range s.members {
		if member.active == epoch {
			return true
		}
	}
	return false
}
