package redisbridge

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"

	"github.com/harkbus/pubsub/codec"
)

// documentedACL returns what docs/bridge.md tells operators to grant for
// namespace shop.
func documentedACL(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/bridge.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "ACL SETUSER hark on >PASSWORD ")
	require.True(t, found)
	line, _, _ := strings.Cut(rest, "\n\n")
	return strings.Fields(line)
}

func TestDocumentedACLLineIsEnough(t *testing.T) {
	redis := redistest.Start(t)
	redis.Do(t, append([]string{"ACL", "SETUSER", "hark", "on", ">secret"}, documentedACL(t)...)...)
	for _, mode := range []Mode{Live, Durable} {
		o := Options{Namespace: "shop", Mode: mode}
		o.Redis.Username, o.Redis.Password = "hark", "secret"
		a := join(t, redis, o).awaitReady(t)
		b := join(t, redis, o).awaitReady(t)
		sub := b.subscribe(t, query.All)
		got := b.collect()
		require.NoError(t, b.Announce(within(t, patience)))
		for i := range 200 {
			a.number(t, i)
		}
		got.await(t, has(199))
		go func() {
			for m, err := range sub.Messages(within(t, patience)) {
				if err != nil || b.Reply(background(), m, "yes", nil) == nil {
					return
				}
			}
		}()
		_, err := a.Request(within(t, patience), "ask", nil)
		require.NoError(t, err)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		require.NoError(t, a.Stats().LastError)
		require.NoError(t, b.Stats().LastError)
	}
	log, err := redis.Do(t, "ACL", "LOG").ToArray()
	require.NoError(t, err)
	require.Empty(t, log)
}

func TestWrongPasswordIsReportedAndTriedAgain(t *testing.T) {
	redis := redistest.Start(t, "--requirepass", "secret")
	errs := make(chan error, 100)
	o := durable("noauth")
	o.OnError = func(err error) { errs <- err }
	a := join(t, redis, o)
	require.ErrorContains(t, <-errs, "NOAUTH")
	require.ErrorContains(t, a.Ready(within(t, patience/30)), "NOAUTH")

	// The operator opens the server.
	option := optionOf(redis.Addr)
	option.Password = "secret"
	client, err := rueidis.NewClient(option)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Do(background(), client.B().ConfigSet().ParameterValue().ParameterValue("requirepass", "").Build()).Error())
	a.awaitReady(t)
}

// One partition that may not be read or written does not stop the others.
func TestRefusedNameDoesNotStopTheOthers(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			redis := redistest.Start(t)
			grant := func(names string) {
				redis.Do(t, "ACL", "SETUSER", "hark", "on", ">secret", "+@all", "resetkeys", "resetchannels",
					"~hark:{shop}:*", "&hark:{shop}:*", "~hark:{shop#"+names+"}:*", "&hark:{shop#"+names+"}:*")
			}
			grant("1")
			o := Options{Namespace: "shop", Mode: mode, Partitions: 2, Route: routeByNumber}
			o.Redis.Username, o.Redis.Password = "hark", "secret"
			a, b := join(t, redis, o), join(t, redis, o)
			got := b.collect()
			one, other := routesOf(a)
			eventually(t, "the refusal is reported", func() bool {
				err := a.Stats().LastError
				return err != nil && strings.Contains(err.Error(), "NOPERM")
			})
			eventually(t, "the other partition works", func() bool {
				require.NoError(t, a.Publish(within(t, patience), 1, map[string][]string{"route": {one}}))
				all := got.all()
				return len(all) > 0 && all[len(all)-1] == 1
			})
			grant("*")
			a.awaitReady(t)
			b.awaitReady(t)
			require.NoError(t, a.Publish(within(t, patience), 2, map[string][]string{"route": {other}}))
			got.await(t, has(2))
		})
	}
}

// routesOf returns a routing key for partition 1 and one for partition 0.
func routesOf(s *side) (one, zero string) {
	for c := 'a'; one == "" || zero == ""; c++ {
		switch s.partitionOf(string(c)) {
		case 1:
			one = string(c)
		case 0:
			zero = string(c)
		}
	}
	return one, zero
}

func TestFramesWithoutAValidMACAreDropped(t *testing.T) {
	redis := redistest.Start(t)
	ours, err := ParseKeys("1:00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	theirs, err := ParseKeys("1:ffeeddccbbaa99887766554433221100")
	require.NoError(t, err)
	for _, mode := range []Mode{Live, Durable} {
		for name, keys := range map[string][]Key{"missing": nil, "wrong": theirs} {
			t.Run(mode.String()+" "+name, func(t *testing.T) {
				o := Options{Namespace: mode.String() + name, Mode: mode, Keys: ours}
				a, b, got := joinTwo(t, redis, o)
				o.Keys = keys
				stranger := join(t, redis, o)
				for i := range 10 {
					require.NoError(t, stranger.Publish(within(t, patience), 1000+i, nil))
				}
				require.NoError(t, stranger.Flush(within(t, patience)))
				a.number(t, 1)
				got.await(t, has(1))
				require.NotContains(t, got.all(), 1000)
				require.Positive(t, b.Stats().Unsigned)
				require.Empty(t, b.gaps.all())
			})
		}
	}
}

// A key is changed without a stop: all learn the new one, then sign with it,
// then forget the old one.
func TestKeysRotate(t *testing.T) {
	redis := redistest.Start(t)
	old, err := ParseKeys("1:00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	next, err := ParseKeys("2:ffeeddccbbaa99887766554433221100")
	require.NoError(t, err)
	o := durable("rotate")
	last := 0
	var previous *side
	for _, keys := range [][]Key{old, {old[0], next[0]}, {next[0], old[0]}, next} {
		o.Keys = keys
		s := join(t, redis, o).awaitReady(t)
		if previous != nil {
			got := s.collect()
			last++
			previous.number(t, last)
			got.await(t, has(last))
			got = previous.collect()
			last++
			s.number(t, last)
			got.await(t, has(last))
		}
		previous = s
	}
}

func TestTLS(t *testing.T) {
	redis := redistest.StartTLS(t)
	o := durable("tls")
	o.Redis = redis.Option()
	a, b := joinAt(t, o).awaitReady(t), joinAt(t, o).awaitReady(t)
	got := b.collect()
	a.number(t, 1)
	got.await(t, has(1))
}

// What a stranger says in another's name, without the key: that it has sent a
// thousand publications more, that it is gone, and what the answer to a request
// is.
func TestForgedMarksAndRepliesAreDropped(t *testing.T) {
	redis := redistest.Start(t)
	keys, err := ParseKeys("1:00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	strange, err := ParseKeys("1:ffeeddccbbaa99887766554433221100")
	require.NoError(t, err)
	o := live("forging")
	o.Keys = keys
	a, b, got := joinTwo(t, redis, o)
	a.number(t, 1)
	got.await(t, has(1))

	channel := namesOfPartition("forging", 0, a.Origin()).channel
	asking := make(chan error, 1)
	go func() {
		_, err := a.Request(within(t, patience), "who are you", nil)
		asking <- err
	}()
	eventually(t, "the request waits", func() bool { return a.waitingRequests() == 1 })
	for _, sign := range []*Key{nil, &prepare(strange)[0]} {
		for _, closing := range []bool{false, true} {
			h := header{kind: kindMark, first: 1000, closing: closing, stamp: time.Now().UnixMicro(), epoch: a.Origin().Epoch, name: a.Origin().Name, namespace: "forging"}
			redis.Do(t, "PUBLISH", channel, string(finish(append(appendHeader(nil, &h), 0, 0, 10, 0), 0, sign)))
		}
		h := header{kind: kindReply, codec: codec.Binary.ID(), partition: noPartition, first: 1, epoch: 1, name: "stranger", namespace: "forging"}
		reply := beginEvent(appendHeader(nil, &h))
		begun := len(reply)
		reply, err = codec.Binary.Append(reply, &codec.Event{Type: "string", Data: []byte("your friend")})
		require.NoError(t, err)
		endEvent(reply, begun)
		redis.Do(t, "PUBLISH", a.names.inbox, string(finish(reply, 0, sign)))
	}
	eventually(t, "they are dropped", func() bool { return b.Stats().Unsigned == 4 && a.Stats().Unsigned == 2+4 })
	require.Empty(t, asking)
	require.Equal(t, 1, b.Stats().Origins, "nobody is gone")
	a.number(t, 2)
	got.await(t, has(2))
	require.Empty(t, b.gaps.all(), "nothing is missing")
}

func (b *Bridge) waitingRequests() int {
	b.requests.mu.Lock()
	defer b.requests.mu.Unlock()
	return len(b.requests.waiting)
}
