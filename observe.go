package pubsub

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/harkbus/pubsub/internal/usercode"
	"github.com/harkbus/pubsub/service"
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
// soon. If it panics, or exits its goroutine as t.FailNow does, that is logged
// and the publication goes on.
//
// f may subscribe and unsubscribe, and may call Stop, which does not wait then,
// while Reset is an error until f has returned and Stop is done. It must not
// publish where that may have to wait: room comes only when f has returned. So
// Publish under f needs a BufferCapacity, which is none by default, that leaves
// room, or a context that ends.
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

// ask shows m, number i of its group, to the observers and tries the
// user-written queries on it. The caller has the pass and no lock.
//
// User code may exit the goroutine, by runtime.Goexit. Whatever is left to do
// for m is done by deferred functions then, while the goroutine exits, and the
// pass goes to the server's goroutine; ask does not return.
func (s *Server) ask(m *Message, now int64, i int) {
	observed, asked := false, false
	defer func() {
		if asked {
			return
		}
		s.mu.Lock()
		s.watch.since = 0
		s.distributeAndUnlock(m, now, i)
		*m = Message{}  // nobody else clears it
		s.ahead.Reset() // what is left of the group is matched again
		s.handed <- struct{}{}
	}()
	defer func() {
		s.scan.MatchInto(m.events, &s.scans)
		asked = observed
	}()
	if list := s.observers.list.Load(); list != nil {
		s.observe(*list, m)
	}
	observed = true
}

func (s *Server) observe(list []*observer, m *Message) {
	at := 0
	defer func() {
		if at < len(list) { // this one exits the goroutine
			s.observe(list[at+1:], m)
		}
	}()
	for ; at < len(list); at++ {
		s.show(list[at], m)
	}
}

// show calls one observer, and reports it if it fails.
func (s *Server) show(o *observer, m *Message) {
	seen := false
	defer func() {
		if r := recover(); r != nil {
			s.reports.add(service.Logger.Error, "pubsub: observer panicked", "sequence", m.seq, "panic", panicked{r})
		} else if !seen {
			s.reports.add(service.Logger.Error, "pubsub: observer exited its goroutine", "sequence", m.seq)
		}
	}()
	o.see(*m)
	seen = true
}

// All calls of observers, queries and loggers come through these.
var _ = usercode.Through((*Server).ask) && usercode.Through((*reports).write)

// queryFailed takes note of a user-written query that failed to match.
func (s *Server) queryFailed(t *topic, err error) {
	s.totals.failures.Add(1)
	if t.failures.Add(1) == 1 {
		s.reports.add(service.Logger.Error, "pubsub: query failed; the publication does not reach its subscription", "query", t.text, "error", err)
	}
}
