package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// later publishes in a goroutine of its own, and returns what Publish will.
func later(ctx context.Context, server *pubsub.Server, data any, pairs ...string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- server.PublishWithEvents(ctx, data, events(pairs...)) }()
	return result
}

// waits tells whether a publisher still waits, once nothing moves any more.
func waits(result <-chan error) bool {
	synctest.Wait()
	return len(result) == 0
}

func TestPublisherDoesNotWaitForAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		unbuffered, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)

		publishN(t, server, 1, 1) // returns, although nobody reads
		second := later(ctx, server, 2)
		require.True(t, waits(second), "there is no room in the queue")
		require.Equal(t, 1, next(t, unbuffered))
		require.False(t, waits(second))
		require.NoError(t, <-second)
		require.Equal(t, 2, next(t, unbuffered))
	})
}

func TestQueueHoldsExactlyItsCapacity(t *testing.T) {
	for _, capacity := range []int{0, 1, 5} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, pubsub.BufferCapacity(capacity))
				sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
				require.NoError(t, err)
				publishN(t, server, 0, 1+capacity) // one waits for the reader
				require.Equal(t, capacity, server.Stats().Queued)
				require.Equal(t, capacity, server.Stats().QueueCapacity)

				more := later(ctx, server, 1+capacity)
				require.True(t, waits(more))
				for i := range 2 + capacity {
					require.Equal(t, i, next(t, sub))
				}
				require.False(t, waits(more))
			})
		})
	}
}

// What was taken out of the queue together still takes its room there, until
// it is its turn.
func TestQueueIsNoLargerWhileItIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 3
		server := newServer(t, pubsub.BufferCapacity(capacity))
		most, over := uint64(0), make(chan struct{})
		server.Observe(func(m pubsub.Message) {
			switch {
			case m.Sequence() == 10:
				close(over)
			case m.Sequence() > 1 && m.Sequence() < 10:
				for range 5 {
					later(ctx, server, 0)
				}
				synctest.Wait()
				most = max(most, server.Stats().Sequence-m.Sequence())
			}
		})
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		publishN(t, server, 1, 1+capacity)
		require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
		<-over
		require.EqualValues(t, capacity, most)
	})
}

// A batch gives its places back one by one, so an observer finds exactly the room
// there is: what it publishes into that does not wait for it.
func TestWhatHasBegunHoldsNoPlaceInTheQueue(t *testing.T) {
	const capacity = 40 // of more than two groups
	for _, last := range []uint64{1, 2, 20, capacity} {
		t.Run(fmt.Sprint(last), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := pubsub.NewServer(pubsub.BufferCapacity(capacity))
				over := make(chan struct{})
				server.Observe(func(m pubsub.Message) {
					if m.Sequence() != last {
						return
					}
					defer close(over)
					require.Equal(t, capacity-int(last), server.Stats().Queued)
					publishN(t, server, 0, int(last))
					require.Equal(t, capacity, server.Stats().Queued)
					require.True(t, waits(later(ctx, server, 0)))
				})
				publishN(t, server, 0, capacity)
				require.NoError(t, server.Start())
				<-over
				synctest.Wait()
				require.EqualValues(t, capacity+last+1, server.Stats().Published)
				require.NoError(t, server.Stop())
			})
		})
	}
}

// Who waits for room that a batch makes gets it before the bus waits itself.
func TestPublishersThatWaitFindTheRoomBeforeAnObserverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 5
		server := pubsub.NewServer(pubsub.BufferCapacity(capacity))
		publishN(t, server, 1, capacity)
		var late []<-chan error
		over := make(chan struct{})
		server.Observe(func(m pubsub.Message) {
			if m.Sequence() > capacity {
				return
			}
			if m.Sequence() == capacity {
				defer close(over)
			}
			require.False(t, waits(late[m.Sequence()-1]))
			for _, other := range late[m.Sequence():] {
				require.True(t, waits(other))
			}
		})
		for range capacity {
			late = append(late, later(ctx, server, 0))
			synctest.Wait()
		}
		require.NoError(t, server.Start())
		<-over
		require.NoError(t, server.Stop())
	})
}

func TestPublishersWaitInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(2))
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		for i := range 10 {
			later(ctx, server, i)
			synctest.Wait()
		}
		for i := range 10 {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, i, m.Data())
			require.EqualValues(t, i+1, m.Sequence())
		}
	})
}

func TestPublishThatGivesUpDidNotHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(1))
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		publishN(t, server, 1, 2)

		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		gaveUp, third := later(brief, server, 99), later(ctx, server, 3)
		require.True(t, waits(gaveUp))
		time.Sleep(time.Second)
		require.False(t, waits(gaveUp))
		require.ErrorIs(t, <-gaveUp, context.DeadlineExceeded)
		require.True(t, waits(third))

		for i := 1; i <= 3; i++ {
			require.Equal(t, i, next(t, sub))
		}
		require.EqualValues(t, 3, server.Stats().Sequence)
	})
}

// A publisher whose context ends while it waits for room gets nil or the
// error, and the publication happened or not, accordingly.
func TestPublishGivesUpOrIsAcceptedNeverBoth(t *testing.T) {
	server := newServer(t, pubsub.BufferCapacity(2))
	happened := map[any]bool{}
	server.Observe(func(m pubsub.Message) { happened[m.Data()] = true })
	sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
	require.NoError(t, err)

	const publishers, each = 8, 300
	var results [publishers * each]error
	var turn [publishers]atomic.Pointer[context.CancelFunc]
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				brief, cancel := context.WithCancel(ctx)
				turn[p].Store(&cancel)
				results[p*each+i] = server.Publish(brief, p*each+i)
				cancel()
			}
		})
	}
	var others sync.WaitGroup
	finished := make(chan struct{})
	others.Go(func() { // ends contexts at any time
		for !isClosed(finished) {
			if cancel := turn[rand.IntN(publishers)].Load(); cancel != nil {
				(*cancel)()
			}
		}
	})
	read := map[any]bool{}
	others.Go(func() {
		for m, err := range sub.Messages(ctx) {
			if err != nil {
				return
			}
			read[m.Data()] = true
		}
	})
	wg.Wait()
	close(finished)
	require.NoError(t, server.Stop())
	others.Wait()

	accepted := 0
	for i, err := range results {
		require.Equal(t, err == nil, happened[i], "publication %d: %v", i, err)
		if err == nil {
			accepted++
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.EqualValues(t, accepted, server.Stats().Sequence)
	require.EqualValues(t, accepted, len(read)+int(sub.Dropped()))
}

func TestPublishReturnsItsSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(2))
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		var given [5]uint64
		for i := range given { // inline, queued twice, waiting twice
			go func() { given[i], _ = server.PublishWithArgs(ctx, pubsub.PublishArgs{}) }()
			synctest.Wait()
		}
		for i := range uint64(5) {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, i+1, m.Sequence())
		}
		synctest.Wait()
		require.Equal(t, [5]uint64{1, 2, 3, 4, 5}, given)
	})
}

func TestPublicationIsStampedWhenItIsDispatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(5))
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		begin := time.Now()
		publishN(t, server, 0, 2)
		_, err = server.PublishWithArgs(ctx, pubsub.PublishArgs{Time: begin.Add(time.Hour)})
		require.NoError(t, err)
		var times []time.Duration
		for range 3 {
			time.Sleep(time.Minute)
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			times = append(times, m.Time().Sub(begin))
		}
		// The first was dispatched at once, the second when the first was read.
		require.Equal(t, []time.Duration{0, time.Minute, time.Hour}, times)
	})
}

func TestBeforeStartPublicationsWaitInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := pubsub.NewServer(pubsub.BufferCapacity(3))
		early := subscribe(t, server, "early", "", 5, pubsub.Cancel)
		publishN(t, server, 1, 3)
		late := subscribe(t, server, "late", "", 5, pubsub.Cancel)
		fourth := later(ctx, server, 4)
		require.True(t, waits(fourth))
		require.Zero(t, early.Len())
		require.Equal(t, 2, server.NumClients())

		require.NoError(t, server.Start())
		require.False(t, waits(fourth))
		require.Equal(t, count(1, 4), buffered(t, early))
		require.Equal(t, count(4, 1), buffered(t, late), "it gets what was accepted after it subscribed")
		require.NoError(t, server.Stop())
	})
}

func TestBeforeStartAQueueWithoutCapacityWaitsForTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := pubsub.NewServer()
		sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, server.Publish(brief, 1), context.DeadlineExceeded)

		second := later(ctx, server, 2)
		require.True(t, waits(second))
		require.NoError(t, server.Start())
		require.NoError(t, <-second)
		require.Equal(t, 2, next(t, sub))
		require.NoError(t, server.Stop())
	})
}

// A publisher that comes while Start is not done yet may find the server idle
// and dispatch, which needs all that Start makes.
func TestPublicationMayComeDuringStart(t *testing.T) {
	for range 200 {
		server := pubsub.NewServer()
		var readers sync.WaitGroup
		for _, client := range []string{"a", "b"} {
			sub := subscribe(t, server, client, "", 10, pubsub.Cancel)
			readers.Go(func() { _, _ = sub.Next(ctx) })
		}
		readers.Go(func() {
			for server.Publish(ctx, nil) == nil {
			}
		})
		require.NoError(t, server.Start())
		require.NoError(t, server.Publish(ctx, nil))
		require.NoError(t, server.Stop())
		readers.Wait()
	}
}

func TestSubscriptionCanEndBeforeStart(t *testing.T) {
	server := pubsub.NewServer(pubsub.BufferCapacity(100))
	for i := range 20 { // some begin later than others
		publishN(t, server, i, 1)
		subscribe(t, server, fmt.Sprint(i), "", 1, pubsub.DropOldest)
	}
	for i := 0; i < 20; i += 3 {
		require.NoError(t, server.UnsubscribeAll(ctx, fmt.Sprint(i)))
	}
	publishN(t, server, 20, 1)
	require.NoError(t, server.Start())
	publishN(t, server, 21, 1)
	require.NoError(t, server.Stop())
	require.ErrorIs(t, server.Publish(ctx, 22), pubsub.ErrServerStopped)
}

func TestSequenceBeginsWithOneAndGoesOnAfterReset(t *testing.T) {
	server := newServer(t)
	for i := range uint64(3) {
		seq, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{})
		require.NoError(t, err)
		require.Equal(t, i+1, seq)
	}
	require.NoError(t, server.Stop())
	require.NoError(t, server.Reset())
	require.NoError(t, server.Start())
	sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	seq, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{})
	require.NoError(t, err)
	require.EqualValues(t, 4, seq)
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 4, m.Sequence())
}

// Whatever way a publication takes, there is one order, and every reader sees
// its matches in it.
func TestOrderIsTheSameForAllSubscriptions(t *testing.T) {
	server := newServer(t, pubsub.BufferCapacity(4))
	const publishers, each = 6, 200
	readings := map[string]reading{"next": byNext, "batch": byBatch, "messages": byMessages, "out": byOut}
	type seen struct {
		data      []any
		sequences []uint64
	}
	var all []*seen
	var readers, wg sync.WaitGroup
	for name, read := range readings {
		for _, text := range []string{"", "a EXISTS", "a = 1", "a = 2"} {
			sub := subscribe(t, server, name, text, publishers*each, pubsub.Cancel)
			s := &seen{}
			if text == "" || text == "a EXISTS" {
				all = append(all, s)
			}
			readers.Go(func() {
				reason := read(ctx, sub, func(m pubsub.Message) bool {
					s.data, s.sequences = append(s.data, m.Data()), append(s.sequences, m.Sequence())
					return true
				})
				if !errors.Is(reason, pubsub.ErrServerStopped) {
					panic(reason)
				}
			})
		}
	}
	unbuffered, err := server.SubscribeUnbuffered(ctx, "slow", query.MustParse("slow EXISTS"))
	require.NoError(t, err)
	readers.Go(func() { sequences(unbuffered) }) // makes some publications queue
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				e := events("a", fmt.Sprint(i%3))
				if i%10 == 0 {
					e["slow"] = []string{"yes"}
				}
				if err := server.PublishWithEvents(ctx, [2]int{p, i}, e); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, server.Stop())
	readers.Wait()

	for _, s := range all {
		require.Len(t, s.data, publishers*each)
		require.Equal(t, all[0].data, s.data)
		for i, seq := range s.sequences {
			require.EqualValues(t, i+1, seq)
		}
	}
	var last [publishers]int
	for i := range last {
		last[i] = -1
	}
	for _, d := range all[0].data {
		data := d.([2]int)
		require.Equal(t, last[data[0]]+1, data[1], "a publisher's own order")
		last[data[0]] = data[1]
	}
}

// A subscription gets what was accepted after it took effect, also while
// accepted publications wait in the queue.
func TestSubscriptionBeginsAfterTheLastAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		blocker, err := server.SubscribeUnbuffered(ctx, "blocker", query.All)
		require.NoError(t, err)
		publishN(t, server, 1, 3) // one waits for the blocker, two are queued
		synctest.Wait()
		second := subscribe(t, server, "second", "", 10, pubsub.Cancel)
		publishN(t, server, 4, 2)
		third := subscribe(t, server, "third", "", 10, pubsub.Cancel)
		opened := subscribe(t, server, "opened", "", 10, pubsub.Cancel)
		out := opened.Out()
		publishN(t, server, 6, 1)
		require.Zero(t, second.Len()+third.Len())
		require.Equal(t, 4, server.NumClients())

		require.NoError(t, server.Unsubscribe(ctx, "blocker", query.All))
		synctest.Wait()
		require.Equal(t, pubsub.ErrUnsubscribed, blocker.Err())
		require.Equal(t, count(4, 3), buffered(t, second))
		require.Equal(t, count(6, 1), buffered(t, third))
		require.Equal(t, 6, (<-out).Data())
		require.Empty(t, out)
	})
}

// What was handed to a reader that waits when its subscription begins.
func TestReaderCanWaitBeforeItsSubscriptionBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		_, err := server.SubscribeUnbuffered(ctx, "blocker", query.All)
		require.NoError(t, err)
		publishN(t, server, 1, 2)
		sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
		read := make(chan any, 1)
		go func() { read <- next(t, sub) }()
		synctest.Wait()
		publishN(t, server, 3, 1)
		require.NoError(t, server.UnsubscribeAll(ctx, "blocker"))
		require.Equal(t, 3, <-read)
	})
}

// An idle server dispatches on the publisher's goroutine: when Publish returns,
// the message is there. So it is right after Start.
func TestIdleServerHasDeliveredWhenPublishReturns(t *testing.T) {
	for range 200 {
		server := pubsub.NewServer(pubsub.BufferCapacity(10))
		sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
		require.NoError(t, server.Start())
		publishN(t, server, 1, 1)
		require.Equal(t, 1, sub.Len())
		require.NoError(t, server.Stop())
	}
}

// A publisher to a server without capacity is not far ahead of its readers:
// tests of Tendermint's consensus rely on it.
func TestReaderThatWaitsAtTheChannelRunsBeforePublishReturns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	buffered := func(s *pubsub.Server) (*pubsub.Subscription, error) { return s.Subscribe(ctx, "a", query.All) }
	unbuffered := func(s *pubsub.Server) (*pubsub.Subscription, error) {
		return s.SubscribeUnbuffered(ctx, "a", query.All)
	}
	out := func(sub *pubsub.Subscription, read *atomic.Int64) {
		for {
			select {
			case <-sub.Out():
				read.Add(1)
			case <-sub.Canceled():
				return
			}
		}
	}
	next := func(sub *pubsub.Subscription, read *atomic.Int64) {
		for range sub.Messages(t.Context()) {
			read.Add(1)
		}
	}
	for name, c := range map[string]struct {
		subscribe func(*pubsub.Server) (*pubsub.Subscription, error)
		readAll   func(*pubsub.Subscription, *atomic.Int64)
	}{
		"buffered": {buffered, out}, "unbuffered": {unbuffered, out},
		"buffered, Next": {buffered, next}, "unbuffered, Next": {unbuffered, next},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			sub, err := c.subscribe(server)
			require.NoError(t, err)
			var read atomic.Int64
			var reader sync.WaitGroup
			reader.Go(func() { c.readAll(sub, &read) })
			const n = 1000
			inTime := 0
			for i := range n {
				for range 10 {
					runtime.Gosched() // the reader waits again
				}
				require.NoError(t, server.Publish(ctx, i))
				if read.Load() == int64(i)+1 {
					inTime++
				}
				for read.Load() <= int64(i) {
					runtime.Gosched()
				}
			}
			require.Greater(t, inTime, n*9/10, "but for now and then, when the scheduler is fair to all")
			require.NoError(t, server.Stop())
			reader.Wait()
		})
	}
}
