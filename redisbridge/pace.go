package redisbridge

import (
	"context"
	"time"

	"github.com/harkbus/pubsub"
)

const (
	paceEvery   = 32                     // publications between two looks, at most
	pacePause   = 500 * time.Microsecond // between two looks at buffers that are full
	paceStalled = time.Second            // after which a reader that takes nothing is not waited for
	paceShare   = 8                      // a look that takes long may take one in so many parts of the time
	paceLong    = time.Millisecond
)

// A pace keeps a bridge that has a backlog from outrunning the bus that it
// feeds: publications that came in seconds would else overflow buffers that
// hold seconds' worth, though their readers keep up. It looks at how full the
// subscriptions are every few publications, and waits until each is at most
// half full or was not read for a while: who stalls is cut as always.
//
// With so many subscriptions that looking takes long it looks less often.
type pace struct {
	server *pubsub.Server
	left   int             // publications until the next look
	again  time.Time       // when the next look may be
	slow   map[uint64]pull // subscriptions that were more than half full at the last look
}

// A pull is how much of a subscription was read, and when that moved last.
type pull struct {
	delivered uint64
	at        time.Time
}

// wait is called before each publication.
func (p *pace) wait(ctx context.Context) {
	if p.left--; p.left > 0 {
		return
	}
	p.left = paceEvery
	if time.Now().Before(p.again) {
		return
	}
	for {
		full, room := p.look()
		if !full {
			p.left = room
			return
		}
		select {
		case <-time.After(pacePause):
		case <-ctx.Done():
			return
		}
	}
}

// look tells whether a subscription that is read is more than half full, and
// else how much all of them can take.
func (p *pace) look() (full bool, room int) {
	began := time.Now()
	room = paceEvery
	slow := make(map[uint64]pull)
	for _, s := range p.server.Stats().Subscriptions {
		if s.Overflow == pubsub.Block || s.Capacity == 0 { // waits by itself
			continue
		}
		if s.Depth <= s.Capacity/2 {
			room = min(room, max((s.Capacity-s.Depth)/2, 1))
			continue
		}
		last, known := p.slow[s.ID]
		if !known || last.delivered != s.Delivered {
			last = pull{s.Delivered, began}
		}
		slow[s.ID] = last
		full = full || began.Sub(last.at) < paceStalled
	}
	p.slow = slow
	now := time.Now()
	if took := now.Sub(began); !full && took > paceLong {
		p.again = now.Add(took * (paceShare - 1))
	}
	return full, room
}
