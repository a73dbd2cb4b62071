package stream

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

// The bars that repeat on any machine: allocations, bytes, encodings. What is
// measured in time is in bench/.

// A sink is a connection that takes everything.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error)      { return len(b), nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }
func (sink) SetReadDeadline(time.Time) error  { return nil }
func (sink) Close() error                     { return nil }

// newSinks returns a server with n subscriptions, each on a connection of its
// own that takes everything.
func newSinks(t testing.TB, n int, query func(i int) string, after bool) (*Server, *pubsub.Server) {
	bus := pubsub.NewServer()
	server, err := New(bus, Config{MaxClients: n, MaxConnections: n, Heartbeat: time.Hour, HeldBytes: 256 << 20}) // what is by time is no delivery
	require.NoError(t, err)
	require.NoError(t, bus.Start())
	var sessions []*session
	for i := range n {
		s := &session{socket: &socket{conn: &watchedConn{Conn: sink{}}}}
		s.connection.init(server.ctx, "ws", &visit{server: server})
		s.counted, s.transport = true, s
		s.w.init(s.conn.Conn, time.Second, server.config.QueueBytes, &server.queued, &server.writes)
		sessions = append(sessions, s)
		o, fault := s.subscribe(asked{id: []byte("1"), query: query(i), overflow: OverflowCancel, cursors: after})
		require.Nil(t, fault)
		s.spawn(o.pump)
	}
	t.Cleanup(func() {
		for _, s := range sessions {
			s.cancel()
			s.tasks.Wait()
		}
		_ = server.Shutdown(context.Background())
		_ = bus.Stop()
	})
	return server, bus
}

func TestDeliveringAllocatesNothingPerSubscriber(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, cursors := range []bool{false, true} {
		const n = 1000
		server, bus := newSinks(t, n, func(int) string { return "tm.event = 'Tx'" }, cursors)
		data := Data{"tendermint/event/Tx", []byte(`{"TxResult":{"height":"13"}}`)}
		events := map[string][]string{"tm.event": {"Tx"}, "transfer.amount": {"13"}, "tx.height": {"13"}}
		deliver := func() {
			before := server.writes.frames.Load()
			require.NoError(t, bus.PublishWithEvents(t.Context(), data, events))
			for server.writes.frames.Load() < before+n {
				runtime.Gosched()
			}
		}
		for range 100 {
			deliver()
		}
		per := testing.AllocsPerRun(200, deliver) / n
		t.Logf("cursors %t: %.4f allocations per delivery", cursors, per)
		require.LessOrEqual(t, per, 0.01)
	}
}

// An idle connection costs at most 10 KiB of heap and stacks, the test's end of
// it included; a subscription, which has a goroutine, 5 KiB more.
func TestAnIdleConnectionCostsLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const n = 1000
	r := newRig(t, Config{MaxConnections: 3 * n, MaxClients: 3 * n})
	open := func(request string) {
		p := r.raw("/websocket")
		_, err := p.conn.Write(masked(0x81, []byte(request)))
		require.NoError(t, err)
		p.next()
		p.in = nil
	}
	perConnection := func(request string) int {
		for range 100 {
			open(request) // what is made once is made
		}
		before := memory()
		for range n {
			open(request)
		}
		after := memory()
		for range 20 { // goroutines may be ending yet, and stacks are made smaller step by step
			after = min(after, memory())
		}
		return (after - before) / n
	}
	idle := perConnection(`{"id":1,"method":"health"}`)
	subscribed := perConnection(`{"id":1,"method":"subscribe","params":{"query":"a=1"}}`)
	t.Logf("%d bytes, %d with a subscription", idle, subscribed)
	require.LessOrEqual(t, idle, 10<<10)
	require.LessOrEqual(t, subscribed, 15<<10)
}

// memory returns the bytes of heap and stacks in use.
func memory() int {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

func BenchmarkDelivery(b *testing.B) {
	for _, queries := range []string{"one", "different"} {
		b.Run("subscribers=1000/queries="+queries, func(b *testing.B) {
			const n = 1000
			server, bus := newSinks(b, n, func(i int) string {
				if queries == "one" {
					return "tm.event = 'Tx'"
				}
				return fmt.Sprintf("tm.event = 'Tx' AND tx.height > %d", i)
			}, false)
			data := Data{"tendermint/event/Tx", []byte(`{"TxResult":{"height":"13"}}`)}
			events := map[string][]string{"tm.event": {"Tx"}, "tx.height": {"100000"}}
			b.ReportAllocs()
			for b.Loop() {
				before := server.writes.frames.Load()
				require.NoError(b, bus.PublishWithEvents(b.Context(), data, events))
				for server.writes.frames.Load() < before+n {
					runtime.Gosched()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/delivery")
		})
	}
}

// Statistics take the memory of what they say, however many are connected.
func TestStatsTakeBoundedMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, n := range []int{1, 1000} {
		server, bus := newSinks(t, n, func(int) string { return "tm.event = 'Tx'" }, true)
		require.NoError(t, bus.PublishWithEvents(t.Context(), 1, map[string][]string{"tm.event": {"Tx"}}))
		eventually(t, func() bool { return server.writes.frames.Load() == uint64(n) }, "all have begun")
		for _, o := range server.outlets.Range {
			c := o.(*outlet).conn
			server.add(c)
			t.Cleanup(func() { server.remove(c) })
		}
		require.Len(t, server.Stats().Limits, limitNames)
		least := 1e9 // of several: goroutines that have just begun allocate, too
		for range 5 {
			least = min(least, testing.AllocsPerRun(100, func() { server.Stats() }))
		}
		require.LessOrEqual(t, least, 4.0, "of %d connections", n)
	}
}
