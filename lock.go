package pubsub

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A lock is a mutex at which publications go first. Many goroutines may change
// subscriptions at once and without a pause; they queue among themselves, so
// that the one with the pass meets one of them at most, and that one does not
// come again before it:
//
//	subscribe, unsubscribe, … ──▶ others ──▶ mu ◀── pass
//
// A plain mutex is taken again by who just released it, long before a goroutine
// that sleeps can run: publications waited for milliseconds.
type lock struct {
	others  sync.Mutex  // held by who holds mu after Lock
	mu      sync.Mutex  // what is locked
	other   bool        // it was Lock; guarded by mu
	awaited atomic.Bool // the goroutine with the pass waits for mu
}

// Lock is for all but the goroutine that has the pass.
func (l *lock) Lock() {
	l.others.Lock()
	for l.awaited.Load() {
		runtime.Gosched() // it runs here, if it slept
	}
	l.lock()
	l.other = true
}

// LockFirst is Lock for the goroutine that has the pass.
func (l *lock) LockFirst() {
	if !l.mu.TryLock() {
		l.wait()
	}
}

// Unlock releases what either took.
func (l *lock) Unlock() {
	other := l.other
	l.other = false
	l.mu.Unlock()
	if other {
		l.others.Unlock()
	}
}

func (l *lock) wait() {
	l.awaited.Store(true)
	defer l.awaited.Store(false)
	l.lock()
}

// lock takes mu. It looks at it for a while first: whoever releases a mutex that
// somebody sleeps at has to wake that one, which takes longer than most changes and
// most publications.
func (l *lock) lock() {
	for i := range lockLooks {
		if l.mu.TryLock() {
			return
		}
		if i%lockYield == lockYield-1 {
			runtime.Gosched()
		}
	}
	l.mu.Lock()
}

// How often a goroutine looks at the lock before it sleeps, longer than most
// changes take, and after how many looks it lets others run: who holds the lock
// may have been taken from this very processor.
const (
	lockLooks = 2000
	lockYield = 200
)
