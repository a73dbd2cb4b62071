package redismux

// In-package because it looks at the room that maps and slices keep.

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatHoldsPromisesShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Multiplexer{options: Options{}.withDefaults()}
		m.topics[patterns] = make(map[string]*topic)
		m.base = newLink(m, "", false)
		p := m.NewPromiseSubscription("p:")
		p.onActivation("")
		for range 3 {
			began := time.Now()
			for i := range 20_000 {
				_, err := p.NewPromise(fmt.Sprint(i%15_000), time.Duration(1+i)*time.Millisecond)
				require.NoError(t, err)
			}
			time.Sleep(19_990*time.Millisecond - time.Since(began))
			synctest.Wait()
			requireRoom(t, p, 10)
			time.Sleep(time.Minute)
			synctest.Wait()
			requireRoom(t, p, 0)
		}
		p.Close()
	})
}

func requireRoom(t *testing.T, p *PromiseSubscription, waiting int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.deadlines.heap, waiting)
	require.Len(t, p.waiting, waiting)
	require.Less(t, p.most, 64)
	require.Less(t, cap(p.deadlines.heap), 512)
}
