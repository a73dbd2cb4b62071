package redisbridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

// The IDs of a stream go on from the latest, whatever the clock of Redis shows
// after it stepped back: a process that comes then waits for no clock to catch up.
func TestDurableGoesOnWhenTheClockOfRedisStepsBack(t *testing.T) {
	clock := redistest.NewClock(t)
	server := clock.Start(t)
	a, b, got := joinTwo(t, server, durable("steps"))
	a.number(t, 0)
	got.await(t, has(0))
	for n, step := range []time.Duration{-40 * time.Second, -2 * time.Hour, 3 * time.Hour, -10 * time.Minute} {
		_, err := clock.Step(step)
		require.NoError(t, err)
		late := join(t, server, durable("steps")).awaitReady(t)
		late.number(t, n+1)
		require.NoError(t, late.Flush(within(t, patience)), "after a step of %v", step)
		got.await(t, has(n+1))
		require.NoError(t, late.Close())
	}
	require.Empty(t, b.gaps.all())
}

// A process whose clock was ahead for a moment stamps no frame of the future
// after it: somebody who comes then takes it up.
func TestClockThatWasAheadHidesNobody(t *testing.T) {
	redis := redistest.Start(t)
	o := Options{Namespace: "ahead", Mode: Live}
	a := join(t, redis, o).awaitReady(t)
	a.clock.offset.Add(time.Hour.Microseconds())
	a.number(t, 0)
	eventually(t, "the clock is put right", func() bool { return a.clock.offset.Load() < time.Minute.Microseconds() })
	b := join(t, redis, o).awaitReady(t)
	got := b.collect()
	a.number(t, 1)
	a.number(t, 2)
	got.await(t, has(2))
}

// Marks with earlier stamps are signs of life when the clock of Redis has stepped
// back, and once only.
func TestMarksAreNewsAfterTheClockSteppedBack(t *testing.T) {
	in := &inbound{member: &member{opt: Options{Mode: Live}}, origins: newOrigins(10)}
	isNews := func(ahead time.Duration) bool {
		h := header{kind: kindMark, first: 1, name: "a", stamp: in.clock.at(time.Now().Add(ahead))}
		_, _, isNews, err := in.pass(&arrival{}, &h)
		require.NoError(t, err)
		return isNews
	}
	require.True(t, isNews(0))
	require.False(t, isNews(-time.Second), "a repetition")
	require.False(t, isNews(time.Hour), "its clock is ahead")
	require.True(t, isNews(time.Second))
	in.clock.offset.Add(-time.Hour.Microseconds())
	require.True(t, isNews(0), "the first after the step")
	require.False(t, isNews(-time.Second), "a repetition")
	require.True(t, isNews(time.Second))
}

// However far the clock of Redis steps, the marks of a process that has nothing to
// send stay signs of life.
func TestMarksAreNewsAfterAnyStepOfTheClock(t *testing.T) {
	for _, ahead := range []time.Duration{1, 14, 16, 31, 59, 61, 3600} {
		for _, step := range []time.Duration{-ahead * time.Second, ahead * time.Second} {
			m := &member{opt: Options{Mode: Live, Partitions: 1}, origin: pubsub.Origin{Name: "a", Epoch: 1}}
			m.beat = beat{clock: &m.clock, sent: make([]int64, 1), back: make([]int64, 1)}
			in := &inbound{member: m, origins: newOrigins(10)}
			sender := &packer{member: m}
			for range 3 {
				_, _, isNews, err := in.pass(&arrival{}, sender.header(kindMark))
				require.NoError(t, err)
				require.True(t, isNews, "around a step of %v", step)
				m.clock.offset.Add(step.Microseconds())
				step = -step / 3
			}
		}
	}
}

// Now is not after the entry of the future that a stranger has written: a writer
// takes that away, and what it writes then comes after Now.
func TestNowIsNotTheFutureOfAStranger(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("future")).awaitReady(t)
	for n := range 3 {
		a.number(t, 2*n)
		require.NoError(t, a.Flush(within(t, patience)))
		future := entryID{uint64(time.Now().Add(time.Hour).UnixMilli()), 1}
		redis.Do(t, "XADD", namesOfPartition("future", 0, a.Origin()).stream, future.String(), "f", "garbage", "p", "0-0")
		b := join(t, redis, durable("future")).awaitReady(t)
		got := b.collect()
		a.number(t, 2*n+1)
		requireInOrder(t, 2*n+1, 2*n+2, got.await(t, has(2*n+1)))
		require.Empty(t, b.gaps.all())
		require.NoError(t, b.Close())
	}
}
