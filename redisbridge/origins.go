package redisbridge

import (
	"container/list"
	"strings"
	"time"

	"github.com/harkbus/pubsub"
)

// freshness is how far the stamp of a frame may be from when it is received,
// or in Durable from when it was written, for its origin to be taken up. It is
// also how long an origin is remembered at least. So a frame that is repeated
// either meets the account of its origin, which has had it, or is stale.
const freshness = time.Minute

// maxOrigins bounds the accounts of a partition.
const maxOrigins = 10_000

// origins keeps account of what each origin has sent on one partition, so that
// nothing is handed on twice and what is missing is noticed. It holds at most
// max accounts, and is used by one goroutine.
type origins struct {
	max    int
	byKey  map[pubsub.Origin]*list.Element // of *account
	recent *list.List                      // heard of last first
	gone   int                             // accounts of origins that are gone
}

// An account is what one origin has sent.
type account struct {
	origin *pubsub.Origin // shared by all its publications
	next   uint64         // sequence expected next
	stamp  int64          // the latest that was fresh
	lease  time.Duration  // 0: never silent
	heard  time.Time      // when something new came
	gone   bool           // it said goodbye, or its lease ended; kept because of repetitions
}

func newOrigins(limit int) *origins {
	return &origins{max: limit, byKey: make(map[pubsub.Origin]*list.Element), recent: list.New()}
}

// present returns how many origins are not gone.
func (o *origins) present() int { return len(o.byKey) - o.gone }

// find returns the account of the origin of a frame, nil if it has none.
func (o *origins) find(h *header) *account {
	if e := o.byKey[pubsub.Origin{Name: h.name, Epoch: h.epoch}]; e != nil {
		return e.Value.(*account)
	}
	return nil
}

// add opens an account for the origin of a frame. If that takes the place of
// another one, it is returned.
func (o *origins) add(h *header, now time.Time) (a, forgotten *account) {
	if len(o.byKey) >= o.max {
		forgotten = o.recent.Back().Value.(*account)
		o.remove(forgotten)
	}
	origin := pubsub.Origin{Name: strings.Clone(h.name), Epoch: h.epoch}
	a = &account{origin: &origin, next: h.first, heard: now}
	o.byKey[origin] = o.recent.PushFront(a)
	return a, forgotten
}

// heard takes note that something new came from an origin.
func (o *origins) heard(a *account, now time.Time) {
	o.recent.MoveToFront(o.byKey[*a.origin])
	a.heard = now
	o.setGone(a, false)
}

func (o *origins) setGone(a *account, gone bool) {
	switch {
	case gone && !a.gone:
		o.gone++
	case !gone && a.gone:
		o.gone--
	}
	a.gone = gone
}

func (o *origins) remove(a *account) {
	o.setGone(a, false)
	if e := o.byKey[*a.origin]; e != nil {
		o.recent.Remove(e)
		delete(o.byKey, *a.origin)
	}
}

// expire gives up the accounts of which nothing new came for life, and returns
// those whose lease has ended since the last call.
func (o *origins) expire(now time.Time, life time.Duration) (silent []*account) {
	for e := o.recent.Back(); e != nil; {
		a, previous := e.Value.(*account), e.Prev()
		quiet := now.Sub(a.heard)
		if a.lease > 0 && !a.gone && quiet > a.lease {
			silent = append(silent, a)
			o.setGone(a, true)
		}
		if quiet > max(life, a.lease) {
			o.remove(a)
		}
		e = previous
	}
	return silent
}

// refresh begins the leases of those present again: nobody could be heard until
// now.
func (o *origins) refresh(now time.Time) {
	for e := o.recent.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*account); !a.gone {
			a.heard = now
		}
	}
}

// pass moves the account over count publications from first on. It returns how
// many of them were had before, and how many are missing before them.
func (a *account) pass(first, count uint64) (had, missing uint64) {
	end := first + count
	switch {
	case first > a.next:
		missing = first - a.next
	case end <= a.next:
		return count, 0
	default:
		had = a.next - first
	}
	a.next = end
	return had, missing
}
