package redisbridge

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

const megabit = 1_000_000 / 8 // bytes a second

// requireProgress holds what a transfer took against what the link needs for it,
// or what a plain transfer over such a link took meanwhile, if that was longer:
// the machine may be busy.
func requireProgress(t *testing.T, took, plain time.Duration, passed, payload, rate int) {
	t.Helper()
	ideal := linkTime(payload, rate)
	t.Logf("%d bytes of payload: %v, a plain transfer %v, the link alone needs %v; %.2f times the bytes",
		payload, took, plain, ideal, float64(passed)/float64(payload))
	require.Less(t, took, 2*max(ideal, plain)+8*time.Second)
	require.Less(t, float64(passed), 1.6*float64(payload)+64<<10)
}

// linkTime is how long a link takes for so many bytes, at so many a second.
func linkTime(bytes, rate int) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

// plainTransfer reads or writes so many bytes over a link of its own and sends
// how long that took.
func plainTransfer(t *testing.T, redis *redistest.Server, isWrite bool, bytes, rate int) <-chan time.Duration {
	t.Helper()
	set := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$5\r\nplain\r\n$%d\r\n%s\r\n", bytes, make([]byte, bytes))
	get, reply := "GET plain\r\n", bytes
	if isWrite {
		get, reply = set, len("+OK\r\n")
	} else {
		require.NoError(t, exchange(redis.Addr, set, len("+OK\r\n")))
	}
	proxy := redistest.StartProxy(t, redis.Addr)
	proxy.Limit(rate)
	took := make(chan time.Duration, 1)
	go func() {
		began := time.Now()
		if err := exchange(proxy.Addr, get, reply); err != nil {
			t.Error(err)
		}
		took <- time.Since(began)
	}()
	return took
}

// exchange sends a request and reads so many bytes of the reply.
func exchange(addr, request string, reply int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err = io.WriteString(conn, request); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, conn, int64(reply))
	return err
}

func TestSlowLinkIsReadAtItsPace(t *testing.T) {
	for name, c := range map[string]struct {
		n, size, rate int
	}{
		"large ones at 50 Mbit/s": {atRate(200), 100_000, 50 * megabit},
		"small ones at 8 Mbit/s":  {atRate(20_000), 250, 8 * megabit},
		"one at 1 Mbit/s":         {2, 400_000, megabit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			o := durable("link")
			a := join(t, redis, o).awaitReady(t)
			for range c.n {
				require.NoError(t, a.Publish(within(t, patience), make([]byte, c.size), nil))
			}
			require.NoError(t, a.Flush(within(t, patience)))
			proxy := redistest.StartProxy(t, redis.Addr)
			proxy.Limit(c.rate)
			o.Redis, o.From = optionOf(proxy.Addr), FromFirst()
			plain := plainTransfer(t, redis, false, c.n*c.size, c.rate)
			began := time.Now()
			r := newReader(t, o, "")
			for range c.n {
				require.Nil(t, must(r.Next(within(t, 2*patience))).Gap)
			}
			took := time.Since(began)
			_, passed := proxy.Passed()
			alone := <-plain
			requireProgress(t, took, alone, passed, c.n*c.size, c.rate)
			if ideal := linkTime(c.n*c.size, c.rate); alone < ideal*3/2 { // or the machine stops for seconds
				require.Zero(t, r.Stats().Reconnects)
			}
		})
	}
}

func TestSlowLinkIsWrittenAtItsPace(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			a := join(t, redis, Options{Mode: mode, SendOnly: true}).awaitReady(t)
			a.proxy.Limit(megabit)
			before, _ := a.proxy.Passed()
			n, size := atRate(3000), 200
			plain := plainTransfer(t, redis, true, n*size, megabit)
			began := time.Now()
			for range n {
				require.NoError(t, a.Publish(within(t, 2*patience), make([]byte, size), nil))
			}
			require.NoError(t, a.Flush(within(t, 2*patience)))
			took := time.Since(began)
			passed, _ := a.proxy.Passed()
			requireProgress(t, took, <-plain, passed-before, n*size, megabit)
		})
	}
}

// A reader whose caller has stopped holds no more than its buffers, however
// large the frames are, and whether they were small before.
func TestReaderThatStandsHoldsALittle(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("held")
	a := join(t, redis, o).awaitReady(t)
	for i := range 2000 {
		a.number(t, i)
	}
	large := []byte(strings.Repeat("x", 900_000))
	for range 200 {
		require.NoError(t, a.Publish(within(t, patience), large, nil))
	}
	require.NoError(t, a.Flush(within(t, patience)))
	require.NoError(t, a.Close())
	before := heap()
	o.Redis, o.From = optionOf(redis.Addr), FromFirst()
	r := newReader(t, o, "")
	for range 2000 {
		must(r.Next(within(t, patience)))
	}
	eventually(t, "the inbox is full", func() bool { return r.Stats().Inbox > 15 })
	held := heap() - before
	t.Logf("%d KiB", held>>10)
	require.Less(t, held, 64<<20)
	for range 200 {
		must(r.Next(within(t, patience)))
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
