package redisbridge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"
)

// one publishes numbers, each in an entry of its own.
func (s *side) one(t testing.TB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		s.number(t, i)
		require.NoError(t, s.Flush(within(t, patience)))
	}
}

func newReader(t testing.TB, o Options, text string) *Reader {
	t.Helper()
	var q *query.Query
	var r *Reader
	var err error
	if text == "" {
		r, err = NewReader(o, nil)
	} else {
		q, err = query.New(text)
		require.NoError(t, err)
		r, err = NewReader(o, q)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestCursorBeyondTheEndBringsNothingBack(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("beyond")
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 40)
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	for range 40 {
		must(r.Next(within(t, patience)))
	}
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	rewind(t, redis, a, 20)

	r = newReader(t, o, "")
	got := must(r.Next(within(t, patience)))
	require.NotNil(t, got.Gap)
	require.Equal(t, Rewound, got.Gap.Reason)
	require.NoError(t, r.Ready(within(t, patience)))
	a.number(t, 40)
	got = must(r.Next(within(t, patience)))
	require.NotNil(t, got.Gap, "whoever sent it knows what Redis has lost, too")
	require.Equal(t, Rewound, got.Gap.Reason)
	require.Equal(t, 40, must(r.Next(within(t, patience))).Data)
}

func TestBridgeThatBeganNowGetsNothingFromBeforeIt(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, redis *redistest.Server, a *side, stream string){
		"the stream is rewound": func(t *testing.T, redis *redistest.Server, a *side, _ string) {
			rewind(t, redis, a, 10)
		},
		"the last entry is deleted": func(t *testing.T, redis *redistest.Server, _ *side, stream string) {
			last := must(redis.Do(t, "XREVRANGE", stream, "+", "-", "COUNT", "1").AsXRange())
			redis.Do(t, "XDEL", stream, last[0].ID)
		},
		"garbage comes": func(t *testing.T, redis *redistest.Server, _ *side, stream string) {
			redis.Do(t, "XADD", stream, "*", "f", "garbage", "p", "0-0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			a := join(t, redis, durable("now")).awaitReady(t)
			a.one(t, 0, 30)
			b := join(t, redis, durable("now")).awaitReady(t)
			got := b.collect()
			fault(t, redis, a, namesOfPartition("now", 0, a.Origin()).stream)
			b.proxy.Cut()
			reconnects := b.Stats().Reconnects
			eventually(t, "it is back", func() bool { return b.Stats().Reconnects > reconnects })
			calm(t, redis)
			a.number(t, 30)
			require.Equal(t, []int{30}, got.await(t, has(30)))
		})
	}
}

// The zero Cursor is before everything: whoever saves it too early gets too
// much, not too little.
func TestCursorThatWasSavedTooEarlySkipsNothing(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("early")
	o.Redis = optionOf("127.0.0.1:1")
	r := newReader(t, o, "")
	early := r.Cursor()
	require.True(t, early.IsZero())
	require.Empty(t, early.String())

	a := join(t, redis, durable("early")).awaitReady(t)
	a.one(t, 0, 3)
	o.Redis, o.From = optionOf(redis.Addr), FromCursor(must(ParseCursor(early.String())))
	r = newReader(t, o, "")
	for i := range 3 {
		require.Equal(t, i, must(r.Next(within(t, patience))).Data)
	}

	o.From, o.Redis = FromCursor(r.Cursor()), optionOf("127.0.0.1:1")
	require.Equal(t, r.Cursor().String(), newReader(t, o, "").Cursor().String(), "what it was given, until it knows better")
}

func TestCursorAfterAResetIsInTheNewStream(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("reset")
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 3)
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	must(r.Next(within(t, patience)))
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	redis.Do(t, "FLUSHALL")
	a.one(t, 3, 5)

	r = newReader(t, o, "")
	require.Equal(t, Reset, must(r.Next(within(t, patience))).Gap.Reason)
	c := r.Cursor()
	require.False(t, c.IsZero())
	require.NotEqual(t, o.From.cursor.positions[0].epoch, c.positions[0].epoch)
	o.From = FromCursor(c)
	require.Equal(t, 3, must(newReader(t, o, "").Next(within(t, patience))).Data, "nothing is skipped, nothing is missing")
}

// What is not known is not zero.
func TestLagIsUnknownAndGrowsWhileCutOff(t *testing.T) {
	redis := redistest.Start(t)
	b := join(t, redis, durable("lag"))
	b.awaitReady(t)
	eventually(t, "there is none", func() bool { lag := b.Stats().Lag; return lag.Entries == 0 && lag.Time == 0 && !lag.At.IsZero() })
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	var before Lag
	eventually(t, "it is not known", func() bool { before = b.Stats().Lag; return before.Entries == Unknown && before.Time >= lagIsOld })
	eventually(t, "it grows", func() bool { return b.Stats().Lag.Time > before.Time })
	require.Equal(t, before.At, b.Stats().Lag.At)
	b.proxy.Refuse(t, false)
	eventually(t, "there is none again", func() bool { lag := b.Stats().Lag; return lag.Entries == 0 && lag.Time == 0 && lag.At.After(before.At) })

	o := durable("lag")
	o.Redis = optionOf("127.0.0.1:1")
	require.Equal(t, Lag{Entries: Unknown}, newReader(t, o, "").Stats().Lag, "nothing is known yet")
}

// The cursor of a reader goes on with what does not match.
func TestCursorOfARareQueryFollowsWhatItDoesNotMatch(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("rare")
	a := join(t, redis, o).awaitReady(t)
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "n = 0")
	a.one(t, 0, 1)
	require.Equal(t, 0, must(r.Next(within(t, patience))).Data)
	before := r.Cursor().String()
	const n = 300
	for i := 1; i < n; i++ {
		require.NoError(t, a.Publish(background(), make([]byte, frameTarget), nil)) // a frame each
	}
	require.NoError(t, a.Flush(within(t, patience)))
	eventually(t, "it has seen all", func() bool { return r.Stats().ReceivedFrames > 0 && r.Stats().ReceivedFrames == n })
	require.NotEqual(t, before, r.Cursor().String())
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	redis.Do(t, "XTRIM", namesOfPartition("rare", 0, a.Origin()).stream, "MAXLEN", "1")

	r = newReader(t, o, "n = 0")
	require.NoError(t, r.Ready(within(t, patience)))
	a.number(t, 0)
	got := must(r.Next(within(t, patience)))
	require.Nil(t, got.Gap, "nothing that was not seen was trimmed")
	require.Equal(t, 0, got.Data)
}

func TestFromTimeBeginsThere(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("time")
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 3)
	time.Sleep(5 * time.Millisecond) // IDs are of milliseconds
	middle := time.Now()
	a.one(t, 3, 6)
	o.Redis = optionOf(redis.Addr)
	for from, first := range map[time.Time]int{middle: 3, {}: 0} {
		o.From = FromTime(from)
		require.Equal(t, first, must(newReader(t, o, "").Next(within(t, patience))).Data)
	}
	o.From = FromTime(time.Now().Add(time.Hour))
	r := newReader(t, o, "")
	require.NoError(t, r.Ready(within(t, patience)))
	a.number(t, 6)
	require.Equal(t, 6, must(r.Next(within(t, patience))).Data, "the future is now")
}

func TestRetentionHoldsOnASlowBus(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("slow")
	o.Retention = time.Second
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 60)
	keys := namesOfPartition("slow", 0, a.Origin())
	require.EqualValues(t, 60, must(redis.Do(t, "XLEN", keys.stream).AsInt64()))
	published := time.Now()
	eventually(t, "it is trimmed", func() bool { return must(redis.Do(t, "XLEN", keys.stream).AsInt64()) <= 1 })
	if !raceEnabled {
		require.Less(t, time.Since(published), 4*time.Second)
	}
	for _, key := range []string{keys.stream, keys.last, keys.origin} {
		require.Positive(t, must(redis.Do(t, "PTTL", key).AsInt64()), "%s goes when nobody uses it", key)
	}
}

func TestLagIsWhatIsNotRead(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("lag")
	a := join(t, redis, o).awaitReady(t)
	o.Redis, o.From, o.InboxBytes = optionOf(redis.Addr), FromFirst(), 1
	r := newReader(t, o, "")
	require.NoError(t, r.Ready(within(t, patience)))
	for range 100 {
		require.NoError(t, a.Publish(background(), make([]byte, frameTarget), nil)) // a frame each
	}
	require.NoError(t, a.Flush(within(t, patience)))
	eventually(t, "nobody reads: all of it is behind", func() bool {
		lag := r.Stats().Lag
		return lag.Entries == 100 && lag.Time > 0
	})
	before := r.Stats().Lag.Time
	eventually(t, "nobody reads still", func() bool { return r.Stats().Lag.Time > before })
	for range 100 {
		must(r.Next(within(t, patience)))
	}
	eventually(t, "it has caught up", func() bool { lag := r.Stats().Lag; return lag.Entries == 0 && lag.Time == 0 })
}

func TestHeartbeatProvesDelivery(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		redis := redistest.Start(t)
		o := Options{Mode: mode, Lease: 2 * time.Second}
		began := time.Now()
		a := join(t, redis, o).awaitReady(t)
		eventually(t, "a mark came back", func() bool { return a.Stats().Heartbeat.At.After(began) })
		require.Less(t, a.Stats().Heartbeat.Took, patience)
		a.proxy.Blackhole(true)
		last := a.Stats().Heartbeat.At
		eventually(t, "silence shows", func() bool { return time.Since(last) > time.Second })
		require.Equal(t, last, a.Stats().Heartbeat.At)
		a.proxy.Blackhole(false)
	}
}

// A backlog does not overflow buffers that are read.
func TestBacklogDoesNotOverflowWhoReads(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("pause")).awaitReady(t)
	b := join(t, redis, durable("pause")).awaitReady(t)
	sub := subscribeAll(t, b.server, 100)
	stalled, err := b.server.Subscribe(background(), "stalled", query.All, 100)
	require.NoError(t, err)
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	n := atRate(15_000)
	for i := range n {
		a.number(t, i)
	}
	require.NoError(t, a.Flush(within(t, patience)))
	b.proxy.Refuse(t, false)
	ctx := within(t, patience)
	for i := range n {
		m, err := sub.Next(ctx)
		require.NoError(t, err, "after %d", i)
		require.Equal(t, i, m.Data())
	}
	<-stalled.Canceled() // who does not read is cut as always
	require.Empty(t, b.gaps.all())
}

func TestCloseWithinACallback(t *testing.T) {
	t.Run("OnError", func(t *testing.T) {
		closed := make(chan error, 1)
		var b *Bridge
		made := make(chan struct{})
		o := durable("callback")
		o.Redis, o.CloseTimeout = optionOf("127.0.0.1:1"), time.Millisecond
		o.OnError = func(error) {
			<-made
			closed <- b.Close()
		}
		b, _ = Attach(startServer(t), o)
		close(made)
		require.NoError(t, <-closed)
		require.ErrorIs(t, b.Err(), ErrClosed)
	})
	t.Run("OnGap", func(t *testing.T) {
		redis := redistest.Start(t)
		closed := make(chan error, 1)
		var b *side
		o := durable("callback")
		o.OnGap = func(Gap) { closed <- b.Close() }
		b = join(t, redis, o).awaitReady(t)
		redis.Do(t, "FLUSHALL")
		require.NoError(t, <-closed)
	})
}

// Everything in Redis is deleted, and a process with another number of
// partitions is the first to write the layout.
func TestLayoutConflictDoesNotEndThoseThatWereThere(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("conflict"))
	a.number(t, 0)
	got.await(t, has(0))
	redis.Do(t, "FLUSHALL")
	redis.Do(t, "HSET", a.names.layout, "format", "2", "partitions", "4", "since", "9999999999999999")
	a.number(t, 1)
	got.await(t, has(1))
	eventually(t, "the older layout is there again", func() bool {
		return must(redis.Do(t, "HGET", a.names.layout, "partitions").ToString()) == "1"
	})

	redis.Do(t, "HSET", a.names.layout, "partitions", "4", "since", "1") // and one that claims to be older
	eventually(t, "it is reported", func() bool {
		err := a.Stats().LastError
		return err != nil && isA[*LayoutError](err) && !a.Stats().Connected
	})
	a.number(t, 2)
	got.await(t, has(2))
	require.NoError(t, a.Err())
	require.NoError(t, b.Err())
	redis.Do(t, "DEL", a.names.layout)
	eventually(t, "it works again", func() bool { return a.Stats().Connected })
}

// A stranger writes what no process of ours writes: those that are there go on,
// those that come lay the namespace out, and what is large does not travel.
func TestMalformedLayoutEndsNobody(t *testing.T) {
	huge := strings.Repeat("1", 8<<20)
	for name, fields := range map[string][]string{
		"empty since":    {"since", ""},
		"huge since":     {"since", huge},
		"since of words": {"since", "nan"},
		"a long since":   {"since", "12345678901234567"},
		"huge format":    {"format", huge},
		"empty format":   {"format", ""},
		"huge partition": {"partitions", huge},
		"all of them":    {"format", "x", "partitions", "-", "since", huge},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			errs := &reported{}
			o := live("malformed")
			o.OnError = errs.add
			a := join(t, redis, o).awaitReady(t)
			spoil := append([]string{"HSET", a.names.layout}, fields...)
			redis.Do(t, spoil...)
			before := sentBy(t, redis)
			b := join(t, redis, o).awaitReady(t)
			got := b.collect()
			a.number(t, 1)
			got.await(t, has(1))
			eventually(t, "it is put right", func() bool {
				return must(redis.Do(t, "HSTRLEN", a.names.layout, fields[0]).AsInt64()) < 17 &&
					must(redis.Do(t, "HGET", a.names.layout, "partitions").ToString()) == "1"
			})
			redis.Do(t, spoil...)
			eventually(t, "it is reported", func() bool { return errs.has("the layout was written again") })
			c := join(t, redis, o).awaitReady(t)
			require.NoError(t, errors.Join(a.Err(), b.Err(), c.Err()))
			require.Less(t, sentBy(t, redis)-before, 1<<20)
		})
	}
}
