package redisbridge

import (
	"container/list"
	"strings"
	"time"

	"github.com/harkbus/pubsub"
)

// origins keeps account of what each origin has sent on one partition, so that
// nothing is handed on twice and what is missing is noticed. It holds at most
// max accounts, and is used by one goroutine.
type origins struct {
	max    int
	byKey  map[pubsub.Origin]*list.Element // of *account
	recent *list.List                      // heard of last first
}

// An account is what one origin has sent.
type account struct {
	origin *pubsub.Origin // shared by all its publications
	next   uint64         // sequence expected next
	lease  time.Duration  // 0: never silent
	heard  time.Time
}

func newOrigins(limit int) *origins {
	return &origins{max: limit, byKey: make(map[pubsub.Origin]*list.Element), recent: list.New()}
}

func (o *origins) len() int { return len(o.byKey) }

// find returns the account of the origin of a frame, if it has one, and makes
// it the most recent.
func (o *origins) find(h *header, now time.Time) *account {
	e := o.byKey[pubsub.Origin{Name: h.name, Epoch: h.epoch}]
	if e == nil {
		return nil
	}
	o.recent.MoveToFront(e)
	a := e.Value.(*account)
	a.heard = now
	return a
}

// add opens an account for the origin of a frame. If that takes the place of
// another one, it is returned.
func (o *origins) add(h *header, now time.Time) (a, forgotten *account) {
	if len(o.byKey) >= o.max {
		forgotten = o.recent.Back().Value.(*account)
		o.remove(*forgotten.origin)
	}
	origin := pubsub.Origin{Name: strings.Clone(h.name), Epoch: h.epoch}
	a = &account{origin: &origin, next: h.first, heard: now}
	o.byKey[origin] = o.recent.PushFront(a)
	return a, forgotten
}

func (o *origins) remove(origin pubsub.Origin) {
	if e := o.byKey[origin]; e != nil {
		o.recent.Remove(e)
		delete(o.byKey, origin)
	}
}

// expired removes and returns the accounts that were not heard of since their
// lease, or for as long as limit if they have none.
func (o *origins) expired(now time.Time, limit time.Duration) (gone []*account) {
	for e := o.recent.Back(); e != nil; {
		a, previous := e.Value.(*account), e.Prev()
		life := limit
		if a.lease > 0 {
			life = a.lease
		}
		if now.Sub(a.heard) > life {
			o.remove(*a.origin)
			gone = append(gone, a)
		}
		e = previous
	}
	return gone
}

// refresh begins all leases anew: nobody could be heard until now.
func (o *origins) refresh(now time.Time) {
	for e := o.recent.Front(); e != nil; e = e.Next() {
		e.Value.(*account).heard = now
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
