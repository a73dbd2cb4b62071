package redisbridge

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

func durable(namespace string) Options {
	return Options{Namespace: namespace, Mode: Durable}
}

// cutOften cuts the proxies in turn, n times in all, until stop is closed.
func cutOften(n int, every time.Duration, proxies ...*redistest.Proxy) (done chan int) {
	done = make(chan int, 1)
	go func() {
		cut := 0
		for i := range n {
			time.Sleep(every/2 + rand.N(every))
			cut += proxies[i%len(proxies)].Cut()
		}
		done <- cut
	}()
	return done
}

func TestDurableLosesAndDuplicatesNothingAcrossFortyCuts(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("cuts"))

	n := atRate(100_000)
	cuts := cutOften(40, 120*time.Millisecond, a.proxy, b.proxy)
	a.pace(t, n, atRate(20_000), func(i int) { a.number(t, i) })
	require.NoError(t, a.Flush(within(t, patience)))
	require.Positive(t, <-cuts)
	a.number(t, n)
	requireInOrder(t, 0, n+1, got.await(t, has(n)))
	require.Empty(t, b.gaps.all())
	require.Zero(t, a.Stats().Dropped)
	t.Logf("resent %d, of these written before %d; reader connections %d", a.Stats().Resent, a.Stats().Already, b.Stats().Reconnects)
}

func TestDurableSurvivesAServerThatIsKilledAndRestarted(t *testing.T) {
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	a, b, got := joinTwo(t, redis, durable("restart"))
	for i := range 300 {
		a.number(t, i)
		if i%100 == 50 {
			redis.Restart(t)
		}
	}
	requireInOrder(t, 0, 300, got.await(t, has(299)))
	require.Empty(t, b.gaps.all())
}

func TestBlackHoleIsNoticedInTime(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			a, b, got := joinTwo(t, redis, Options{Mode: mode})
			a.number(t, 0)
			got.await(t, has(0))
			a.proxy.Blackhole(true)
			b.proxy.Blackhole(true)
			began := time.Now()
			a.number(t, 1)
			for _, s := range []*side{a, b} {
				eventually(t, "the failure is noticed", func() bool { return s.Stats().Failures > 0 })
			}
			noticed := time.Since(began)
			t.Logf("noticed after %v", noticed)
			if !raceEnabled {
				require.Less(t, noticed, 1500*time.Millisecond)
			}
			a.proxy.Blackhole(false)
			b.proxy.Blackhole(false)
			if mode == Durable {
				requireInOrder(t, 0, 2, got.await(t, has(1)))
			}
		})
	}
}

func TestFlushAllIsAGapAndReadingBeginsAnew(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("flush"))
	for i := range 100 {
		a.number(t, i)
	}
	got.await(t, has(99))
	redis.Do(t, "FLUSHALL")
	for i := 100; i < 200; i++ {
		a.number(t, i)
	}
	requireInOrder(t, 0, 200, got.await(t, has(199)))
	eventually(t, "the gap is reported", func() bool { return b.gaps.count(Reset)+b.gaps.count(Rewound) > 0 })
	require.Zero(t, b.gaps.lost())
}

// A stream that is empty after FLUSHALL says nothing to a reader that waits.
func TestFlushAllOfAnIdleStreamIsNoticed(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("idle"))
	a.number(t, 0)
	got.await(t, has(0))
	redis.Do(t, "FLUSHALL")
	eventually(t, "the gap is reported", func() bool { return b.gaps.count(Reset) == 1 })
	a.number(t, 1)
	requireInOrder(t, 0, 2, got.await(t, has(1)))
}

func TestTrimmedStreamIsAGapWithExactCounts(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("trim")
	o.RetainFrames = 5
	a, b, got := joinTwo(t, redis, o)
	a.number(t, 0)
	got.await(t, has(0))
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	n := 20_000
	for i := 1; i < n; i++ {
		a.number(t, i)
	}
	require.NoError(t, a.Flush(within(t, patience)))
	b.proxy.Refuse(t, false)
	a.number(t, n)
	numbers := got.await(t, has(n))
	require.Positive(t, b.gaps.lost())
	require.Equal(t, n+1, len(numbers)+b.gaps.lost(), "what came and what is missing is all")
	require.Equal(t, 1, b.gaps.count(Trimmed))
}

func TestReaderResumesAtACursor(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("cursor")
	a := join(t, redis, o).awaitReady(t)
	for i := range 100 {
		a.number(t, i)
	}
	require.NoError(t, a.Flush(within(t, patience)))

	o.Redis = optionOf(redis.Addr)
	o.From = FromFirst()
	next := 0
	for next < 100 { // a few at a time, in the middle of frames too
		r, err := NewReader(o, nil)
		require.NoError(t, err)
		for range 7 {
			if next == 100 {
				break
			}
			got, err := r.Next(within(t, patience))
			require.NoError(t, err)
			require.Nil(t, got.Gap)
			require.Equal(t, next, got.Data)
			next++
		}
		text := r.Cursor().String()
		require.NoError(t, r.Close())
		c, err := ParseCursor(text)
		require.NoError(t, err)
		o.From = FromCursor(c)
	}
}

func TestCursorOfAnotherIncarnationIsAGap(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("incarnation")
	a := join(t, redis, o).awaitReady(t)
	a.number(t, 1)
	require.NoError(t, a.Flush(within(t, patience)))
	c, err := ParseCursor("0123456789012345@1767323045000-42")
	require.NoError(t, err)
	o.Redis, o.From = optionOf(redis.Addr), FromCursor(c)
	r, err := NewReader(o, nil)
	require.NoError(t, err)
	defer r.Close()
	got, err := r.Next(within(t, patience))
	require.NoError(t, err)
	require.Equal(t, Reset, got.Gap.Reason)
	got, err = r.Next(within(t, patience))
	require.NoError(t, err)
	require.Equal(t, 1, got.Data)
}

func TestCursorBehindATrimmedStreamIsAGap(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("behind")
	o.RetainFrames = 2
	a := join(t, redis, o).awaitReady(t)
	a.number(t, 0)
	require.NoError(t, a.Flush(within(t, patience)))
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r, err := NewReader(o, nil)
	require.NoError(t, err)
	_, err = r.Next(within(t, patience))
	require.NoError(t, err)
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())

	for i := 1; i < 10; i++ {
		require.NoError(t, a.Publish(background(), make([]byte, frameTarget), nil)) // a frame each
	}
	require.NoError(t, a.Flush(within(t, patience)))
	r, err = NewReader(o, nil)
	require.NoError(t, err)
	defer r.Close()
	got, err := r.Next(within(t, patience))
	require.NoError(t, err)
	require.NotNil(t, got.Gap)
	require.Equal(t, Trimmed, got.Gap.Reason)
}

func TestOutOfMemoryStopsTheWriterUntilThereIsRoom(t *testing.T) {
	redis := redistest.Start(t)
	errs := make(chan error, 100)
	o := durable("oom")
	o.OnError = func(err error) { errs <- err }
	a := join(t, redis, o).awaitReady(t)
	b := join(t, redis, durable("oom")).awaitReady(t)
	got := b.collect()
	a.number(t, 0)
	got.await(t, has(0))
	redis.Do(t, "CONFIG", "SET", "maxmemory", "1")
	a.number(t, 1)
	require.ErrorContains(t, <-errs, "OOM")
	for i := 2; i < 100; i++ {
		a.number(t, i)
	}
	redis.Do(t, "CONFIG", "SET", "maxmemory", "0")
	requireInOrder(t, 0, 100, got.await(t, has(99)))
	require.Empty(t, b.gaps.all())
	require.Empty(t, errs, "one episode is one error")
}

// A failover to a replica that missed the last writes loses them: Redis did
// not keep what it acknowledged. Readers that saw them go on, and no reader is
// told of less than is missing.
func TestFailoverIsSurvivedAndReported(t *testing.T) {
	sentinel := redistest.StartSentinel(t)
	o := durable("failover")
	o.Redis = sentinel.Option()
	a := joinAt(t, o).awaitReady(t)
	b := joinAt(t, o).awaitReady(t)
	got := b.collect()
	for i := range 100 {
		a.number(t, i)
	}
	got.await(t, has(99))
	sentinel.Failover(t)
	for i := 100; i < 200; i++ {
		a.number(t, i)
	}
	numbers := got.await(t, has(199))
	require.Equal(t, 200, len(numbers)+b.gaps.lost())
}

// What a replica does not have after a failover, here by hand: the end of the
// stream and the sequence of the origin of before.
func TestRewoundStreamIsAGapWithoutDuplicates(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("rewound"))
	for i := range 10 {
		a.number(t, i)
		require.NoError(t, a.Flush(within(t, patience)))
	}
	got.await(t, has(9))
	rewind(t, redis, a, 5)

	a.number(t, 10)
	requireInOrder(t, 0, 11, got.await(t, has(10)))
	eventually(t, "the gap is reported", func() bool { return b.gaps.count(Rewound) == 1 })
}

// rewind makes the stream of a side's partition 0 what it was after so many
// entries, all of that side.
func rewind(t *testing.T, redis *redistest.Server, a *side, kept int) {
	t.Helper()
	keys := namesOfPartition(a.opt.Namespace, 0, a.Origin())
	copied := must(redis.Do(t, "XRANGE", keys.stream, "-", "+").AsXRange())
	groups := must(redis.Do(t, "XINFO", "GROUPS", keys.stream).ToArray())
	epoch := must(groups[0].AsMap())["name"]
	redis.Do(t, "DEL", keys.stream)
	for _, e := range copied[:kept] {
		redis.Do(t, "XADD", keys.stream, e.ID, "f", e.FieldValues["f"], "p", e.FieldValues["p"])
	}
	redis.Do(t, "XGROUP", "CREATE", keys.stream, must(epoch.ToString()), "0", "MKSTREAM")
	redis.Do(t, "SET", keys.origin, strconv.Itoa(kept))
	if kept > 0 {
		redis.Do(t, "SET", keys.last, copied[kept-1].ID)
	}
}

func TestForeignEntriesAreCountedAndPassedOver(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("foreign"))
	stream := namesOfPartition("foreign", 0, a.Origin()).stream
	whole := string(testFrame(header{kind: kindEvents, codec: 1, first: 1, count: 2, epoch: 1, name: "x", namespace: "foreign"}, nil))
	elsewhere := string(testFrame(header{kind: kindEvents, codec: 1, first: 1, count: 2, epoch: 1, name: "x", namespace: "other"}, nil))
	flipped := []byte(whole)
	flipped[40] ^= 4

	a.number(t, 0)
	require.NoError(t, a.Flush(within(t, patience)))
	redis.Do(t, "XADD", stream, "*", "who", "me", "what", "this")
	redis.Do(t, "XADD", stream, "*", "f", "nonsense", "p", "0-0")
	redis.Do(t, "XADD", stream, "*", "f", whole[:len(whole)-3], "p", "0-0")
	redis.Do(t, "XADD", stream, "*", "f", string(flipped), "p", "0-0")
	redis.Do(t, "XADD", stream, "*", "f", elsewhere, "p", "0-0")
	redis.Do(t, "XADD", stream, "*", "f", string(make([]byte, DefaultMaxFrame+100)), "p", "0-0")
	redis.Do(t, "XADD", stream, "99999999999999-5", "f", "from the future")
	a.number(t, 1)
	a.number(t, 2)
	requireInOrder(t, 0, 3, got.await(t, has(2)))
	s := b.Stats()
	require.GreaterOrEqual(t, s.Malformed, uint64(4), "the one of the future may be gone before it was read")
	require.Positive(t, s.Foreign)
	require.Positive(t, s.Oversized)
	require.Empty(t, b.gaps.all())
}

func TestReaderThatIsPausedStopsReadingAndLosesNothing(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("paused")
	a := join(t, redis, o).awaitReady(t)
	o.Redis, o.InboxBytes = optionOf(redis.Addr), 1<<20
	r, err := NewReader(o, nil)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, r.Ready(within(t, patience)))

	n := atRate(100_000)
	for i := range n {
		a.number(t, i)
	}
	require.NoError(t, a.Flush(within(t, patience)))
	eventually(t, "the reader stops", func() bool { s := r.Stats(); return s.Inbox > 0 || n < 50_000 })
	require.Less(t, r.Stats().Received, uint64(aheadCount+frameEvents+2))
	for i := range n {
		got, err := r.Next(within(t, patience))
		require.NoError(t, err)
		require.Nil(t, got.Gap)
		require.Equal(t, i, got.Data)
	}
	require.Zero(t, r.Stats().Reconnects)
}

func TestOutboxThatDropsIsAGapInDurableToo(t *testing.T) {
	redis := redistest.Start(t)
	episodes := make(chan int, 1000)
	o := durable("drop")
	o.OutboxCount = 100
	o.OnError = func(err error) {
		if drop, is := err.(*DropError); is {
			episodes <- drop.Partition
		}
	}
	a := join(t, redis, o).awaitReady(t)
	b := join(t, redis, durable("drop")).awaitReady(t)
	got := b.collect()
	a.number(t, 0)
	require.NoError(t, a.Flush(within(t, patience)))
	got.await(t, has(0))
	a.proxy.Refuse(t, true)
	a.proxy.Cut()
	for i := 1; i <= 1000; i++ {
		require.NoError(t, a.server.PublishWithEvents(background(), i, numberEvents(i)))
	}
	require.Equal(t, 0, <-episodes)
	require.EqualValues(t, 900, a.Stats().Dropped)
	a.proxy.Refuse(t, false)
	eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == 1001 })
	require.Equal(t, 900, b.gaps.lost())
	require.Empty(t, episodes, "one episode is one call")
	require.Equal(t, 100, got.all()[100], "what does not fit is dropped, not what is there")
}

func TestAnotherNumberOfPartitionsRefusesToStart(t *testing.T) {
	redis := redistest.Start(t)
	join(t, redis, durable("layout")).awaitReady(t)
	o := durable("layout")
	o.Partitions, o.Route = 4, routeByNumber
	b := join(t, redis, o)
	err := b.Ready(within(t, patience))
	var wrong *LayoutError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "1", wrong.Have)
	require.Equal(t, "4", wrong.Want)
	<-b.Done()
	require.ErrorAs(t, b.Err(), &wrong)
	require.ErrorAs(t, b.Flush(context.Background()), &wrong)
}
