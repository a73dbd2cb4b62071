package redisbridge

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

// What a Publish has reserved is returned, whether its context ends before or
// just after the room was granted.
func TestReservationIsReturnedWhenPublishIsCancelled(t *testing.T) {
	o := newTestOutbox(1, 1<<20)
	for range 20 {
		require.NoError(t, o.reserve(background(), 1))
		ctx, cancel := context.WithCancel(background())
		waiting := make(chan error, 1)
		go func() { waiting <- o.reserve(ctx, 1) }()
		eventually(t, "it waits", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.waiters) == 1 })
		o.mu.Lock()
		cancel() // it wants to give up
		o.unreserveLocked(1)
		o.mu.Unlock()
		if <-waiting == nil {
			o.unreserve(1)
		}
		require.Equal(t, load{}, o.reserved)
		require.Empty(t, o.waiters)
	}
}

// The last publications are dropped, and nothing follows that would show it.
func TestDropWakesWhoeverMarksIt(t *testing.T) {
	o, s := newTestOutbox(1, 1<<20), &scale{}
	o.offer(heavy(0, 0), &measure{}, false)
	items, _ := o.take(s, nil, 10, 1<<20)
	require.Len(t, items, 1)
	_, _ = o.take(s, nil, 10, 1<<20) // there is nothing: it waits
	for len(o.wake) > 0 {
		<-o.wake
	}
	require.True(t, o.offer(heavy(0, 0), &measure{}, false), "an episode begins")
	require.Len(t, o.wake, 1)
	_, skipped := o.take(s, nil, 10, 1<<20)
	require.EqualValues(t, 1, skipped)
}

func TestSecondReplyBlocksNobody(t *testing.T) {
	r := &requests{waiting: make(map[uint64]chan Received)}
	id, replies := r.add()
	require.True(t, r.give(id, Received{Data: 1}))
	require.False(t, r.give(id, Received{Data: 2}))
	require.False(t, r.give(id, Received{Data: 3}))
	require.Equal(t, 1, (<-replies).Data)
}

func TestSecretHasAtLeastSixteenBytes(t *testing.T) {
	require.Error(t, validateKeys([]Key{{ID: 1, Secret: make([]byte, 15)}}))
	require.NoError(t, validateKeys([]Key{{ID: 1, Secret: make([]byte, 16)}}))
}

// A frame that is larger than the inbox comes through all the same.
func TestFrameLargerThanTheInboxFits(t *testing.T) {
	redis := redistest.Start(t)
	for _, mode := range []Mode{Live, Durable} {
		o := Options{Namespace: "large", Mode: mode}
		a := join(t, redis, o).awaitReady(t)
		o.InboxBytes = 1000
		b := join(t, redis, o).awaitReady(t)
		sub := subscribeAll(t, b.server, 10)
		require.NoError(t, a.Publish(background(), make([]byte, 100_000), nil))
		m, err := sub.Next(within(t, patience))
		require.NoError(t, err)
		require.Len(t, m.Data(), 100_000)
	}
}

// Somebody who repeats what a dead process has said does not keep it alive.
func TestRepetitionIsNoSignOfLife(t *testing.T) {
	redis := redistest.Start(t)
	b := join(t, redis, live("alive")).awaitReady(t)
	channel := namesOfPartition("alive", 0, pubsub.Origin{}).channel
	h := header{kind: kindMark, first: 1, stamp: time.Now().UnixMicro(), epoch: 1, name: "x", namespace: "alive"}
	mark := string(finish(binary.BigEndian.AppendUint32(appendHeader(nil, &h), 1000), 0, nil))
	ctx := within(t, patience)
	for b.gaps.count(Silent) == 0 {
		redis.Do(t, "PUBLISH", channel, mark)
		require.NoError(t, ctx.Err(), "it counts as alive")
		time.Sleep(50 * time.Millisecond) // how often it is repeated
	}
	redis.Do(t, "PUBLISH", channel, mark)
	eventually(t, "it stays gone", func() bool { return b.Stats().Origins == 0 })
}

// An OnError that takes its time makes nobody hold errors without end: those
// that did not wait are counted, and what ended the bridge is reported anyway.
func TestErrorsThatWaitForASlowOnErrorAreBounded(t *testing.T) {
	busy, errs := make(chan struct{}), &reported{}
	n := newNotices(func(err error) { <-busy; errs.add(err) })
	for range 100_000 {
		n.dropped(0)
	}
	n.ended(ErrClosed)
	require.Len(t, n.errors, maxWaiting+1)
	close(busy)
	n.report()
	require.Len(t, errs.errs, maxWaiting+2)
	require.Equal(t, 1, errs.of(ErrClosed))
	require.True(t, errs.has("99936 more errors"))
	n.dropped(0)
	n.report()
	require.Len(t, errs.errs, maxWaiting+3, "and then one by one again")
}
