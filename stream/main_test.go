package stream

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
)

// The tests are inside the package so that they can look at counters, and
// build the states of a writer that a network brings about once a day.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// A rig is a bus with a server on a loopback port.
type rig struct {
	t      *testing.T
	bus    *pubsub.Server
	server *Server
	http   *httptest.Server

	dialRaw func() (net.Conn, error)

	mu   sync.Mutex
	raws []net.Conn // to close in the end
}

// keep closes a connection when the test ends. A Cleanup for each would cost
// more than what the memory of some of them is compared with.
func (r *rig) keep(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raws = append(r.raws, conn)
}

func newRig(t *testing.T, c Config, options ...pubsub.Option) *rig {
	t.Helper()
	bus := pubsub.NewServer(options...)
	server, err := New(bus, c)
	require.NoError(t, err)
	require.NoError(t, bus.Start())
	r := &rig{t: t, bus: bus, server: server, http: httptest.NewServer(server)}
	r.listenRaw()
	t.Cleanup(r.stop)
	return r
}

// listenRaw has raw dial the port.
func (r *rig) listenRaw() {
	r.dialRaw = func() (net.Conn, error) { return net.Dial("tcp", r.http.Listener.Addr().String()) }
}

func (r *rig) stop() {
	for _, conn := range r.raws {
		_ = conn.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.server.Shutdown(ctx)
	r.http.Close()
	_ = r.bus.Stop()
}

// url returns the address of a path for a WebSocket.
func (r *rig) url(path string) string { return "ws" + strings.TrimPrefix(r.http.URL, "http") + path }

// dial opens a JSON-RPC connection.
func (r *rig) dial(path ...string) *peer {
	r.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(r.url(append(path, "/websocket")[0]), nil)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { ws.Close() })
	return &peer{r.t, ws}
}

// dialTopic connects to a topic.
func dialTopic(t *testing.T, r *rig, path, role string) (*websocket.Conn, error) {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(r.url(path), http.Header{RoleHeader: {role}, NameHeader: {"test"}})
	if err == nil {
		t.Cleanup(func() { ws.Close() })
	}
	return ws, err
}

func (r *rig) publish(data any, events map[string][]string) {
	r.t.Helper()
	require.NoError(r.t, r.bus.PublishWithEvents(r.t.Context(), data, events))
}

// A peer is the other end of a connection.
type peer struct {
	t  *testing.T
	ws *websocket.Conn
}

func (p *peer) send(text string) {
	p.t.Helper()
	require.NoError(p.t, p.ws.WriteMessage(websocket.TextMessage, []byte(text)))
}

// receive returns the next message.
func (p *peer) receive() string {
	p.t.Helper()
	require.NoError(p.t, p.ws.SetReadDeadline(time.Now().Add(patience)))
	kind, payload, err := p.ws.ReadMessage()
	require.NoError(p.t, err)
	require.Equal(p.t, websocket.TextMessage, kind)
	return string(payload)
}

// call sends and returns the next message.
func (p *peer) call(text string) string {
	p.t.Helper()
	p.send(text)
	return p.receive()
}

// subscribe subscribes with an id and returns once it is live.
func (p *peer) subscribe(id, query string) {
	p.t.Helper()
	require.JSONEq(p.t, `{"jsonrpc":"2.0","id":`+id+`,"result":{}}`,
		p.call(`{"jsonrpc":"2.0","id":`+id+`,"method":"subscribe","params":{"query":"`+query+`"}}`))
}

// closed reads until the connection ends and returns the close code and
// reason, and the messages before it.
func (p *peer) closed() (code int, reason string, messages []string) {
	p.t.Helper()
	require.NoError(p.t, p.ws.SetReadDeadline(time.Now().Add(patience)))
	for {
		_, payload, err := p.ws.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			return closed.Code, closed.Text, messages
		}
		require.NoError(p.t, err)
		messages = append(messages, string(payload))
	}
}

// eventually waits for a condition that has no event to wait for.
func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}
