package client

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// A rig is a bus with a server on a loopback port.
type rig struct {
	t       *testing.T
	bus     *pubsub.Server
	history history.History
	server  *stream.Server
	web     *httptest.Server

	mu    sync.Mutex
	conns []net.Conn // that clients dialed
}

func newRig(t *testing.T, c stream.Config) *rig {
	t.Helper()
	if c.History == nil {
		c.History = history.NewWindow(0, 0)
	}
	bus := pubsub.NewServer()
	server, err := stream.New(bus, c)
	require.NoError(t, err)
	require.NoError(t, bus.Start())
	r := &rig{t: t, bus: bus, history: c.History, server: server, web: httptest.NewServer(server)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		r.web.Close()
		_ = bus.Stop()
	})
	return r
}

// url returns the address of a path for a WebSocket.
func (r *rig) url(path string) string { return "ws" + strings.TrimPrefix(r.web.URL, "http") + path }

func (r *rig) client(o Options) *Client {
	r.t.Helper()
	o.Dialer = &websocket.Dialer{NetDialContext: r.dial}
	c, err := Dial(r.t.Context(), r.url("/websocket"), o)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.conns = append(r.conns, conn)
	}
	return conn, err
}

// cut ends all connections without a word.
func (r *rig) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.conns = nil
}

func (r *rig) publish(data any, events map[string][]string) {
	r.t.Helper()
	require.NoError(r.t, r.bus.PublishWithEvents(r.t.Context(), data, events))
}

// publishNumbers publishes from the first to before the last number.
func (r *rig) publishNumbers(first, last int) {
	for i := first; i < last; i++ {
		r.publish(i, map[string][]string{"n": {fmt.Sprint(i)}})
	}
}

// collect reads n results of a client.
func collect(t *testing.T, c *Client, query string, o SubscribeOptions, n int) (results []Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for result, err := range c.Subscribe(ctx, query, o) {
		require.NoError(t, err, "after %d of %d", len(results), n)
		if results = append(results, result); len(results) == n {
			break
		}
	}
	return results
}

func number(t *testing.T, r Result) int {
	t.Helper()
	n, err := DataAs[int](r)
	require.NoError(t, err)
	return n
}
