package redisbridge

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

// Whoever cannot know what came before is told what is missing by the stream.

// all returns what Next gives up to a number: numbers, and reasons of gaps.
func (r *Reader) all(t *testing.T, last int) (all []any) {
	t.Helper()
	for ctx := within(t, patience); ; {
		next, err := r.Next(ctx)
		require.NoError(t, err, "after %v", all)
		if next.Gap != nil {
			all = append(all, next.Gap.Reason)
			continue
		}
		all = append(all, next.Data)
		if next.Data == last {
			return all
		}
	}
}

// readOne reads the first number and returns where the reader is after it.
func readOne(t *testing.T, redis *redistest.Server, o Options) Options {
	t.Helper()
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	require.Equal(t, 0, must(r.Next(within(t, patience))).Data)
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	return o
}

func TestResumedReaderIsToldOfALostTail(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("tail")).awaitReady(t)
	a.one(t, 0, 1)
	o := readOne(t, redis, durable("tail"))
	redis.Do(t, "SAVE")
	a.one(t, 1, 4)
	redis.Kill()
	redis.Restart(t)
	a.one(t, 4, 6)
	require.Equal(t, []any{Rewound, 4, 5}, newReader(t, o, "").all(t, 5))
}

// A bridge was ready before an origin began, and cut off while Redis got and
// lost the first frames of it.
func TestReadyBridgeIsToldThatFirstFramesAreLost(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("first"))
	redis.Do(t, "SAVE")
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	a.one(t, 0, 3)
	redis.Kill()
	redis.Restart(t)
	a.one(t, 3, 4)
	b.proxy.Refuse(t, false)
	require.Equal(t, []int{3}, got.await(t, has(3)))
	require.Equal(t, 1, b.gaps.count(Rewound))
}

// What an origin that has ended had written is gone as well: nobody knows of
// that, but somebody else knows that Redis lost something.
func TestWitnessOfALossTellsThoseWhoMissSomething(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("witness"))
	a.one(t, 0, 1)
	got.await(t, has(0))
	redis.Do(t, "SAVE")
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	gone := join(t, redis, durable("witness")).awaitReady(t)
	gone.one(t, 100, 101)
	require.NoError(t, gone.Close())
	a.one(t, 1, 3)
	redis.Kill()
	redis.Restart(t)
	b.proxy.Refuse(t, false)
	a.one(t, 3, 4)
	require.Equal(t, []int{0, 3}, got.await(t, has(3)))
	require.Equal(t, 1, b.gaps.count(Rewound))
	require.Equal(t, 2, b.gaps.lost())
}

// No restart that keeps everything, and no eviction, is a gap for anybody.
func TestRestartThatKeepsEverythingIsNoGap(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("kept")).awaitReady(t)
	a.one(t, 0, 1)
	o := readOne(t, redis, durable("kept"))
	a.one(t, 1, 3)
	redis.Do(t, "SAVE")
	redis.Kill()
	redis.Restart(t)
	a.one(t, 3, 5)
	names := namesOfPartition("kept", 0, a.Origin())
	redis.Do(t, "DEL", names.last, names.origin)
	a.one(t, 5, 7)
	require.Equal(t, []any{1, 2, 3, 4, 5, 6}, newReader(t, o, "").all(t, 6))
}

// A publication that cannot be encoded has a sequence, and so has one that is
// dropped.
func TestDropsAreLostForThoseWhoDoNotKnowTheOrigin(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("unknown"))
	unencodable := func(n int) {
		for range n {
			require.NoError(t, a.server.PublishWithEvents(background(), make(chan int), nil))
		}
	}
	unencodable(3)
	a.one(t, 0, 1)
	got.await(t, has(0))
	require.Equal(t, 3, b.gaps.lost(), "the first that there were")

	o := readOneAfterGap(t, redis, durable("unknown"))
	unencodable(2)
	a.one(t, 1, 2)
	r := newReader(t, o, "")
	gap := must(r.Next(within(t, patience))).Gap
	require.NotNil(t, gap)
	require.Equal(t, Gap{Reason: Lost, Origin: a.Origin(), From: 5, To: 6, Count: 2}, *gap)
	require.Equal(t, 1, must(r.Next(within(t, patience))).Data)
	require.Equal(t, 5, b.gaps.lost())
}

// readOneAfterGap is readOne of a stream that begins with a gap.
func readOneAfterGap(t *testing.T, redis *redistest.Server, o Options) Options {
	t.Helper()
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	require.Equal(t, []any{Lost, 0}, r.all(t, 0))
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	return o
}

// The last words of a process say what is missing, though it publishes nothing more.
func TestPublisherThatEndsSaysWhatIsMissing(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("words")
	o.Lease = time.Hour // no marks
	o.OutboxCount = 2
	a, b, got := joinTwo(t, redis, o)
	a.one(t, 0, 1)
	got.await(t, has(0))
	a.proxy.Refuse(t, true)
	a.proxy.Cut()
	for i := 1; i <= 10; i++ {
		require.NoError(t, a.server.PublishWithEvents(background(), i, numberEvents(i)))
	}
	a.proxy.Refuse(t, false)
	require.NoError(t, a.Close())
	eventually(t, "all is accounted for", func() bool { return len(got.all())+b.gaps.lost() == 11 })

	c := join(t, redis, durable("tail")).awaitReady(t)
	c.one(t, 0, 1)
	o = readOne(t, redis, durable("tail"))
	redis.Do(t, "SAVE")
	c.one(t, 1, 3)
	redis.Kill()
	redis.Restart(t)
	require.NoError(t, c.Close())
	gap := must(newReader(t, o, "").Next(within(t, patience))).Gap
	require.NotNil(t, gap, "though nobody has read what is gone")
	require.Equal(t, Rewound, gap.Reason)
}

// A full outbox drops, and a mark says so to a reader that resumes before it.
func TestResumedReaderIsToldOfADropByAMark(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("drop")
	o.OutboxCount = 2
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 1)
	o = readOne(t, redis, o)
	a.proxy.Refuse(t, true)
	a.proxy.Cut()
	for i := 1; i <= 10; i++ {
		require.NoError(t, a.server.PublishWithEvents(background(), i, numberEvents(i)))
	}
	a.proxy.Refuse(t, false)
	r := newReader(t, o, "")
	require.Equal(t, []any{1, 2}, r.all(t, 2))
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	gap := must(newReader(t, o, "").Next(within(t, patience))).Gap
	require.NotNil(t, gap)
	require.Equal(t, Gap{Reason: Lost, Origin: a.Origin(), From: 4, To: 11, Count: 8}, *gap)
}

// The key of the last ID was evicted, and then entries were trimmed.
func TestTrimAfterAnEvictionIsAGap(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("evicted")).awaitReady(t)
	a.one(t, 0, 1)
	o := readOne(t, redis, durable("evicted"))
	a.one(t, 1, 3)
	names := namesOfPartition("evicted", 0, a.Origin())
	redis.Do(t, "DEL", names.last)
	a.one(t, 3, 5)
	redis.Do(t, "XTRIM", names.stream, "MAXLEN", "2")
	require.Equal(t, []any{Trimmed, 3, 4}, newReader(t, o, "").all(t, 4))

	redis.Do(t, "XTRIM", names.stream, "MAXLEN", "0")
	redis.Do(t, "DEL", names.last)
	a.one(t, 5, 6)
	require.Equal(t, []any{Trimmed, 5}, newReader(t, o, "").all(t, 5), "the stream was empty then")
}

// write runs the script as a writer that has no answer yet would.
func write(t *testing.T, redis *redistest.Server, a *side, frame, how string, sequence int, stamp time.Time) int64 {
	t.Helper()
	names := namesOfPartition(a.opt.Namespace, 0, a.Origin())
	answer := writeScript.run(background(), redis.Client(t), []string{names.stream, names.origin, names.last},
		strconv.Itoa(sequence-1), strconv.Itoa(sequence), strconv.Itoa(sequence), frame, how, "1000", "100000",
		strconv.FormatInt(stamp.UnixMilli(), 10), "30000", "0")
	return must(answer.AsInt64())
}

// The last entry of a stream, and how many there are.
func lastEntry(t *testing.T, redis *redistest.Server, a *side) (frame string, entries int64) {
	t.Helper()
	stream := namesOfPartition(a.opt.Namespace, 0, pubsub.Origin{}).stream
	last := must(redis.Do(t, "XREVRANGE", stream, "+", "-", "COUNT", "1").AsXRange())
	return last[0].FieldValues["f"], must(redis.Do(t, "XLEN", stream).AsInt64())
}

// The answer to a frame was lost and so was the key that would tell that it is
// written.
func TestEvictedOriginAndALostAnswerWriteOnce(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("twice")).awaitReady(t)
	a.one(t, 0, 3)
	frame, before := lastEntry(t, redis, a)
	redis.Do(t, "DEL", namesOfPartition("twice", 0, a.Origin()).origin)
	require.Zero(t, write(t, redis, a, frame, "again", 3, time.Now()))
	require.Zero(t, write(t, redis, a, frame, "next", 3, time.Now()), "the key is right again")
	_, after := lastEntry(t, redis, a)
	require.Equal(t, before, after)
}

// A frame is forced because the key of its origin was wrong, and then its answer
// is lost.
func TestForcedFrameIsWrittenOnce(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("forced")).awaitReady(t)
	a.one(t, 0, 2)
	frame, before := lastEntry(t, redis, a)
	origin := namesOfPartition("forced", 0, a.Origin()).origin
	redis.Do(t, "XTRIM", namesOfPartition("forced", 0, a.Origin()).stream, "MAXLEN", "0")
	redis.Do(t, "SET", origin, "9007199254740991")
	require.Zero(t, write(t, redis, a, frame, "oldest", 2, time.Now()))
	require.Positive(t, write(t, redis, a, frame, "forced", 2, time.Now()))
	redis.Do(t, "SET", origin, "9007199254740991")
	require.Zero(t, write(t, redis, a, frame, "forced", 2, time.Now()))
	_, after := lastEntry(t, redis, a)
	require.EqualValues(t, 1, after, "there were %d", before)
}

// A frame whose stamp does not fit leaves no trace: no reader takes it for a
// deletion by hand, which may hide that something is gone.
func TestRefusedStampIsNoDeletion(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("stamp")).awaitReady(t)
	a.one(t, 0, 2)
	frame, before := lastEntry(t, redis, a)
	require.Less(t, write(t, redis, a, frame, "oldest", 3, time.Now().Add(-time.Hour)), int64(-1))
	_, after := lastEntry(t, redis, a)
	require.Equal(t, before, after)
	info := must(redis.Do(t, "XINFO", "STREAM", namesOfPartition("stamp", 0, a.Origin()).stream).AsMap())
	told := info["max-deleted-entry-id"]
	deleted, _ := parseEntryID(must(told.ToString()))
	require.Zero(t, deleted.ms)
}

// The clock of Redis steps back, and nothing says any more that the entries of
// its future are our own.
func TestEvictionAndAClockThatStepsBackDeleteNothing(t *testing.T) {
	clock := redistest.NewClock(t)
	redis := clock.Start(t)
	a := join(t, redis, durable("back")).awaitReady(t)
	a.one(t, 0, 5)
	_, err := clock.Step(-2 * time.Minute)
	require.NoError(t, err)
	redis.Do(t, "DEL", namesOfPartition("back", 0, a.Origin()).last)
	b := join(t, redis, durable("back")).awaitReady(t)
	got := b.collect()
	redis.Do(t, "DEL", namesOfPartition("back", 0, a.Origin()).last)
	a.one(t, 5, 6)
	require.Equal(t, []int{5}, got.await(t, has(5)), "Now is after what was there")
	o := durable("back")
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	require.Equal(t, []any{0, 1, 2, 3, 4, 5}, newReader(t, o, "").all(t, 5))
}

// A copied frame is no place where anybody has been.
func TestCopiedFrameOfTheFutureMovesNoCursor(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("copy")
	o.Keys = testKeys(t)
	a := join(t, redis, o).awaitReady(t)
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	a.one(t, 0, 1)
	require.Equal(t, 0, must(r.Next(within(t, patience))).Data)
	frame, _ := lastEntry(t, redis, a)
	redis.Do(t, "XADD", namesOfPartition("copy", 0, a.Origin()).stream, "9999999999999-0", "f", frame, "p", "0-0")
	eventually(t, "it was seen", func() bool { return r.Stats().Duplicates > 0 })
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	a.one(t, 1, 4)
	require.Equal(t, []any{1, 2, 3}, newReader(t, o, "").all(t, 3))
}

// A time is no entry that could be gone.
func TestCursorOfATimeIsNoGap(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("time")
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 1)
	time.Sleep(5 * time.Millisecond) // IDs are of milliseconds
	from := FromTime(time.Now())
	time.Sleep(5 * time.Millisecond)
	a.one(t, 1, 2)
	o.Redis, o.From = optionOf(redis.Addr), from
	r := newReader(t, o, "")
	require.NoError(t, r.Ready(within(t, patience)))
	o.From = FromCursor(r.Cursor())
	require.NoError(t, r.Close())
	require.Equal(t, []any{1}, newReader(t, o, "").all(t, 1))
}

// A bridge has read nothing yet when the stream is rewound and grows beyond where
// it began, as after a failover to a node whose clock is behind.
func TestRewindBeforeAnythingWasReadIsAGap(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("nothing")).awaitReady(t)
	a.one(t, 0, 1)
	time.Sleep(5 * time.Millisecond) // IDs are of milliseconds
	a.one(t, 1, 2)
	b := join(t, redis, durable("nothing")).awaitReady(t)
	got := b.collect()
	stream := namesOfPartition("nothing", 0, a.Origin()).stream
	entries := must(redis.Do(t, "XRANGE", stream, "-", "+").AsXRange())
	began, _ := parseEntryID(entries[1].ID)
	beyond := entryID{began.ms + 1000, 0}
	redis.Do(t, "EVAL", `
		local epoch = redis.call('XINFO', 'GROUPS', KEYS[1])[1][2]
		redis.call('DEL', KEYS[1])
		redis.call('XADD', KEYS[1], ARGV[1], 'f', ARGV[2], 'p', '')
		redis.call('XADD', KEYS[1], ARGV[3], 'f', ARGV[4], 'p', ARGV[1])
		redis.call('XADD', KEYS[1], ARGV[5], 'f', ARGV[6], 'p', ARGV[3])
		redis.call('XGROUP', 'CREATE', KEYS[1], epoch, '0')`, "1", stream,
		entries[0].ID, entries[0].FieldValues["f"],
		began.before().String(), string(framed("nothing", 7, 1)),
		beyond.String(), string(framed("nothing", 8, 1)))
	got.await(t, has(8))
	require.Equal(t, 1, b.gaps.count(Rewound))
}

// What is larger than a reader takes is not passed over in silence.
func TestFrameThatIsTooLargeIsAGap(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("large")
	a := join(t, redis, o).awaitReady(t)
	o.MaxFrame = smallestMaxFrame
	b := join(t, redis, o).awaitReady(t)
	got := b.collect()
	require.NoError(t, a.Publish(within(t, patience), make([]byte, 2*frameTarget), nil))
	require.NoError(t, a.Flush(within(t, patience)))
	a.number(t, 1)
	require.Equal(t, []int{1}, got.await(t, has(1)))
	require.Equal(t, []Gap{{Reason: Undecodable, Count: Unknown}}, b.gaps.all())
}
