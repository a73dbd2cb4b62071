package redisbridge

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

// What strangers who can write to Redis, and have no key, do to a stream moves
// no reader.

func testKeys(t *testing.T) []Key {
	t.Helper()
	keys, err := ParseKeys("1:00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	return keys
}

// calm requires that nobody asks Redis over and over.
func calm(t *testing.T, redis *redistest.Server) {
	t.Helper()
	const watched = 1500 * time.Millisecond
	before := must(strconv.Atoi(redis.Info(t, "total_commands_processed")))
	time.Sleep(watched) // what is watched for takes place in real time, in Redis
	after := must(strconv.Atoi(redis.Info(t, "total_commands_processed")))
	require.Less(t, after-before, 300, "commands in %v", watched)
}

func TestCopiedFrameMovesNobody(t *testing.T) {
	for name, fields := range map[string]func(e map[string]string) []string{
		"as it was":           func(e map[string]string) []string { return []string{"f", e["f"], "p", e["p"]} },
		"alone":               func(e map[string]string) []string { return []string{"f", e["f"]} },
		"with another before": func(e map[string]string) []string { return []string{"f", e["f"], "p", "1-1"} },
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			o := durable("copied")
			o.Keys = testKeys(t)
			a, b, got := joinTwo(t, redis, o)
			for i := range 10 {
				a.number(t, i)
				require.NoError(t, a.Flush(within(t, patience)))
			}
			got.await(t, has(9))
			stream := namesOfPartition("copied", 0, a.Origin()).stream
			for _, e := range must(redis.Do(t, "XRANGE", stream, "-", "+").AsXRange()) {
				redis.Do(t, append([]string{"XADD", stream, "*"}, fields(e.FieldValues)...)...)
			}
			calm(t, redis)
			a.number(t, 10)
			requireInOrder(t, 0, 11, got.await(t, has(10)))
			require.Empty(t, b.gaps.all())
		})
	}
}

// Every key beside the stream may be evicted.
func TestKeysBesideTheStreamMayBeLost(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("evicted"))
	keys := namesOfPartition("evicted", 0, a.Origin())
	n := 0
	for _, key := range []string{keys.last, keys.origin, a.names.layout} {
		for range 3 {
			a.number(t, n)
			n++
			require.NoError(t, a.Flush(within(t, patience)))
		}
		redis.Do(t, "DEL", key)
	}
	redis.Do(t, "SET", keys.origin, "garbage")
	redis.Do(t, "SET", keys.last, "garbage")
	a.number(t, n)
	redis.Do(t, "SET", keys.origin, "9007199254740991") // who sends it for the first time knows better
	a.number(t, n+1)
	calm(t, redis)
	requireInOrder(t, 0, n+2, got.await(t, has(n+1)))
	require.Empty(t, b.gaps.all())
}

// Redis gives out growing IDs, so an entry of the future would push all that
// follow there, and one with the last ID there is would end the stream.
func TestEntryOfTheFutureMovesNobodyAndTrimsNothing(t *testing.T) {
	for _, id := range []string{"99999999999999-5", "18446744073709551615-18446744073709551615"} {
		t.Run(id, func(t *testing.T) {
			redis := redistest.Start(t)
			a, b, got := joinTwo(t, redis, durable("future"))
			stream := namesOfPartition("future", 0, a.Origin()).stream
			for i := range 10 {
				a.number(t, i)
			}
			require.NoError(t, a.Flush(within(t, patience)))
			before := must(redis.Do(t, "XLEN", stream).AsInt64())
			redis.Do(t, "XADD", stream, id, "f", "from the future", "p", "0-0")
			a.number(t, 10)
			requireInOrder(t, 0, 11, got.await(t, has(10)))
			require.NoError(t, a.Flush(within(t, patience)))
			require.Equal(t, before+1, must(redis.Do(t, "XLEN", stream).AsInt64()), "and it is gone")
			require.Empty(t, b.gaps.all())
			calm(t, redis)
			a.number(t, 11)
			requireInOrder(t, 0, 12, got.await(t, has(11)))
		})
	}
}

// Ten repetitions of signed frames, by somebody without the key, of a process
// that has said goodbye.
func TestRepeatedFramesOfAProcessThatIsGoneAreDropped(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			redis := redistest.Start(t)
			o := Options{Namespace: "repeat", Mode: mode, Keys: testKeys(t)}
			a, b, got := joinTwo(t, redis, o)
			frames := tapFrames(t, redis, mode, "repeat")
			for i := range 5 {
				a.number(t, i)
			}
			got.await(t, has(4))
			require.NoError(t, a.Close())
			if mode == Live {
				eventually(t, "it is gone", func() bool { return b.Stats().Origins == 0 })
			}
			repeatFrames(t, redis, mode, "repeat", frames(), 10)
			c := join(t, redis, o).awaitReady(t)
			c.number(t, 5)
			requireInOrder(t, 0, 6, got.await(t, has(5)))
			require.Empty(t, b.gaps.all())
			require.Positive(t, b.Stats().Duplicates)
		})
	}
}

// A reader that does not know an origin takes it up with a fresh frame only.
func TestOldFrameOfAnUnknownProcessIsStale(t *testing.T) {
	key := &prepare(testKeys(t))[0]
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			redis := redistest.Start(t)
			o := Options{Namespace: "stale", Mode: mode, Keys: testKeys(t)}
			a, b, got := joinTwo(t, redis, o)
			old := reseal(framed("stale", 1, 3), time.Now().Add(-2*freshness).UnixMicro(), nil)
			repeatFrames(t, redis, mode, "stale", []string{string(signed(old, key.at(b.placeOf(0))))}, 10)
			a.number(t, 7)
			require.Equal(t, []int{7}, got.await(t, has(7)))
			require.EqualValues(t, 10, b.Stats().Stale)
			require.Empty(t, b.gaps.all())
		})
	}
}

// signed signs a finished frame that was not.
func signed(frame []byte, key *Key) []byte {
	return finish(frame, int(frame[14])<<8|int(frame[15]), key)
}

// tapFrames returns what returns the frames of partition 0.
func tapFrames(t *testing.T, redis *redistest.Server, mode Mode, namespace string) func() []string {
	t.Helper()
	names := namesOfPartition(namespace, 0, pubsub.Origin{})
	if mode == Durable {
		return func() (frames []string) {
			for _, e := range must(redis.Do(t, "XRANGE", names.stream, "-", "+").AsXRange()) {
				frames = append(frames, e.FieldValues["f"])
			}
			return frames
		}
	}
	return tapChannel(t, redis, names.channel)
}

func repeatFrames(t *testing.T, redis *redistest.Server, mode Mode, namespace string, frames []string, times int) {
	t.Helper()
	names := namesOfPartition(namespace, 0, pubsub.Origin{})
	require.NotEmpty(t, frames)
	for range times {
		for _, f := range frames {
			if mode == Live {
				redis.Do(t, "PUBLISH", names.channel, f)
			} else {
				redis.Do(t, "XADD", names.stream, "*", "f", f, "p", "0-0")
			}
		}
	}
}

// What was sent through a connection that is given up may reach Redis late, when
// it was sent again and others after it.
func TestLateAttemptWritesNothing(t *testing.T) {
	redis := redistest.Start(t)
	a, b, got := joinTwo(t, redis, durable("late"))
	for i := range 3 {
		a.number(t, i)
		require.NoError(t, a.Flush(within(t, patience)))
	}
	keys := namesOfPartition("late", 0, a.Origin())
	entries := must(redis.Do(t, "XRANGE", keys.stream, "-", "+").AsXRange())
	stamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	answer := writeScript.run(background(), redis.Client(t), []string{keys.stream, keys.origin, keys.last},
		"0", "1", "1", entries[0].FieldValues["f"], "again", "1000", "100000", stamp, "30000", "0")
	require.Zero(t, must(answer.AsInt64()))
	require.EqualValues(t, 3, must(redis.Do(t, "XLEN", keys.stream).AsInt64()))
	a.number(t, 3)
	requireInOrder(t, 0, 4, got.await(t, has(3)))
	require.Empty(t, b.gaps.all())
}

// A signed frame is valid where it was sent, and not in the other mode of the
// same namespace.
func TestFrameOfOneModeIsRefusedInTheOther(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run("to "+mode.String(), func(t *testing.T) {
			redis := redistest.Start(t)
			other := Durable - mode
			from := join(t, redis, Options{Namespace: "modes", Mode: other, Keys: testKeys(t)}).awaitReady(t)
			frames := tapFrames(t, redis, other, "modes")
			from.number(t, 1)
			require.NoError(t, from.Flush(within(t, patience)))
			eventually(t, "it was sent", func() bool { return len(frames()) > 0 })

			a, b, got := joinTwo(t, redis, Options{Namespace: "modes", Mode: mode, Keys: testKeys(t)})
			repeatFrames(t, redis, mode, "modes", frames(), 1)
			eventually(t, "it is refused", func() bool { return b.Stats().Unsigned > 0 })
			a.number(t, 2)
			require.Equal(t, []int{2}, got.await(t, has(2)))
			require.Empty(t, b.gaps.all())
		})
	}
}
