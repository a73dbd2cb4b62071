package pubsub

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// observers are the functions that see every publication. The list is copied
// on each change, so that reading it takes no lock.
type observers struct {
	mu   sync.Mutex // excludes changes
	list atomic.Pointer[[]*observer]
}

type observer struct{ see func(Message) }

func (o *observers) any() bool { return o.list.Load() != nil }

func (o *observers) change(f func(old []*observer) []*observer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var old []*observer
	if list := o.list.Load(); list != nil {
		old = *list
	}
	if list := f(old); len(list) > 0 {
		o.list.Store(&list)
	} else {
		o.list.Store(nil)
	}
}

// Observe has f called with every publication that is dispatched from now on,
// so with all that are accepted from now on and with those that are still
// queued, in the order of Sequence, whether they match anything or not, before
// subscriptions receive them. Several functions are called in the order they
// were registered. f runs on the path of all publications: it must return
// soon and must not call Publish or Stop, nor runtime.Goexit as t.FailNow does;
// it may subscribe and unsubscribe. If it panics, that is logged and the
// publication goes on.
//
// remove takes f out again. It may be called more than once and from f; a
// publication that is being dispatched may still reach f.
func (s *Server) Observe(f func(Message)) (remove func()) {
	added := &observer{f}
	s.observers.change(func(old []*observer) []*observer { return append(slices.Clone(old), added) })
	return func() {
		s.observers.change(func(old []*observer) []*observer {
			return slices.DeleteFunc(slices.Clone(old), func(o *observer) bool { return o == added })
		})
	}
}

func (s *Server) observe(m *Message) {
	list := s.observers.list.Load()
	if list == nil {
		return
	}
	for _, o := range *list {
		s.show(o, m)
	}
}

func (s *Server) show(o *observer, m *Message) {
	defer func() {
		if r := recover(); r != nil {
			s.Logger.Error("pubsub: observer panicked", "sequence", m.seq, "panic", fmt.Sprint(r))
		}
	}()
	o.see(*m)
}

// queryFailed takes note of a user-written query that failed to match.
func (s *Server) queryFailed(t *topic, err error) {
	if t.failures.Add(1) == 1 {
		s.Logger.Error("pubsub: query failed; the publication does not reach its subscription", "query", t.text, "error", err)
	}
}
