package redismux_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/stretchr/testify/require"
)

// The faults of RedisMPX go-mpx, which this package takes its API from. Each
// test is named after what happened there.

func TestClosingAPromiseSubscriptionDeadlocks(t *testing.T) {
	mux := newMux(t, redistest.Start(t).Option())
	sub := mux.NewPromiseSubscription("p:")
	require.NoError(t, sub.WaitForActivation(within(t)))
	promise, err := sub.NewPromise("1", time.Hour)
	require.NoError(t, err)

	closed := make(chan struct{})
	go func() { sub.Close(); close(closed) }()
	select {
	case <-closed:
	case <-within(t).Done():
		t.Fatal("Close does not return")
	}
	_, err = promise.Wait(within(t))
	require.ErrorIs(t, err, redismux.ErrClosed)
}

func TestWaitForActivationIsFalseWhenAlreadyActive(t *testing.T) {
	sub := newMux(t, redistest.Start(t).Option()).NewPromiseSubscription("p:")
	for range 3 {
		require.NoError(t, sub.WaitForActivation(within(t)))
	}
}

func TestSecondListenerOfALiveNameNeverGetsOnActivation(t *testing.T) {
	mux := newMux(t, redistest.Start(t).Option())
	d := newDiary()
	for i := range 3 {
		onMessage, _, onActivation, _ := d.as(fmt.Sprint(i))
		require.NoError(t, mux.NewChannelSubscription(onMessage, nil, onActivation).Add("c"))
		d.await(t, fmt.Sprintf("%d: active c", i))
		mux.NewPatternSubscription("c*", onMessage, nil, onActivation)
		d.await(t, fmt.Sprintf("%d: active c*", i))
	}
	require.Len(t, d.text(), 6, "each once")
	require.EqualValues(t, 2, mux.Stats().Commands, "without asking Redis again")
}

func TestRemoveThenAddInOneBatchEndsUnsubscribed(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, nil, d.onActivation)
	require.NoError(t, sub.Add("c"))
	d.await(t, "active c")
	for i := range 100 {
		require.NoError(t, sub.Remove("c"))
		require.NoError(t, sub.Add("c"))
		if i%10 == 0 {
			d.await(t, "active c") // let some batches pass, and the others grow
		}
	}
	require.NoError(t, sub.Add("last"))
	d.await(t, "active last")
	require.EqualValues(t, 1, publish(t, server, "c", "heard"))
	d.await(t, "c=heard")
}

func TestChannelAndOverlappingPatternGiveTwoCopies(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	listen := func(name string) (redismux.OnMessageFunc, redismux.OnActivationFunc) {
		onMessage, _, onActivation, _ := d.as(name)
		return onMessage, onActivation
	}
	onMessage, onActivation := listen("channel")
	require.NoError(t, mux.NewChannelSubscription(onMessage, nil, onActivation).Add("news.a"))
	onMessage, onActivation = listen("pattern")
	mux.NewPatternSubscription("news.*", onMessage, nil, onActivation)
	d.await(t, "channel: active news.a", "pattern: active news.*")

	require.EqualValues(t, 2, publish(t, server, "news.a", "x"), "Redis sends it twice")
	publish(t, server, "news.b", "end")
	d.await(t, "pattern: news.b=end")
	require.Equal(t, 1, d.count("channel: news.a=x"))
	require.Equal(t, 1, d.count("pattern: news.a=x"))
}

func TestPatternCloseLeavesThePatternInRedis(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	one := mux.NewPatternSubscription("p*", d.onMessage, nil, d.onActivation)
	two := mux.NewPatternSubscription("p*", d.onMessage, nil, d.onActivation)
	require.Equal(t, "p*", one.GetPattern())
	d.await(t, "active p*", "active p*")
	one.Close()
	one.Close()
	require.EqualValues(t, 1, publish(t, server, "px", "still heard by two"))
	two.Close()
	eventually(t, func() bool { _, patterns := subscribed(t, server); return patterns == 0 })
}

func TestOfTwoPromisesOnOneSuffixOneIsForgotten(t *testing.T) {
	server := redistest.Start(t)
	sub := newMux(t, server.Option()).NewPromiseSubscription("p:")
	var promises []*redismux.Promise
	for range 3 {
		promise, err := sub.WaitForNewPromise(within(t), "same", time.Hour)
		require.NoError(t, err)
		promises = append(promises, promise)
	}
	publish(t, server, "p:same", "value")
	for _, promise := range promises {
		message, err := promise.Wait(within(t))
		require.NoError(t, err)
		require.Equal(t, "value", string(message))
		_, more := <-promise.C
		require.False(t, more, "one message, then closed")
		require.NoError(t, promise.Err())
	}
}

func TestABurstOver100Deadlocks(t *testing.T) {
	const burst = 5000
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	sub := mux.NewPromiseSubscription("p:")
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, nil, d.onActivation).Add("c"))
	d.await(t, "active c")
	last, err := sub.WaitForNewPromise(within(t), "last", time.Hour)
	require.NoError(t, err)
	promises := make(chan *redismux.Promise, burst)
	for i := range burst {
		promise, err := sub.NewPromise(fmt.Sprint(i), time.Hour)
		require.NoError(t, err)
		promises <- promise
	}
	client := server.Client(t)
	for i := range burst {
		require.NoError(t, client.Do(t.Context(), client.B().Publish().Channel("p:nobody").Message("x").Build()).Error())
		require.NoError(t, client.Do(t.Context(), client.B().Publish().Channel(fmt.Sprintf("p:%d", i)).Message("x").Build()).Error())
	}
	publish(t, server, "p:last", "x")
	_, err = last.Wait(within(t))
	require.NoError(t, err)
	for range burst {
		_, err := (<-promises).Wait(within(t))
		require.NoError(t, err)
	}
}

// 3,537 dials in two seconds.
func TestRefusedSubscribeRedialsWithoutEnd(t *testing.T) {
	server, option := limited(t, "+@all", "resetchannels", "&allowed")
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, option))
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	require.NoError(t, sub.Add("forbidden"))
	d.await(t, "error forbidden")
	<-time.After(2 * time.Second)
	require.LessOrEqual(t, proxy.Dials(), 12)
	require.Equal(t, 2, proxy.Dials(), "one connection for commands, one for subscriptions")
	require.Equal(t, []string{"error forbidden"}, d.text())

	require.NoError(t, sub.Add("allowed"))
	d.await(t, "active allowed")
}

// Two ping timeouts of 30 s.
func TestABlackHoleTakes60Seconds(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()))
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
	for range 3 {
		d.await(t, "active c")
		d = d.reset()
		began := time.Now()
		proxy.Blackhole(true)
		d.await(t, "lost")
		took := time.Since(began)
		t.Logf("noticed after %v", took)
		require.LessOrEqual(t, took, 1200*time.Millisecond+slack)
		proxy.Blackhole(false)
	}
}

// slack is what the scheduler of a busy machine may add to a timer.
const slack = 300 * time.Millisecond

// What holds the promises gives its room back too: see
// TestWhatHoldsPromisesShrinks.
func TestATimedOutPromiseLeaks(t *testing.T) {
	sub := newMux(t, redistest.Start(t).Option()).NewPromiseSubscription("p:")
	require.NoError(t, sub.WaitForActivation(within(t)))
	const n = 20_000
	var freed atomic.Int64
	var last *redismux.Promise
	for i := range n {
		promise, err := sub.NewPromise(fmt.Sprint(i), time.Millisecond)
		require.NoError(t, err)
		runtime.AddCleanup(promise, func(struct{}) { freed.Add(1) }, struct{}{})
		last = promise
	}
	_, err := last.Wait(within(t))
	require.ErrorIs(t, err, redismux.ErrTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	runtime.KeepAlive(last)
	eventually(t, func() bool { runtime.GC(); return freed.Load() == n })
}
