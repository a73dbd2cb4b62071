package pubsub

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// In-package, to come in between the steps of a call.

func subscribeMany(t *testing.T, s *Server, key string, n int) (subs []*Subscription) {
	for i := range n {
		sub, err := s.Subscribe(context.Background(), "big", query.MustParse(fmt.Sprintf("%s = %d", key, i)))
		require.NoError(t, err)
		subs = append(subs, sub)
	}
	return subs
}

// UnsubscribeAll ends what the client had when it was called, and not what it
// subscribes to between two of its steps.
func TestStepsOfUnsubscribeAllSpareWhatComesInBetween(t *testing.T) {
	s := NewServer()
	old := subscribeMany(t, s, "old", 2*step+1)
	c, born := s.registry.clients["big"], s.registry.births
	var young []*Subscription
	steps := 0
	for more := true; more && steps < 10; steps++ {
		_, more = s.unsubscribeStep(c, born, nil)
		young = append(young, subscribeMany(t, s, fmt.Sprint("young", steps), step)...)
	}
	require.Equal(t, 3, steps)
	for _, sub := range old {
		require.Equal(t, ErrUnsubscribed, sub.Err())
	}
	for _, sub := range young {
		require.NoError(t, sub.Err())
	}
	require.Equal(t, len(young), s.NumClientSubscriptions("big"))
}

// Stop closes the queue before it ends the waits of Block: a wait that ends
// makes room, and nobody who waits for room may be let in by it.
func TestStopClosesTheQueueBeforeItEndsWaits(t *testing.T) {
	s := NewServer()
	require.NoError(t, s.Start())
	s.queue.mu.Lock() // closing it takes as long as the test wants
	stopped := make(chan error)
	go func() { stopped <- s.Stop() }()
	select {
	case <-s.stopping:
		require.Fail(t, "waits end while the queue is open")
	case <-time.After(50 * time.Millisecond): // long enough to notice, whatever it is
	}
	s.queue.mu.Unlock()
	<-s.stopping
	require.True(t, s.turn.look().closed())
	require.NoError(t, <-stopped)
}

// Somebody who waits for the lock does not wait until all are cut that one
// publication did not fit.
func TestThoseWhoAreCutTogetherAreCutInSteps(t *testing.T) {
	const n = 50_000
	s := NewServer()
	for i := range n {
		_, err := s.Subscribe(context.Background(), fmt.Sprint(i), query.All, 1)
		require.NoError(t, err)
	}
	s.mu.LockFirst()
	for sub := range n {
		s.full.cut = append(s.full.cut, s.registry.slots.at(uint32(sub)).sub)
	}
	left := make(chan int)
	go func() {
		s.mu.Lock()
		n := s.registry.slots.live
		s.mu.Unlock()
		left <- n
	}()
	time.Sleep(10 * time.Millisecond) // it waits; were it late, it would see none left
	s.cutOverfull()
	s.mu.Unlock()
	require.NotZero(t, <-left)
	require.Zero(t, s.NumClients())
	require.EqualValues(t, n, s.totals.cut)
}

// Somebody who waits for the lock does not wait until all have a publication that
// the queries of very many match. Who ends in between does not get it.
func TestManyQueriesGetOnePublicationInSteps(t *testing.T) {
	for range 20 { // until somebody has come in between
		if deliverWhileOneLeaves(t, 20_000) {
			return
		}
	}
	require.Fail(t, "whoever waits for the lock waits for the whole of it")
}

// deliverWhileOneLeaves delivers a message to some topics while the subscription
// of the last one is to be removed, and tells whether that came in between.
func deliverWhileOneLeaves(t *testing.T, n int) bool {
	s := NewServer()
	subs := subscribeMany(t, s, "a", n)
	var topics []*topic
	for _, sub := range subs {
		topics = append(topics, sub.topic)
	}
	last := subs[n-1]
	left := make(chan struct{})
	s.mu.LockFirst()
	go func() {
		defer close(left)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(last, ErrUnsubscribed)
	}()
	for s.mu.others.TryLock() { // until it waits
		s.mu.others.Unlock()
		runtime.Gosched()
	}
	members := s.deliver(&Message{}, topics)
	s.mu.Unlock()
	<-left
	require.Equal(t, members-(n-1), last.Len())
	for _, sub := range subs[:n-1] {
		require.Equal(t, 1, sub.Len())
	}
	return members < n
}

// What has been unsubscribed between two steps of cutting is not cut as well.
func TestUnsubscribedBetweenTheStepsOfCutting(t *testing.T) {
	s := NewServer()
	subs := subscribeMany(t, s, "a", 3)
	require.NoError(t, s.UnsubscribeID(context.Background(), subs[1].ID()))
	s.mu.LockFirst()
	s.full.cut = append(s.full.cut, subs...)
	s.cutOverfull()
	require.Equal(t, []*Subscription{subs[0], subs[2]}, s.full.cut)
	s.mu.Unlock()
	require.EqualValues(t, 2, s.totals.cut)
	require.Equal(t, ErrUnsubscribed, subs[1].Err())
	require.Equal(t, ErrOutOfCapacity, subs[2].Err())
}

// Many subscriptions that have ended leave no memory behind.
func TestManySubscriptionsThatEndedTakeNoMemory(t *testing.T) {
	s := NewServer()
	before := heap()
	for i := range 20_000 {
		_, err := s.Subscribe(context.Background(), fmt.Sprint(i), query.MustParse(fmt.Sprintf("a = %d", i)))
		require.NoError(t, err)
	}
	for i := range 20_000 {
		require.NoError(t, s.UnsubscribeAll(context.Background(), fmt.Sprint(i)))
	}
	require.Less(t, heap()-before, int64(200_000))
	require.Zero(t, s.NumClients()) // it is still there
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What a long tail took is given back as it is read, though it was taken off the
// log in one piece.
func TestTailIsGivenBackAsItIsRead(t *testing.T) {
	const n = 500 * largeChunk
	s := NewServer()
	require.NoError(t, s.Start())
	defer func() { require.NoError(t, s.Stop()) }()
	sub, err := s.Subscribe(context.Background(), "c", query.All, n)
	require.NoError(t, err)
	before := heap()
	for i := range n {
		require.NoError(t, s.Publish(context.Background(), i))
	}
	require.NoError(t, s.UnsubscribeID(context.Background(), sub.ID()))
	require.Greater(t, heap()-before, int64(1_000_000))
	for range n - 1 {
		_, err := sub.Next(context.Background())
		require.NoError(t, err)
	}
	require.Less(t, heap()-before, int64(300_000))
	m, err := sub.Next(context.Background())
	require.NoError(t, err)
	require.Equal(t, n-1, m.Data())
}

// The last of many subscriptions may end in the middle of a step.
func TestStopEndsTheLastOfMany(t *testing.T) {
	for _, freed := range []int{0, 1, step / 2, step} {
		s := NewServer()
		require.NoError(t, s.Start())
		subs := subscribeMany(t, s, "a", slotsPerPage+2*step)
		for _, sub := range subs[len(subs)-freed:] {
			require.NoError(t, s.UnsubscribeID(context.Background(), sub.ID()))
		}
		require.NoError(t, s.Stop())
		for _, sub := range subs[:len(subs)-freed] {
			require.Equal(t, ErrServerStopped, sub.Err())
		}
		require.Zero(t, s.NumClients())
	}
}
