package stream

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/soak"
)

// Floods, drips, half-open peers, unread answers and resets, all at once, and
// again and again: others are served meanwhile, what is held stays below the
// limits, and when the attackers have gone nothing is left of them.

// hostileConfig has limits that a few hundred attackers reach.
func hostileConfig() Config {
	return Config{
		MaxConnections: 300, MaxClients: 300, MaxOpen: 200, MaxRequests: 150, MaxPulls: 50,
		InputBytes: 4 << 20, AnswerBytes: 16 << 20, MaxAnswer: 2 << 20, TotalBytes: 16 << 20,
		ReadTimeout: time.Second, WriteTimeout: 500 * time.Millisecond, CloseTimeout: 200 * time.Millisecond, MaxWait: time.Second,
		Heartbeat: 200 * time.Millisecond, History: history.NewWindow(2000, 16<<20),
		Topics: &SubscriptionOptions{}, Compress: true, Compressors: 2, Presence: everybody,
	}
}

// bomb is a compressed message that has many times as many bytes as it
// takes on the wire.
var bomb = sync.OnceValue(func() string {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestSpeed)
	_, _ = w.Write(make([]byte, 5<<20))
	_ = w.Flush()
	return string(masked(finalBit|compressedBit|opText, bytes.TrimSuffix(packed.Bytes(), []byte(flushMarker))))
})

const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

// A field is where attackers meet a server.
type field struct {
	t       *testing.T
	bus     *pubsub.Server
	server  *Server
	address string
	over    context.Context // the attack
}

// attacks are what one attacker does with a connection, until it is cut or the
// attack is over.
var attacks = map[string]func(f *field, conn net.Conn, random *rand.Rand){
	"says nothing": func(f *field, conn net.Conn, _ *rand.Rand) { f.drain(conn) },
	"resets": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, upgrade("/websocket", ""))
		_ = conn.(*net.TCPConn).SetLinger(0)
	},
	"drips a header": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, "GET / HTTP/1.1\r\n")
		f.drip(conn, "X-Y: z\r\n")
	},
	"drips a body": func(f *field, conn net.Conn, random *rand.Rand) {
		body := strings.Repeat(" ", 990_000)
		f.say(conn, postOf("/publish", body)[:random.IntN(len(body))])
		f.drip(conn, " ")
	},
	"never ends a message": func(f *field, conn net.Conn, random *rand.Rand) {
		f.say(conn, upgrade("/websocket", ""))
		f.say(conn, string(masked(0x01, make([]byte, random.IntN(990_000)))))
		f.drip(conn, string(masked(0x8a, nil)))
	},
	"leaves answers": func(f *field, conn net.Conn, _ *rand.Rand) {
		pull := `{"id":1,"method":"events","params":{}}`
		f.say(conn, strings.Repeat(postOf("/", "["+pull+","+pull+"]"), 50))
		f.wait()
	},
	"leaves events": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, upgrade("/websocket", ""))
		f.say(conn, string(masked(0x81, []byte(`{"id":1,"method":"subscribe","params":{"query":"large=1","after":""}}`))))
		f.wait()
	},
	"leaves a stream": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, "GET /events?query=large%3D1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		f.wait()
	},
	"leaves a topic": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, upgrade("/hostile", "pubsub: subscriber\r\n"))
		f.wait()
	},
	"leaves compressed events": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, upgrade("/websocket", deflateOffer))
		f.say(conn, string(masked(0x81, []byte(`{"id":1,"method":"subscribe","params":{"query":"large=1","after":""}}`))))
		f.wait()
	},
	"leaves a gzipped stream": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, "GET /events?query=large%3D1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n")
		f.wait()
	},
	"sends bombs": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, upgrade("/websocket", deflateOffer))
		f.say(conn, bomb())
		f.drain(conn)
	},
	"never ends a compressed message": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, upgrade("/websocket", deflateOffer))
		f.say(conn, string(masked(compressedBit|opText, []byte{0})))
		f.drip(conn, string(masked(0x8a, nil)))
	},
	"comes and goes": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, upgrade("/websocket", ""))
		subscribe := masked(0x81, []byte(`{"id":1,"method":"subscribe","params":{"query":"nothing=1"}}`))
		leave := masked(0x81, []byte(`{"id":2,"method":"unsubscribe","params":{"query":"nothing=1"}}`))
		f.say(conn, strings.Repeat(string(subscribe)+string(leave), 200))
		f.drain(conn)
	},
	"waits": func(f *field, conn net.Conn, _ *rand.Rand) {
		f.say(conn, postOf("/", waitingPull))
		f.drain(conn)
	},
	"talks nonsense": func(f *field, conn net.Conn, random *rand.Rand) {
		f.say(conn, upgrade("/websocket", ""))
		noise := make([]byte, 1000)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		f.say(conn, string(noise))
		f.drain(conn)
	},
}

func upgrade(path, header string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + header + "\r\n"
}

func (f *field) say(conn net.Conn, text string) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, text)
}

func (f *field) wait() { <-f.over.Done() }

// drain reads until the connection ends.
func (f *field) drain(conn net.Conn) {
	defer context.AfterFunc(f.over, func() { conn.Close() })()
	_, _ = io.Copy(io.Discard, conn)
}

func (f *field) drip(conn net.Conn, drop string) {
	for f.over.Err() == nil {
		if _, err := io.WriteString(conn, drop); err != nil {
			return
		}
		select {
		case <-f.over.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// attack has n attackers of each kind dial again and again until the attack is
// over, and returns how many connections they made.
func (f *field) attack(n int, seed uint64) (dialed int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for name, attack := range attacks {
		for i := range n {
			random := rand.New(rand.NewPCG(seed, uint64(i)+uint64(len(name))<<32))
			all.Go(func() {
				for f.over.Err() == nil {
					conn, err := net.Dial("tcp", f.address)
					if err != nil {
						continue
					}
					mu.Lock()
					dialed++
					mu.Unlock()
					_ = conn.(*net.TCPConn).SetReadBuffer(4096)
					attack(f, conn, random)
					conn.Close()
				}
			})
		}
	}
	all.Wait()
	return dialed
}

// descriptors returns how many files the process has open, or 0 where that
// cannot be known.
func descriptors() int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(all)
}

// bounded watches what is held until the attack is over.
func (f *field) bounded() error {
	before := memory()
	for f.over.Err() == nil {
		for _, l := range f.server.limitStats() {
			if l.Max > 0 && l.Used > l.Max {
				return fmt.Errorf("%s: %d of %d", l.Name, l.Used, l.Max)
			}
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if grown := int(m.HeapAlloc+m.StackInuse) - before; grown > 300<<20 {
			return fmt.Errorf("%d MiB more than before", grown>>20)
		}
		time.Sleep(20 * time.Millisecond) // a sample, not a synchronization
	}
	return nil
}

// A witness is a client of good manners: it expects every number that is
// published, soon.
type witness struct {
	client *client.Client
	delays []time.Duration
}

func (w *witness) watch(ctx context.Context, n int, accepted func()) error {
	next := 0
	for result, err := range w.client.Subscribe(ctx, "number EXISTS", client.SubscribeOptions{Accepted: accepted}) {
		if err != nil {
			return fmt.Errorf("after %d: %w", next, err)
		}
		var published time.Time
		if result.Gap != nil || json.Unmarshal(result.Data.Value, &published) != nil || result.Events["number"][0] != fmt.Sprint(next) {
			return fmt.Errorf("%+v instead of %d", result, next)
		}
		w.delays = append(w.delays, time.Since(published))
		if next++; next == n {
			return nil
		}
	}
	return nil
}

// p99 returns that of numbers from up to to.
func (w *witness) p99(from, to int) time.Duration {
	delays := slices.Sorted(slices.Values(w.delays[from:to]))
	return delays[len(delays)*99/100]
}

func TestHostileClientsCostOthersNothing(t *testing.T) {
	quiet, held0 := runtime.NumGoroutine(), 0
	for seed := range soak.Rounds(t, 1) {
		bus := pubsub.NewServer()
		server, err := New(bus, hostileConfig())
		require.NoError(t, err)
		require.NoError(t, bus.Start())
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		web := server.HTTPServer(nil)
		go func() { _ = web.Serve(listener) }()
		f := &field{t: t, bus: bus, server: server, address: listener.Addr().String()}
		large := strings.Repeat("x", 100_000)
		for range 50 {
			require.NoError(t, bus.PublishWithEvents(t.Context(), large, map[string][]string{"large": {"1"}}))
		}
		client, err := client.Dial(t.Context(), "ws://"+f.address+"/websocket", client.Options{})
		require.NoError(t, err)
		goroutines, files := runtime.NumGoroutine(), descriptors()

		const began, ended, n = 100, 500, 600 // numbers at which the attack does
		over, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		f.over = over
		w := &witness{client: client}
		var watched, held error
		var all sync.WaitGroup
		limit, stop := context.WithTimeout(t.Context(), 10*patience)
		seen, accepted := make(chan struct{}), make(chan struct{})
		all.Go(func() {
			defer close(seen)
			watched = w.watch(limit, n, func() { close(accepted) })
		})
		dialed := 0
		<-accepted
		for i := range n {
			switch i {
			case began:
				all.Go(func() { held = f.bounded() })
				all.Go(func() { dialed = f.attack(8, seed) })
			case ended:
				cancel()
				eventually(t, func() bool { return server.Stats().Connections == 1 }, "the attackers are forgotten")
			}
			require.NoError(t, bus.PublishWithEvents(t.Context(), time.Now(), map[string][]string{"number": {fmt.Sprint(i)}}))
			require.NoError(t, bus.PublishWithEvents(t.Context(), TopicMessage{Payload: []byte(large)}, map[string][]string{"large": {"1"}, TopicKey: {"/hostile"}}))
			time.Sleep(5 * time.Millisecond) // a rate
		}
		<-seen
		all.Wait()
		stop()
		require.NoError(t, watched)
		require.NoError(t, held)
		before, during, after := w.p99(0, began), w.p99(began, ended), w.p99(ended, n)
		t.Logf("%d connections, %d stalls; the witness's p99 is %v, %v, and %v after it; %d goroutines, %d files", dialed, server.Stats().Stalls, before, during, after, runtime.NumGoroutine(), descriptors())
		require.Less(t, during, patience) // the machine may be busy with other tests
		require.Less(t, after, max(100*before, patience/2))

		eventually(t, func() bool {
			s := server.Stats()
			return s.Connections == 1 && s.Queued == 0 && s.Topics == 0
		}, "the attackers are forgotten")
		eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+5 && descriptors() <= files+5 }, "nothing is left of them")
		require.NoError(t, client.Close())
		gone, end := context.WithTimeout(t.Context(), patience)
		require.NoError(t, server.Shutdown(gone))
		end()
		require.NoError(t, web.Close())
		require.NoError(t, bus.Stop())
		eventually(t, func() bool { return runtime.NumGoroutine() <= quiet+1 }, "all is over")
		if held0 == 0 {
			held0 = memory()
		}
		t.Logf("%d MiB are held", memory()>>20)
		eventually(t, func() bool { return memory() < held0+64<<20 }, "nothing is kept of an attack")
	}
}
