package pubsub

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In the package, to count what passes: while a publication waits for the
// lock, hardly one change gets in before it, however many come without a pause.
// A plain mutex lets hundreds pass.
func TestPublicationsGoBeforeChanges(t *testing.T) {
	for _, changers := range []int{1, 4} {
		var l lock
		var changes atomic.Int64
		var stop atomic.Bool
		var wg sync.WaitGroup
		for range changers {
			wg.Go(func() {
				for !stop.Load() {
					l.Lock()
					changes.Add(1)
					spin(2 * time.Microsecond)
					l.Unlock()
				}
			})
		}
		var passed []int64
		for range 500 {
			spin(50 * time.Microsecond)
			before := changes.Load()
			l.LockFirst()
			passed = append(passed, changes.Load()-before)
			l.Unlock()
		}
		stop.Store(true)
		wg.Wait()
		slices.Sort(passed)
		require.LessOrEqual(t, passed[len(passed)*95/100], int64(3), "with %d changers", changers)
	}
}

func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

// What is locked is locked for both.
func TestLockExcludes(t *testing.T) {
	var l lock
	var wg sync.WaitGroup
	n := 0
	wg.Go(func() {
		for range 20_000 {
			l.LockFirst()
			n++
			l.Unlock()
		}
	})
	for range 3 {
		wg.Go(func() {
			for range 20_000 {
				l.Lock()
				n++
				l.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 80_000, n)
}
