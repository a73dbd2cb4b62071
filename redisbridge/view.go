package redisbridge

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// A view is what a sending process knows of what the others ask for. It fails
// open: until it is complete, and as long as anybody asks for everything, all
// is wanted.
type view struct {
	open atomic.Bool // everything is wanted

	mu        sync.Mutex
	loaded    bool // the view is complete
	peers     map[pubsub.Origin]*peer
	greedy    int // peers that want everything
	queries   map[string]*asked
	index     *match.Index[*query.Query]
	hits      []*query.Query
	undecided []*query.Query // that only their regular expressions decide
	wanted    bool           // result of Matches
}

// A peer is what one other process asks for.
type peer struct {
	interest
	until time.Time // end of its lease
}

// asked is a query that at least one peer asks for.
type asked struct {
	id   match.ID
	refs int
}

func newView() *view {
	v := &view{peers: make(map[pubsub.Origin]*peer), queries: make(map[string]*asked), index: match.New[*query.Query]()}
	v.open.Store(true)
	return v
}

// wants tells whether anybody asks for a publication.
func (v *view) wants(m pubsub.Message) bool {
	if v.open.Load() {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	_, _ = m.Matches(v)
	return v.wanted
}

// Matches implements pubsub.Query: a message shows its events to a query
// without copying them. The caller of Message.Matches holds v.mu.
func (v *view) Matches(events map[string][]string) (bool, error) {
	v.hits, v.undecided = v.index.Find(events, v.hits[:0], v.undecided[:0])
	v.wanted = len(v.hits) > 0 || v.decides(events)
	clear(v.hits)
	clear(v.undecided)
	return v.wanted, nil
}

// expressionSteps is how many steps of regular expressions, as Weigh counts
// them, are run to spare others a publication: at most 7 ms.
const expressionSteps = 1 << 20

// decides tells whether a query matches by its regular expressions, or might,
// if it would take too long to know: then sending costs less.
func (v *view) decides(events map[string][]string) bool {
	left := int64(expressionSteps)
	for _, q := range v.undecided {
		matches, steps := q.Weigh(events)
		if left -= steps; left < 0 {
			return true
		}
		if steps > 0 {
			matches, _ = q.Matches(events)
		}
		if matches {
			return true
		}
	}
	return false
}

// String implements pubsub.Query.
func (v *view) String() string { return "view" }

// close makes everything wanted: nothing can be learned any more for now.
func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.loaded = false
	v.decide()
}

// complete says that all interests have been applied, if still so says that
// nothing was missed meanwhile. Who misses something says so before close.
func (v *view) complete(still func() bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.loaded = still()
	v.decide()
}

// decide sets open. The caller holds v.mu.
func (v *view) decide() { v.open.Store(!v.loaded || v.greedy > 0) }

// apply takes note of an interest, unless a newer one of that process is known.
// It tells whether it was news.
func (v *view) apply(i *interest, now time.Time) (news bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.peers[i.origin]
	switch {
	case old != nil && old.version > i.version:
		return false
	case i.closing:
		v.remove(i.origin)
	case old != nil && old.version == i.version:
		old.until = now.Add(i.lease)
		return false
	default:
		v.replace(i, now.Add(i.lease))
	}
	v.decide()
	return true
}

// replace adds the queries of an interest before it removes the old ones, so
// that those in both stay. The caller holds v.mu.
func (v *view) replace(i *interest, until time.Time) {
	for _, q := range i.queries {
		v.ask(q)
	}
	if i.everything {
		v.greedy++
	}
	v.remove(i.origin)
	v.peers[i.origin] = &peer{*i, until}
}

func (v *view) ask(q *query.Query) {
	text := q.String()
	a := v.queries[text]
	if a == nil {
		a = &asked{id: v.index.Add(q, q)}
		v.queries[text] = a
	}
	a.refs++
}

// remove forgets a process. The caller holds v.mu.
func (v *view) remove(origin pubsub.Origin) {
	p := v.peers[origin]
	if p == nil {
		return
	}
	delete(v.peers, origin)
	if p.everything {
		v.greedy--
	}
	for _, q := range p.queries {
		text := q.String()
		a := v.queries[text]
		if a.refs--; a.refs == 0 {
			v.index.Remove(a.id)
			delete(v.queries, text)
		}
	}
}

// expire forgets the processes whose lease has ended.
func (v *view) expire(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for origin, p := range v.peers {
		if now.After(p.until) {
			v.remove(origin)
		}
	}
	v.decide()
}

func (v *view) addTo(s *InterestStats) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.Filtering = !v.open.Load()
	s.Peers = len(v.peers)
	s.Queries = len(v.queries)
}
