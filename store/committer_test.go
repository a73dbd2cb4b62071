package store_test

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

// A slowEngine keeps batches, and takes each when it is let to.
type slowEngine struct {
	store.Engine
	entered chan struct{}
	let     chan error // what Commit returns

	mu      sync.Mutex
	batches [][]string // keys
}

func newSlowEngine() *slowEngine {
	return &slowEngine{entered: make(chan struct{}, 100), let: make(chan error)}
}

func (e *slowEngine) Commit(b *store.Batch) error {
	e.entered <- struct{}{}
	err := <-e.let
	e.mu.Lock()
	defer e.mu.Unlock()
	var keys []string
	for o := range b.All() {
		keys = append(keys, string(o.Key))
	}
	e.batches = append(e.batches, keys)
	return err
}

func adds(keys ...string) func(*store.Batch) error {
	return func(b *store.Batch) error {
		for _, key := range keys {
			b.Put([]byte(key), nil)
		}
		return nil
	}
}

// Those who come while a commit is under way share the next one.
func TestManyCommitsShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine()
		c := store.NewCommitter(e)
		var calls sync.WaitGroup
		calls.Go(func() { require.NoError(t, c.Commit(adds("first"))) })
		synctest.Wait()
		for i := range 128 {
			calls.Go(func() { require.NoError(t, c.Commit(adds(fmt.Sprint(i)))) })
		}
		synctest.Wait()
		e.let <- nil
		e.let <- nil
		calls.Wait()
		require.Len(t, e.batches, 2)
		require.Len(t, e.batches[1], 128)
		require.Equal(t, store.CommitterStats{Calls: 129, Ops: 129, Commits: 2}, c.Stats())
	})
}

// A leader waits for those who are about to call: without it goroutines that
// commit in turn would write in two groups, each as large as the half.
func TestLeaderLingersForThoseWhoComeSoon(t *testing.T) {
	e := newSlowEngine()
	close(e.let)
	c := store.NewCommitter(e)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // whoever is runnable runs when another one yields
	var calls sync.WaitGroup
	for i := range 32 {
		calls.Go(func() { _ = c.Commit(adds(fmt.Sprint(i))) })
	}
	calls.Wait()
	require.Less(t, c.Stats().Commits, uint64(8))
}

func TestFailedCommitReachesAllOfItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine()
		c := store.NewCommitter(e)
		errs := make(chan error, 11)
		commit := func() { errs <- c.Commit(adds("a")) }
		go commit()
		synctest.Wait()
		for range 10 {
			go commit()
		}
		synctest.Wait()
		e.let <- nil
		require.NoError(t, <-errs)
		e.let <- store.ErrFailed
		for range 10 {
			require.ErrorIs(t, <-errs, store.ErrFailed)
		}
	})
}

// A group that has enough takes nobody in, and what one call writes stays
// together.
func TestFullGroupsTakeNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine()
		c := store.NewCommitter(e)
		many := make([]string, 5000)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		var calls sync.WaitGroup
		calls.Go(func() { _ = c.Commit(adds("first")) })
		synctest.Wait()
		calls.Go(func() { _ = c.Commit(adds(many...)) })
		synctest.Wait()
		calls.Go(func() { _ = c.Commit(adds("last")) })
		synctest.Wait()
		close(e.let)
		calls.Wait()
		require.Equal(t, [][]string{{"first"}, many, {"last"}}, e.batches)
	})
}

// What fill added before it failed is not written.
func TestFillThatFailsWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newSlowEngine()
		c := store.NewCommitter(e)
		var calls sync.WaitGroup
		calls.Go(func() { _ = c.Commit(adds("first")) })
		synctest.Wait()
		bad := errors.New("bad")
		fail := func(how func() error) func(*store.Batch) error {
			return func(b *store.Batch) error {
				b.Put([]byte("never"), []byte("never"))
				return how()
			}
		}
		for range 2 { // as the first of a group, and as another one
			require.ErrorIs(t, c.Commit(fail(func() error { return bad })), bad)
			require.Panics(t, func() { _ = c.Commit(fail(func() error { panic(bad) })) })
			calls.Go(func() { _ = c.Commit(fail(func() error { runtime.Goexit(); return nil })) })
			synctest.Wait()
			calls.Go(func() { _ = c.Commit(adds("good")) })
			synctest.Wait()
		}
		close(e.let)
		calls.Wait()
		require.Equal(t, [][]string{{"first"}, {"good", "good"}}, e.batches)
	})
}

// Those who wait for an engine that panics are not left waiting.
func TestEnginePanicEndsItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := store.NewCommitter(panickingEngine{})
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				defer func() { _ = recover() }()
				require.ErrorIs(t, c.Commit(adds("a")), store.ErrFailed)
			})
		}
		calls.Wait()
	})
}

type panickingEngine struct{ store.Engine }

func (panickingEngine) Commit(*store.Batch) error { panic("engine") }

// Changes are made in the order in which fill is called, and are there when
// Commit returns.
func TestCommitsAreInTheOrderOfFill(t *testing.T) {
	e, err := storetest.NewDisk(1).Open()
	require.NoError(t, err)
	c := store.NewCommitter(e)
	order := 0
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			for range 50 {
				var mine []byte
				require.NoError(t, c.Commit(func(b *store.Batch) error {
					order++
					mine = fmt.Appendf(nil, "%06d", order)
					b.Put([]byte("last"), mine)
					b.Put(mine, mine)
					return nil
				}))
				last, err := e.Get([]byte("last"))
				require.NoError(t, err)
				require.GreaterOrEqual(t, string(last), string(mine))
			}
		})
	}
	calls.Wait()
	last, err := e.Get([]byte("last"))
	require.NoError(t, err)
	require.Equal(t, "000800", string(last))
	require.Equal(t, 801, count(e.Ascend(nil, nil)))
}

func count(pairs iter.Seq2[store.Pair, error]) (n int) {
	for range pairs {
		n++
	}
	return n
}
