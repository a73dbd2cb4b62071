package pubsub_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// A delivery that waits for the channel of Out must not get through after a
// reader was told the reason.
func TestNothingIsAddedAfterTheReasonWasRead(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 4 { // with the two goroutines on two threads it takes long to meet
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	}
	server := newServer(t, pubsub.BufferCapacity(10))
	for range 3000 {
		sub := subscribe(t, server, "c", "", 1, pubsub.Block)
		out := sub.Out()
		publishN(t, server, 1, 2)

		late := make(chan int)
		go func() {
			<-sub.Canceled()
			_, err := rest(sub)
			require.ErrorIs(t, err, pubsub.ErrUnsubscribed)
			late <- len(out)
		}()
		require.NoError(t, server.Unsubscribe(ctx, "c", query.All))
		unread := len(out)
		require.Zero(t, <-late)
		require.LessOrEqual(t, unread, 1)
	}
}

func TestIDIsNotGivenAgain(t *testing.T) {
	server := newServer(t)
	ids := map[uint64]bool{}
	again := func() {
		for range 100 {
			sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
			require.NotZero(t, sub.ID())
			require.False(t, ids[sub.ID()])
			ids[sub.ID()] = true
			require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
			require.ErrorIs(t, server.UnsubscribeID(ctx, sub.ID()), pubsub.ErrSubscriptionNotFound)
		}
	}
	again()
	require.NoError(t, server.Stop())
	require.NoError(t, server.Reset())
	require.NoError(t, server.Start())
	again()
	require.ErrorIs(t, server.UnsubscribeID(ctx, 0), pubsub.ErrSubscriptionNotFound)
}

// What was accepted before Unsubscribe but is still in the queue does not come
// after it.
func TestNothingIsAddedAfterUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		blocker, err := server.SubscribeUnbuffered(ctx, "blocker", query.All)
		require.NoError(t, err)
		sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
		publishN(t, server, 1, 5)
		synctest.Wait()
		require.NoError(t, server.Unsubscribe(ctx, "c", query.All))
		require.True(t, isClosed(sub.Canceled()))
		for i := range 5 {
			require.Equal(t, i+1, next(t, blocker))
		}
		synctest.Wait()
		all, reason := rest(sub)
		require.Equal(t, count(1, 1), all)
		require.Equal(t, pubsub.ErrUnsubscribed, reason)
		require.Zero(t, sub.Dropped())
	})
}

func TestUnsubscribedClientCanSubscribeAgain(t *testing.T) {
	server := newServer(t)
	first := subscribe(t, server, "c", "a = 1", 1, pubsub.Cancel)
	_, err := server.Subscribe(ctx, "c", query.MustParse("a=1.0"))
	require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed)
	require.NoError(t, server.Unsubscribe(ctx, "c", query.MustParse("a=1")))
	require.True(t, isClosed(first.Canceled()))
	require.Zero(t, server.NumClientSubscriptions("c"))

	second := subscribe(t, server, "c", "a = 1", 1, pubsub.Cancel)
	publish(t, server, 7, "a", "1")
	require.Equal(t, 7, next(t, second))
	_, err = first.Next(ctx)
	require.Equal(t, pubsub.ErrUnsubscribed, err)
}

func TestUnsubscribingWhatIsNotThere(t *testing.T) {
	server := newServer(t)
	require.ErrorIs(t, server.Unsubscribe(ctx, "c", query.All), pubsub.ErrSubscriptionNotFound)
	require.ErrorIs(t, server.UnsubscribeAll(ctx, "c"), pubsub.ErrSubscriptionNotFound)
	sub := subscribe(t, server, "c", "a = 1", 1, pubsub.Cancel)
	require.ErrorIs(t, server.Unsubscribe(ctx, "c", query.All), pubsub.ErrSubscriptionNotFound)
	require.ErrorIs(t, server.Unsubscribe(ctx, "d", sub.Query()), pubsub.ErrSubscriptionNotFound)
	require.ErrorIs(t, server.UnsubscribeID(ctx, sub.ID()+1), pubsub.ErrSubscriptionNotFound)
	require.ErrorIs(t, server.UnsubscribeID(ctx, sub.ID()+1<<32), pubsub.ErrSubscriptionNotFound)
	require.Equal(t, 1, server.NumClients())
}

// The counts follow every way a subscription can end.
func TestCountsExcludeWhatHasEnded(t *testing.T) {
	server := newServer(t)
	for i := range 30 {
		subscribe(t, server, fmt.Sprint(i%3), fmt.Sprintf("a = %d", i), 1, pubsub.Cancel)
	}
	require.Equal(t, 3, server.NumClients())
	require.Equal(t, 10, server.NumClientSubscriptions("0"))
	require.Zero(t, server.NumClientSubscriptions("3"))

	publish(t, server, 0, "a", "0")
	publish(t, server, 0, "a", "0") // cuts one of "0"
	require.Equal(t, 9, server.NumClientSubscriptions("0"))
	require.NoError(t, server.Unsubscribe(ctx, "0", query.MustParse("a = 3")))
	require.Equal(t, 8, server.NumClientSubscriptions("0"))
	require.NoError(t, server.UnsubscribeAll(ctx, "1"))
	require.Equal(t, 2, server.NumClients())
	require.Zero(t, server.NumClientSubscriptions("1"))
}

// A publication goes on between the steps of UnsubscribeAll and Stats: no
// publisher waits for the whole of them.
func TestBigCallsWorkInBoundedSteps(t *testing.T) {
	calls := map[string]func(server *pubsub.Server){
		"UnsubscribeAll": func(server *pubsub.Server) { require.NoError(t, server.UnsubscribeAll(ctx, "big")) },
		"Stats":          func(server *pubsub.Server) { server.Stats() },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			for attempt := 0; ; attempt++ { // until a publication has come in between
				if server.NumClients() == 0 {
					subscribeBig(t, server, 20_000)
				}
				if publishedDuring(t, server, call) > 0 {
					return
				}
				require.Less(t, attempt, 20, "publications wait for the whole of it")
			}
		})
	}
}

func subscribeBig(t *testing.T, server *pubsub.Server, n int) {
	for i := range n {
		_, err := server.Subscribe(ctx, "big", query.MustParse(fmt.Sprintf("a = %d", i)))
		require.NoError(t, err)
	}
}

// publishedDuring counts the publications that begin and end within a call.
func publishedDuring(t *testing.T, server *pubsub.Server, call func(*pubsub.Server)) (n int) {
	begun, over := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-begun
		for !isClosed(over) {
			require.NoError(t, server.Publish(ctx, 0))
			if !isClosed(over) {
				n++
			}
		}
	})
	close(begun)
	call(server)
	close(over)
	wg.Wait()
	return n
}

// UnsubscribeAll ends what the client had when it was called, not what it
// subscribes to meanwhile.
func TestUnsubscribeAllSparesWhatComesMeanwhile(t *testing.T) {
	server := newServer(t)
	for range 5 {
		first := subscribe(t, server, "big", "a = -1", 1, pubsub.Cancel)
		subscribeBig(t, server, 500)
		var wg sync.WaitGroup
		var later []*pubsub.Subscription
		wg.Go(func() {
			<-first.Canceled() // it has begun
			for i := range 200 {
				sub, err := server.Subscribe(ctx, "big", query.MustParse(fmt.Sprintf("b = %d", i)))
				if err != nil {
					panic(err)
				}
				later = append(later, sub)
			}
		})
		require.NoError(t, server.UnsubscribeAll(ctx, "big"))
		wg.Wait()
		require.Equal(t, 200, server.NumClientSubscriptions("big"))
		for _, sub := range later {
			require.NoError(t, sub.Err())
		}
		require.NoError(t, server.UnsubscribeAll(ctx, "big"))
		require.Zero(t, server.NumClients())
	}
}

// A client with many subscriptions finds them another way.
func TestOneOfManySubscriptionsCanComeBack(t *testing.T) {
	server := newServer(t)
	for i := range 20 {
		subscribe(t, server, "c", fmt.Sprintf("a = %d", i), 1, pubsub.Cancel)
	}
	for i := range 20 {
		q := parse(fmt.Sprintf("a = %d", i))
		require.NoError(t, server.Unsubscribe(ctx, "c", q))
		require.ErrorIs(t, server.Unsubscribe(ctx, "c", q), pubsub.ErrSubscriptionNotFound)
		_, err := server.Subscribe(ctx, "c", q)
		require.NoError(t, err)
		_, err = server.Subscribe(ctx, "c", q)
		require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed)
	}
	require.Equal(t, 20, server.NumClientSubscriptions("c"))
}

// Calls over all subscriptions work in steps of 64, and reach the last one
// wherever a step ends.
func TestNoSubscriptionIsLeftOutBetweenSteps(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 128, 129, 512, 513} {
		server := newServer(t)
		var subs []*pubsub.Subscription
		for i := range n {
			subs = append(subs, subscribe(t, server, fmt.Sprint(i), "", 1, pubsub.Cancel))
		}
		require.Len(t, server.Stats().Subscriptions, n)
		require.NoError(t, server.Stop())
		for _, sub := range subs {
			require.Equal(t, pubsub.ErrServerStopped, sub.Err())
		}
	}
}
