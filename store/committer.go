package store

import (
	"runtime"
	"sync"
	"time"
)

// A Committer joins the batches of many goroutines, so that they share a sync.
// Its methods may be called from any goroutine. It has no goroutine of its own:
// the first who comes to an empty group leads it, and commits for all who came
// until then.
//
//	Commit ─ first ── wait for the turn ── linger ── take ── engine.Commit ─┐
//	Commit ─ joins ──────────────┘                                          │
//	Commit ─ joins ────────────────────────┘                  wait ◀────────┤
//	Commit ─ first of the next group ────────────────── wait for the turn ◀─┘
type Committer struct {
	engine Engine
	turn   chan struct{} // has room for one: the leader that commits

	mu        sync.Mutex
	gathering *group // those who come join it; nil: the next one leads
	stats     CommitterStats
}

// CommitterStats are counts since the beginning.
type CommitterStats struct {
	Calls   uint64 // of Commit that were written
	Ops     uint64 // changes in them
	Commits uint64 // of the engine, for all of them
}

// A group is what is committed together.
type group struct {
	batch Batch         // under mu until the group is taken, then the leader's
	calls int           // under mu
	taken chan struct{} // closed by the leader when nobody can join any more
	done  chan struct{} // closed by the leader after err is written
	err   error
}

// How much a group takes in, and how long its leader waits for more to come. A
// leader gives way to others until nobody has joined meanwhile: what it waits
// for are goroutines that are about to call, and those that it has just served.
const (
	maxGroupOps    = 4096
	maxGroupBytes  = 1 << 20
	maxLinger      = 200 * time.Microsecond
	maxLingerTurns = 64
)

// NewCommitter returns a committer for an engine. Commits that do not come
// through it are in no order with those that do.
func NewCommitter(e Engine) *Committer {
	return &Committer{engine: e, turn: make(chan struct{}, 1)}
}

// Commit has fill add changes to a batch, and returns when they are on disk. Calls
// of fill come one at a time, in the order in which changes are made; fill must be
// quick. If it fails, what it added is not written and its error is returned.
// Whatever fill writes, even more than a group takes in, stays together.
func (c *Committer) Commit(fill func(*Batch) error) error {
	g, leads, err := c.join(fill)
	if err != nil {
		return err
	}
	if leads {
		c.lead(g)
	}
	<-g.done
	return g.err
}

// join fills the group that gathers, or a new one.
func (c *Committer) join(fill func(*Batch) error) (g *group, leads bool, err error) {
	for {
		c.mu.Lock()
		g := c.gathering
		if g == nil || !g.full() {
			defer c.mu.Unlock()
			return c.joinLocked(fill)
		}
		c.mu.Unlock()
		<-g.taken
	}
}

// joinLocked is join where there is room. The caller holds c.mu.
func (c *Committer) joinLocked(fill func(*Batch) error) (_ *group, leads bool, _ error) {
	g := c.gathering
	if leads = g == nil; leads {
		g = &group{taken: make(chan struct{}), done: make(chan struct{})}
	}
	ops, bytes, filled := len(g.batch.ops), len(g.batch.bytes), false
	defer func() {
		if !filled { // it failed, or panics
			g.batch.ops, g.batch.bytes = g.batch.ops[:ops], g.batch.bytes[:bytes]
		}
	}()
	if err := fill(&g.batch); err != nil {
		return nil, false, err
	}
	filled = true
	g.calls++
	c.gathering = g
	return g, leads, nil
}

func (g *group) full() bool {
	return g.batch.Len() >= maxGroupOps || g.batch.Size() >= maxGroupBytes
}

// lead commits a group when it is its turn.
func (c *Committer) lead(g *group) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.linger(g)
	c.take(g)
	defer close(g.done)
	g.err = ErrFailed // should the engine panic
	g.err = c.engine.Commit(&g.batch)
}

// linger returns when no more calls come, or enough did.
func (c *Committer) linger(g *group) {
	end, before := time.Now().Add(maxLinger), 0
	for range maxLingerTurns {
		c.mu.Lock()
		calls, full := g.calls, g.full()
		c.mu.Unlock()
		if calls == before || full || time.Now().After(end) {
			return
		}
		before = calls
		runtime.Gosched()
	}
}

// take lets nobody join any more.
func (c *Committer) take(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathering = nil
	c.stats.Calls += uint64(g.calls)
	c.stats.Ops += uint64(g.batch.Len())
	c.stats.Commits++
	close(g.taken)
}

// Stats returns what has been counted.
func (c *Committer) Stats() CommitterStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}
