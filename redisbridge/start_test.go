package redisbridge

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"
)

// Whatever Redis forgets while a publisher of Live begins, what it accepts
// reaches those who listen: nothing depends on what they had written there.
func TestNothingVanishesWhileAPublisherBegins(t *testing.T) {
	const publications = 633
	for name, forget := range map[string]func(t *testing.T, redis *redistest.Server){
		"FLUSHALL": func(t *testing.T, redis *redistest.Server) { redis.Do(t, "FLUSHALL") },
		"keys are evicted": func(t *testing.T, redis *redistest.Server) {
			for _, key := range must(redis.Do(t, "KEYS", "*").AsStrSlice()) {
				redis.Do(t, "DEL", key)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			o := Options{Namespace: "begin"}
			var readers []*side
			var subs []*pubsub.Subscription
			for i := range 3 {
				r := join(t, redis, o).awaitReady(t)
				readers = append(readers, r)
				subs = append(subs, r.subscribe(t, query.MustParse(fmt.Sprintf("reader = '%d'", i))))
				require.NoError(t, r.Announce(within(t, patience)))
			}
			for range 3 { // another publisher each time
				forget(t, redis)
				publisher := join(t, redis, o) // not ready: it begins at once
				for i := range publications {
					if i%100 == 50 {
						forget(t, redis)
					}
					events := map[string][]string{"reader": {strconv.Itoa(i % len(readers))}}
					require.NoError(t, publisher.Publish(within(t, patience), i, events))
				}
				for i := range publications {
					m, err := subs[i%len(subs)].Next(within(t, patience))
					require.NoError(t, err)
					require.Equal(t, i, m.Data())
				}
				require.NoError(t, publisher.Close())
			}
			for _, r := range readers {
				require.Empty(t, r.gaps.all())
			}
		})
	}
}

// Processes that start together neither wait for one another nor send one
// another what their subscriptions ask for.
func TestManyProcessesWithManyQueriesStartTogether(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector multiplies time and memory")
	}
	const processes, queries = 30, 500
	redis := redistest.Start(t)
	before, sent := memoryInUse(), sentBy(t, redis)
	servers := make([]*pubsub.Server, processes)
	for i := range servers {
		servers[i] = startServer(t)
		for q := range queries {
			_, err := servers[i].Subscribe(background(), strconv.Itoa(q), query.MustParse(fmt.Sprintf("account = 'a%d-%d' AND amount > %d", i, q, q)), 1)
			require.NoError(t, err)
		}
	}
	alone := memoryInUse()
	bridges := make([]*Bridge, processes)
	began := time.Now()
	var all sync.WaitGroup
	for i, server := range servers {
		all.Go(func() {
			bridges[i] = must(Attach(server, Options{Redis: optionOf(redis.Addr), Namespace: "together"}))
			if bridges[i].Ready(within(t, patience)) != nil || bridges[i].Announce(within(t, patience)) != nil {
				t.Error("it is not ready")
			}
		})
	}
	all.Wait()
	ready := time.Since(began)
	held, received := memoryInUse()-before, sentBy(t, redis)-sent
	t.Logf("%d processes × %d queries: ready in %v, %.1f MB held, %.1f of them by servers, %.3f MB from Redis",
		processes, queries, ready.Round(time.Millisecond), float64(held)/1e6, float64(alone-before)/1e6, float64(received)/1e6)
	for _, b := range bridges {
		require.NoError(t, b.Close())
	}
	require.Less(t, ready, 6*time.Second)
	require.Less(t, held, 120_000_000)
	require.Less(t, received, 120_000_000)
}

// The buffers of a connection would be most of what a bridge holds; whoever
// says how large they are to be has his way.
func TestConnectionsHoldALittle(t *testing.T) {
	o := must(Options{Redis: optionOf("127.0.0.1:1")}.withDefaults())
	require.Equal(t, connBuffer, o.dialOptions(nil).ReadBufferEachConn)
	require.Equal(t, connBuffer, o.dialOptions(nil).WriteBufferEachConn)
	o.Redis.ReadBufferEachConn = 1 << 20
	require.Equal(t, 1<<20, o.dialOptions(nil).ReadBufferEachConn)
}

func memoryInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// sentBy returns how many bytes a server has sent.
func sentBy(t *testing.T, redis *redistest.Server) int {
	return must(strconv.Atoi(strings.TrimSpace(redis.Info(t, "total_net_output_bytes"))))
}

// The first is the first that is retained. What came before the first that was
// read is a gap for whoever resumes, at a zero Cursor too.
func TestFromFirstOfATrimmedStreamIsNoGap(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("first")).awaitReady(t)
	a.one(t, 0, 4)
	stream := namesOfPartition("first", 0, a.Origin()).stream
	redis.Do(t, "XTRIM", stream, "MAXLEN", "2")
	o := durable("first")
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	require.NoError(t, r.Ready(within(t, patience)))
	before := r.Cursor()
	require.Equal(t, []any{2, 3}, r.all(t, 3))

	o.From = FromCursor(before)
	require.Equal(t, []any{2, 3}, newReader(t, o, "").all(t, 3), "nothing was trimmed since")
	o.From = FromCursor(Cursor{})
	require.Equal(t, []any{Trimmed, 2, 3}, newReader(t, o, "").all(t, 3))
	redis.Do(t, "XTRIM", stream, "MAXLEN", "1")
	o.From = FromCursor(before)
	require.Equal(t, []any{Trimmed, 3}, newReader(t, o, "").all(t, 3))

	redis.Do(t, "XTRIM", stream, "MAXLEN", "0")
	o.From = FromFirst()
	r = newReader(t, o, "")
	require.NoError(t, r.Ready(within(t, patience)))
	a.one(t, 4, 5)
	require.Equal(t, []any{4}, r.all(t, 4), "the stream was empty")
}

// What is trimmed after the reader began, before it has read anything, was not
// retained either.
func TestFromFirstWhileTheStreamIsTrimmedIsNoGap(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("trimming")).awaitReady(t)
	a.one(t, 0, 4)
	o := durable("trimming")
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	m := must(newMember(o))
	defer m.stop()
	ctx := within(t, patience)
	require.NoError(t, m.link.dial(ctx))
	conn := m.link.dedicate(m.link.client, "")
	defer conn.close()
	in := newInbound(m, 0, nil)
	r := newStreamReader(in)
	require.NoError(t, r.look(ctx, conn, false))
	redis.Do(t, "XTRIM", r.keys.stream, "MAXLEN", "2")
	require.NoError(t, r.read(ctx, conn))
	first, ok := in.inbox.take()
	require.True(t, ok)
	require.Nil(t, first.gap)
	require.NotZero(t, first.frame)
}
