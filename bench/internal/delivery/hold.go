package delivery

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Hold is what is left of a Churn without a bus: a goroutine that takes a lock
// again and again, as long as a change of subscriptions takes each time, beside
// one that takes it as long as a publication does. That one goes first, as it does
// in the bus. What the two cost each other is the lock's and the machine's.
type Hold struct {
	Change, Publication time.Duration // how long the lock is held

	mu      sync.Mutex
	awaited atomic.Bool
	stop    atomic.Bool
	ended   sync.WaitGroup
}

// Start begins to take the lock.
func (h *Hold) Start() {
	h.stop.Store(false)
	h.ended.Go(func() {
		for !h.stop.Load() {
			for h.awaited.Load() {
				runtime.Gosched()
			}
			h.mu.Lock()
			spin(h.Change)
			h.mu.Unlock()
		}
	})
}

// Stop ends it.
func (h *Hold) Stop() {
	h.stop.Store(true)
	h.ended.Wait()
}

// Publish takes the lock n times with a pause before each, and appends to took
// how long each took, in nanoseconds.
func (h *Hold) Publish(n int, pause time.Duration, took []float64) []float64 {
	for range n {
		time.Sleep(pause)
		began := time.Now()
		if !h.mu.TryLock() {
			h.wait()
		}
		spin(h.Publication)
		h.mu.Unlock()
		took = append(took, float64(time.Since(began)))
	}
	return took
}

// wait looks at the lock for some microseconds before it sleeps, and lets others
// run in between, as the bus does.
func (h *Hold) wait() {
	h.awaited.Store(true)
	defer h.awaited.Store(false)
	for look := range 2000 {
		if h.mu.TryLock() {
			return
		}
		if look%200 == 199 {
			runtime.Gosched()
		}
	}
	h.mu.Lock()
}

func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}
