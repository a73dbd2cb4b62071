package redisbridge

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"

	"github.com/harkbus/pubsub/codec"
)

func live(namespace string) Options {
	return Options{Namespace: namespace, Mode: Live}
}

// Whatever is cut, what came and what is reported missing is everything.
func TestLiveReportsEveryLossExactly(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, live("cuts"))
	a.number(t, 0)
	got.await(t, has(0)) // the first frame seen

	n := atRate(100_000)
	cuts := cutOften(40, 120*time.Millisecond, a.proxy, b.proxy)
	a.pace(t, n, atRate(20_000), func(i int) { a.number(t, i+1) })
	require.NoError(t, a.Flush(within(t, patience)))
	require.Positive(t, <-cuts)
	eventually(t, "a mark tells of the end", func() bool { return len(got.all())+b.gaps.lost() >= n+1 })
	numbers := got.all()
	require.Equal(t, n+1, len(numbers)+b.gaps.lost())
	requireGapsFit(t, n, numbers, b.gaps.all())
	require.Zero(t, b.gaps.count(Silent))
	t.Logf("lost %d in %d gaps", b.gaps.lost(), len(b.gaps.all()))
}

// requireGapsFit holds every gap against the numbers that came: a sequence is
// one more than its number.
func requireGapsFit(t *testing.T, n int, got []int, gaps []Gap) {
	t.Helper()
	seen := make([]int, n+1)
	for i, number := range got {
		seen[number]++
		require.True(t, i == 0 || got[i-1] < number, "order")
	}
	for _, g := range gaps {
		require.Equal(t, Lost, g.Reason)
		require.EqualValues(t, g.Count, g.To-g.From+1)
		for s := g.From; s <= g.To; s++ {
			seen[s-1]++
		}
	}
	for i, times := range seen {
		require.Equal(t, 1, times, "number %d", i)
	}
}

func TestMarkTellsOfALostTailWithinASecond(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, live("tail"))
	a.number(t, 0)
	got.await(t, has(0))
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	for i := range 10 {
		a.number(t, i+1)
	}
	require.NoError(t, a.Flush(within(t, patience)))
	sent := time.Now()
	b.proxy.Refuse(t, false)
	eventually(t, "the loss is reported", func() bool { return b.gaps.lost() == 10 })
	if !raceEnabled {
		require.Less(t, time.Since(sent), time.Second+maxBackoff)
	}
}

func TestCloseSendsAMarkAndNobodyIsMissed(t *testing.T) {
	redis := redistest.Start(t)
	o := live("close")
	o.Lease = 2 * time.Second
	a, b, got := joinTwo(t, redis, o)
	for i := range 100 {
		require.NoError(t, a.server.PublishWithEvents(background(), i, numberEvents(i)))
	}
	require.NoError(t, a.Close())
	requireInOrder(t, 0, 100, got.await(t, has(99)))
	eventually(t, "the origin is gone", func() bool { return b.Stats().Origins == 0 })
	require.Empty(t, b.gaps.all())
}

func TestSilentOriginIsAGapWhenItsLeaseEnds(t *testing.T) {
	redis := redistest.Start(t)
	o := live("silent")
	o.Lease = 2 * time.Second
	o.CloseTimeout = time.Millisecond
	a, b, got := joinTwo(t, redis, o)
	a.number(t, 0)
	got.await(t, has(0))
	a.proxy.Refuse(t, true)
	a.proxy.Cut()
	eventually(t, "silence is reported", func() bool { return b.gaps.count(Silent) == 1 })
	g := b.gaps.all()[0]
	require.Equal(t, a.Origin(), g.Origin)
	require.EqualValues(t, Unknown, g.Count)
}

// While a reader is cut off it hears nobody: that is not the others' silence.
func TestReaderThatWasCutOffDoesNotTakeOthersForDead(t *testing.T) {
	redis := redistest.Start(t)
	o := live("cutoff")
	o.Lease = 2 * time.Second
	a, b, got := joinTwo(t, redis, o)
	a.number(t, 0)
	got.await(t, has(0))
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	a.number(t, 1)
	timer := time.After(o.Lease + 2*checkEvery)
	<-timer
	b.proxy.Refuse(t, false)
	eventually(t, "the loss is counted", func() bool { return b.gaps.lost() == 1 })
	require.Zero(t, b.gaps.count(Silent))
}

func TestSlowSubscriberIsCutByRedisAndTold(t *testing.T) {
	redis := redistest.Start(t, "--client-output-buffer-limit", "pubsub 256kb 128kb 1")
	o := live("limit")
	o.SendOnly = true
	a := join(t, redis, o).awaitReady(t)
	b := join(t, redis, live("limit")).awaitReady(t)
	got := b.collect()
	a.number(t, 0)
	got.await(t, has(0))
	b.proxy.Blackhole(true)
	padding := strings.Repeat("x", 4096) // more than the sockets on the way can hold
	n := 0
	for subscribers(t, redis) > 0 {
		for range 100 {
			n++
			require.NoError(t, a.Publish(within(t, patience), n, map[string][]string{"padding": {padding}}))
		}
	}
	b.proxy.Blackhole(false)
	require.NoError(t, a.Flush(within(t, patience)))
	eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == n+1 })
	require.Positive(t, b.gaps.lost())
	require.Positive(t, b.Stats().Reconnects)
}

func subscribers(t *testing.T, redis *redistest.Server) int {
	list, err := redis.Do(t, "CLIENT", "LIST", "TYPE", "pubsub").ToString()
	require.NoError(t, err)
	return strings.Count(list, " sub=1 ") // the control line has two channels
}

func TestInboxThatOverflowsIsAGapAndRedisDoesNotCut(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, live("inbox")).awaitReady(t)
	o := live("inbox")
	o.Redis, o.InboxBytes = optionOf(redis.Addr), 64<<10
	r, err := NewReader(o, nil)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, r.Ready(within(t, patience)))
	n := 50_000
	for i := range n {
		a.number(t, i)
	}
	require.NoError(t, a.Flush(within(t, patience)))
	eventually(t, "the inbox overflows", func() bool { return r.Stats().Overflowed > 0 })
	next, lost := 0, 0
	for next < n {
		got, err := r.Next(within(t, patience))
		require.NoError(t, err)
		if got.Gap != nil {
			require.Equal(t, Lost, got.Gap.Reason)
			next += int(got.Gap.Count)
			lost += int(got.Gap.Count)
			continue
		}
		require.Equal(t, next, got.Data)
		next++
	}
	require.Positive(t, lost)
	require.Zero(t, r.Stats().Reconnects)
}

func TestLiveSurvivesAServerThatIsKilledAndRestarted(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, live("restart"))
	a.number(t, 0)
	got.await(t, has(0))
	for i := 1; i < 300; i++ {
		a.number(t, i)
		if i%100 == 50 {
			redis.Restart(t)
		}
	}
	eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == 300 })
}

func TestOriginTableIsBounded(t *testing.T) {
	o := newOrigins(3)
	forgotten := 0
	for i := range 10 {
		h := header{kind: kindMark, first: 1, epoch: uint64(i), name: "x"}
		if _, old := o.add(&h, time.Now()); old != nil {
			require.EqualValues(t, i-3, old.origin.Epoch, "the one that was not heard of for longest")
			forgotten++
		}
	}
	require.Equal(t, 7, forgotten)
	require.Equal(t, 3, o.present())
}

func TestDuplicateAndPartlyKnownFramesAreHandedOnOnce(t *testing.T) {
	redis := redistest.Start(t)
	b := join(t, redis, live("twice")).awaitReady(t)
	got := b.collect()
	channel := namesOfPartition("twice", 0, b.Origin()).channel
	send := func(first, count int) {
		redis.Do(t, "PUBLISH", channel, string(framed("twice", first, count)))
	}
	send(1, 3)
	send(1, 3)
	send(2, 4)
	send(10, 1)
	require.Equal(t, []int{1, 2, 3, 4, 5, 10}, got.await(t, has(10)))
	require.Equal(t, 4, b.gaps.lost())
	require.EqualValues(t, 5, b.Stats().Duplicates)
}

// framed returns a frame of numbers that are their sequence.
func framed(namespace string, first, count int) []byte {
	h := header{kind: kindEvents, codec: codec.Binary.ID(), first: uint64(first), stamp: time.Now().UnixMicro(), epoch: 1, name: "x", namespace: namespace}
	f := appendHeader(nil, &h)
	types := codec.NewRegistry()
	for i := range count {
		f = beginEvent(f)
		begun := len(f)
		label, data, _ := types.Append(nil, first+i)
		f, _ = codec.Binary.Append(f, &codec.Event{Time: time.Now(), Type: label, Data: data})
		endEvent(f, begun)
	}
	return finish(f, count, nil)
}

func TestRandomBytesOnTheChannelAreDropped(t *testing.T) {
	redis := redistest.Start(t)
	b := join(t, redis, live("noise")).awaitReady(t)
	got := b.collect()
	channel := namesOfPartition("noise", 0, b.Origin()).channel
	whole := framed("noise", 1, 1)
	for range 500 {
		noise := append([]byte(nil), whole...)
		switch rand.IntN(3) {
		case 0:
			noise = noise[:rand.IntN(len(noise))]
		case 1:
			noise[rand.IntN(len(noise))] ^= 1 << rand.IntN(8)
		case 2:
			noise = append(noise, make([]byte, DefaultMaxFrame)...)
		}
		redis.Do(t, "PUBLISH", channel, string(noise))
	}
	redis.Do(t, "PUBLISH", channel, string(whole))
	require.Equal(t, []int{1}, got.await(t, has(1)))
	s := b.Stats()
	require.EqualValues(t, 500, s.Malformed+s.Oversized+s.OtherVersion+s.Unsigned+s.Foreign+s.Stale)
}

// Redis has nothing to keep for Live.
func TestLiveGoesOnWhenRedisIsOutOfMemoryOrFlushed(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, live("starved"))
	a.number(t, 0)
	got.await(t, has(0))
	redis.Do(t, "CONFIG", "SET", "maxmemory", "1")
	for i := 1; i < 100; i++ {
		a.number(t, i)
	}
	got.await(t, has(99))
	redis.Do(t, "CONFIG", "SET", "maxmemory", "0")
	eventually(t, "it works", func() bool { return b.Stats().Connected })
	redis.Do(t, "FLUSHALL")
	for i := 100; i < 200; i++ {
		a.number(t, i)
	}
	requireInOrder(t, 0, 200, got.await(t, has(199)))
	require.Empty(t, b.gaps.all())
}

func TestLiveSurvivesAFailoverAndCountsWhatItMissed(t *testing.T) {
	sentinel := redistest.StartSentinel(t)
	o := live("failover")
	o.Redis = sentinel.Option()
	a := joinAt(t, o).awaitReady(t)
	b := joinAt(t, o).awaitReady(t)
	got := b.collect()
	a.number(t, 0)
	got.await(t, has(0))
	sentinel.Failover(t)
	for i := 1; i < 200; i++ {
		a.number(t, i)
	}
	require.NoError(t, a.Flush(within(t, patience)))
	eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == 200 })
	requireGapsFit(t, 199, got.all(), b.gaps.all())
}
