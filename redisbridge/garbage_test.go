package redisbridge

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

// Somebody without a key makes a stream again, or goes on with one in which
// nothing was written for hours, and gives recorded frames the IDs that they had.
func TestRecordedFramesAreStaleInWhateverStream(t *testing.T) {
	names := namesOfPartition("recorded", 0, pubsub.Origin{})
	key := (&prepare(testKeys(t))[0]).at(names.stream)
	const age = 2 * time.Hour
	then := time.Now().Add(-age)
	recorded := string(signed(reseal(framed("recorded", 1, 3), then.UnixMicro(), nil), key))
	at := func(seq int) string { return strconv.FormatInt(then.UnixMilli(), 10) + "-" + strconv.Itoa(seq) }
	o := durable("recorded")
	o.Keys = testKeys(t)

	t.Run("made again", func(t *testing.T) {
		redis := redistest.Start(t)
		a, b, got := joinTwo(t, redis, o)
		for n := range 3 {
			redis.Do(t, "DEL", names.stream, names.last)
			redis.Do(t, "XADD", names.stream, at(n), "f", recorded, "p", "0-0")
			eventually(t, "it was seen", func() bool { return b.Stats().Stale >= uint64(n+1) || b.Stats().Received > 0 })
		}
		a.number(t, 7)
		require.Equal(t, []int{7}, got.await(t, has(7)))
		require.Equal(t, b.gaps.count(Reset), len(b.gaps.all()))
	})
	t.Run("idle", func(t *testing.T) {
		redis := redistest.Start(t)
		redis.Do(t, "XADD", names.stream, at(1), "x", "y")
		a, b, got := joinTwo(t, redis, o)
		redis.Do(t, "XADD", names.stream, at(2), "f", recorded, "p", at(1))
		eventually(t, "it was seen", func() bool { return b.Stats().Stale == 1 || b.Stats().Received > 0 })
		a.number(t, 7)
		require.Equal(t, []int{7}, got.await(t, has(7)))
		require.Empty(t, b.gaps.all())
	})
}

// However much a stranger writes at once, it comes to a reader only in part: one
// entry as it is, and nothing of what is no frame beyond that.
func TestLargeEntriesOfStrangersAreNotBrought(t *testing.T) {
	const fill = `for i = 1, 32 do redis.call('XADD', KEYS[1], '*', unpack(ARGV)) end`
	large := strings.Repeat("x", 2<<20)
	for name, fields := range map[string][]string{
		"other fields":    {"x", large},
		"many fields":     slices.Repeat([]string{"", large[:1<<10]}, 1<<10),
		"a frame":         {"f", large, "p", "0-0"},
		"a place":         {"f", "x", "p", large},
		"what is missing": {"f", "x", "p", "0-0", "n", large},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			a, b, got := joinTwo(t, redis, durable("large"))
			require.NoError(t, a.Close())
			stream := namesOfPartition("large", 0, a.Origin()).stream
			before := sentBy(t, redis)
			redis.Do(t, append([]string{"EVAL", fill, "1", stream}, fields...)...)
			eventually(t, "all were seen", func() bool { return b.Stats().Malformed+b.Stats().Oversized == 32 })
			require.Less(t, sentBy(t, redis)-before, 3*len(large))
			c := join(t, redis, durable("large")).awaitReady(t)
			c.number(t, 1)
			got.await(t, has(1))
			require.Empty(t, b.gaps.all())
		})
	}
}

// Entries without a valid MAC that claim that something was lost before them.
func TestUnsignedEntriesAreReadOnce(t *testing.T) {
	const fill = `for i = 1, 500 do redis.call('XADD', KEYS[1], '*', 'f', ARGV[1], 'p', '1-1') end`
	redis := redistest.Start(t)
	o := durable("once")
	o.Keys = testKeys(t)
	a, b, got := joinTwo(t, redis, o)
	a.one(t, 0, 2)
	got.await(t, has(1))
	garbage := string(framed("once", 1, 3)) + strings.Repeat("x", 16<<10)
	commands := func() int { return must(strconv.Atoi(redis.Info(t, "total_commands_processed"))) }
	before, commandsBefore := sentBy(t, redis), commands()
	redis.Do(t, "EVAL", fill, "1", namesOfPartition("once", 0, a.Origin()).stream, garbage)
	a.number(t, 2)
	requireInOrder(t, 0, 3, got.await(t, has(2)))
	require.EqualValues(t, 500, b.Stats().Unsigned)
	require.Less(t, sentBy(t, redis)-before, 3*500*len(garbage), "by two readers")
	require.Less(t, commands()-commandsBefore, 5*500, "nobody looks again because of them")
	require.Empty(t, b.gaps.all())
}

// An account that is given up for another one is a gap in both modes.
func TestForgottenOriginIsAGap(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		gaps := &gapLog{}
		in := &inbound{member: &member{opt: Options{Mode: mode}}, origins: newOrigins(1), sink: gapSink{gaps}}
		for _, name := range []string{"first", "second"} {
			h := header{kind: kindMark, first: 1, name: name, stamp: in.clock.at(time.Now())}
			a := arrival{written: h.stamp / 1000, id: entryID{ms: uint64(h.stamp / 1000)}}
			if mode == Durable {
				a.epoch = 1
			}
			_, _, _, err := in.pass(&a, &h)
			require.NoError(t, err)
		}
		require.Equal(t, []Gap{{Reason: Forgotten, Origin: pubsub.Origin{Name: "first"}, Count: Unknown}}, gaps.all())
	}
}

// A gapSink takes gaps.
type gapSink struct{ *gapLog }

func (gapSink) receive(context.Context, *Received) error    { return nil }
func (s gapSink) gap(_ context.Context, g Gap, _ position)  { s.add(g) }
func (gapSink) waiting(int, entryID) (frames, oldest int64) { return 0, 0 }

func (gapSink) passed(int, position) {}

// Whatever a stranger puts in the place of our keys, the next writer or reader
// puts it right.
func TestKeysThatAreSpoiledAreMended(t *testing.T) {
	const top = "18446744073709551615-18446744073709551615"
	for name, spoil := range map[string]func(do func(...string), names partitionNames){
		"the last ID and an entry at the end": func(do func(...string), names partitionNames) {
			do("SET", names.last, top)
			do("XADD", names.stream, top, "x", "y")
		},
		"the last ID is no number, and an entry at the end": func(do func(...string), names partitionNames) {
			do("SET", names.last, "99999999999999999999999-0")
			do("XADD", names.stream, top, "x", "y")
		},
		"the last ID has no sequence, and an entry of the future": func(do func(...string), names partitionNames) {
			do("SET", names.last, "1-99999999999999999999999")
			do("XADD", names.stream, "99999999999999-0", "x", "y")
		},
		"the last ID is a list": func(do func(...string), names partitionNames) {
			do("DEL", names.last)
			do("LPUSH", names.last, "x")
		},
		"the last sequence is a list": func(do func(...string), names partitionNames) {
			do("DEL", names.origin)
			do("LPUSH", names.origin, "x")
		},
		"the stream is a text": func(do func(...string), names partitionNames) { do("SET", names.stream, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			a, b, got := joinTwo(t, redis, durable("spoiled"))
			a.one(t, 0, 1)
			got.await(t, has(0))
			spoil(func(args ...string) { require.NoError(t, redis.Do(t, args...).Error()) }, namesOfPartition("spoiled", 0, a.Origin()))
			a.one(t, 1, 2)
			requireInOrder(t, 0, 2, got.await(t, has(1)))
			c := join(t, redis, durable("spoiled")).awaitReady(t)
			c.one(t, 2, 3)
			requireInOrder(t, 0, 3, got.await(t, has(2)))
			require.Equal(t, b.gaps.count(Reset), len(b.gaps.all()))
		})
	}
}

// Epoch 0 is none, and a reader keeps the one that it knows.
func TestEpochOfAStrangerIsNotTaken(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("epoch")
	a := join(t, redis, o).awaitReady(t)
	stream := namesOfPartition("epoch", 0, a.Origin()).stream
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	a.one(t, 0, 1)
	must(r.Next(within(t, patience)))
	epoch := r.Cursor().positions[0].epoch
	for i, planted := range []string{"0000000000000000", "0000000000000001"} {
		redis.Do(t, "XGROUP", "CREATE", stream, planted, "0")
		reconnects := r.Stats().Reconnects
		redis.KillClients(t)
		eventually(t, "it has looked", func() bool { return r.Stats().Reconnects > reconnects })
		a.one(t, i+1, i+2)
		require.Equal(t, i+1, must(r.Next(within(t, patience))).Data)
		require.Equal(t, epoch, r.Cursor().positions[0].epoch)
		all := newReader(t, o, "")
		for n := range i + 2 {
			require.Equal(t, n, must(all.Next(within(t, patience))).Data)
		}
		require.False(t, all.Cursor().IsZero())
	}
}

// Those who know an epoch keep it as long as it is in the stream, also if what they
// have read is trimmed. Who begins takes none of the future, and another one only if
// the key of the true one is lost.
func TestEpochOfAStrangerMovesNobody(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("planted")
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 1)
	resumed := readOne(t, redis, o)
	names := namesOfPartition("planted", 0, a.Origin())
	redis.Do(t, "XTRIM", names.stream, "MAXLEN", "0")
	b := join(t, redis, o).awaitReady(t)
	got := b.collect()
	epoch := b.Cursor().positions[0].epoch
	epochOfNext := func() (*side, uint64) {
		c := join(t, redis, o).awaitReady(t)
		return c, c.Cursor().positions[0].epoch
	}
	const early, late = "0000000000000001", "9999999999999999"
	redis.Do(t, "XGROUP", "CREATE", names.stream, early, "0")
	_, with := epochOfNext()
	require.Equal(t, epoch, with)
	redis.Do(t, "DEL", names.epoch)
	misled, with := epochOfNext()
	require.EqualValues(t, 1, with)
	awaitLooks := func() {
		looks := callsOf(t, redis, "xpending")
		eventually(t, "all have looked", func() bool { return callsOf(t, redis, "xpending") > looks+5 })
	}
	awaitLooks()
	redis.Do(t, "XGROUP", "DESTROY", names.stream, early)
	eventually(t, "who took it is told", func() bool { return misled.gaps.count(Reset) == 1 })
	awaitLooks()
	redis.Do(t, "DEL", names.epoch)
	_, with = epochOfNext()
	require.Equal(t, epoch, with)

	a.one(t, 1, 2)
	require.Equal(t, []int{1}, got.await(t, has(1)))
	require.Empty(t, b.gaps.all())
	require.Equal(t, []any{1}, newReader(t, resumed, "").all(t, 1))

	redis.Do(t, "XGROUP", "CREATE", namesOfPartition("late", 0, a.Origin()).stream, late, "0", "MKSTREAM")
	o = durable("late")
	_, with = epochOfNext()
	require.NotEqual(t, late, epochText(with))
}

// However many groups a stranger has made, Redis goes through them once.
func TestManyGroupsAreGoneThroughOnce(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("groups")
	o.Lease = time.Hour // no marks
	a := join(t, redis, o).awaitReady(t)
	a.one(t, 0, 1)
	names := namesOfPartition("groups", 0, a.Origin())
	redis.Do(t, "EVAL", `for i = 1, 10000 do redis.call('XGROUP', 'CREATE', KEYS[1], 'g' .. i, '0') end`, "1", names.stream)
	redis.Do(t, "XTRIM", names.stream, "MAXLEN", "0") // no place is there any more
	for _, key := range []string{"", names.epoch, names.origin} {
		redis.Do(t, "DEL", key)
		before := callsOf(t, redis, "xinfo|groups")
		for range 2 {
			require.NoError(t, join(t, redis, o).awaitReady(t).Close())
		}
		looks := callsOf(t, redis, "xpending")
		eventually(t, "it has looked", func() bool { return callsOf(t, redis, "xpending") > looks })
		a.proxy.Cut()
		a.one(t, 1, 2)
		redis.Do(t, "XTRIM", names.stream, "MAXLEN", "0")
		most := 0
		if key == names.epoch {
			most = 1
		}
		require.Equal(t, most, callsOf(t, redis, "xinfo|groups")-before, "without %q", key)
	}
}

// Whoever has lost the ID of the last entry looks for it among the latest, and not
// through everything of a stranger's that is there.
func TestLastEntryIsNotLookedForAmongHugeOnes(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("huge")).awaitReady(t)
	a.one(t, 0, 1)
	names := namesOfPartition("huge", 0, a.Origin())
	for _, key := range []string{names.last, names.origin} {
		redis.Do(t, "EVAL", `for i = 1, 50 do redis.call('XADD', KEYS[1], '*', 'x', string.rep('x', 1e6)) end`, "1", names.stream)
		redis.Do(t, "DEL", key)
		before := callsOf(t, redis, "xrevrange")
		a.one(t, 1, 2)
		require.LessOrEqual(t, callsOf(t, redis, "xrevrange")-before, 20, "16 MB")
	}
}

// callsOf returns how often Redis has run a command.
func callsOf(t *testing.T, redis *redistest.Server, command string) int {
	t.Helper()
	calls, _, _ := strings.Cut(redis.Info(t, "cmdstat_"+command), ",")
	n, _ := strconv.Atoi(strings.TrimPrefix(calls, "calls=")) // none: it was never run
	return n
}

// What a stranger has left in a stream costs Redis once for each reader, and not
// every second.
func TestIdleReadersDoNotLookAtWhatStrangersLeft(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("idle")
	o.Lease = time.Hour // no marks
	a, b, got := joinTwo(t, redis, o)
	a.one(t, 0, 1)
	got.await(t, has(0))
	stream := namesOfPartition("idle", 0, a.Origin()).stream
	redis.Do(t, "EVAL", `for i = 1, 100 do redis.call('XGROUP', 'CREATE', KEYS[1], 'g' .. i, '0') end`, "1", stream)
	redis.Do(t, "XADD", stream, "*", "x", strings.Repeat("x", 1<<20))
	eventually(t, "it was seen", func() bool { return a.Stats().Malformed == 1 && b.Stats().Malformed == 1 })
	looks := func() int { return callsOf(t, redis, "xinfo|stream") + callsOf(t, redis, "xinfo|groups") }
	reconnects := func() int { return int(a.Stats().Reconnects + b.Stats().Reconnects) }
	before, connected := looks(), reconnects()
	time.Sleep(4 * time.Second) // what is watched for takes place in real time, in Redis
	require.LessOrEqual(t, looks()-before, 2*(2+reconnects()-connected), "one more by each reader, which was still reading")
}
