package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/wire"
	"github.com/harkbus/pubsub/stream"
)

// A memory is a server whose connections are in memory, for fake time.
type memory struct {
	mu       sync.Mutex
	refusing bool
	dials    []time.Time
	conns    chan net.Conn
	closed   chan struct{}
}

// serveInMemory serves until the test ends, which must come before the end of a
// synctest bubble: call the returned function.
func serveInMemory(h http.HandlerFunc) (m *memory, stop func()) {
	m = &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	var serving sync.WaitGroup // hijacked connections too
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		h(w, r)
	})}
	serving.Go(func() { _ = server.Serve(m) })
	return m, func() {
		_ = server.Close()
		serving.Wait()
	}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	close(m.closed)
	return nil
}

func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	m.mu.Lock()
	m.dials = append(m.dials, time.Now())
	refusing := m.refusing
	m.mu.Unlock()
	if refusing {
		return nil, errors.New("nobody there")
	}
	ours, theirs := net.Pipe()
	select {
	case m.conns <- theirs:
		return ours, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) refuse(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusing = yes
}

func (m *memory) dialer() *websocket.Dialer { return &websocket.Dialer{NetDialContext: m.dial} }

const anywhere = "ws://memory/websocket"

// upgraded is a handler that serves WebSockets; serve returns when one is to be
// cut.
func upgraded(serve func(ws *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		serve(ws)
	}
}

// readAll reads until the connection ends.
func readAll(ws *websocket.Conn) {
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
	}
}

func TestWaitTriesOnlyWhatCanHelp(t *testing.T) {
	for status, again := range map[int]bool{
		http.StatusBadRequest: false, http.StatusUnauthorized: false, http.StatusForbidden: false, http.StatusNotFound: false,
		http.StatusMisdirectedRequest: false,
		http.StatusTooManyRequests:    true, http.StatusInternalServerError: true, http.StatusServiceUnavailable: true,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, stop := serveInMemory(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
				defer stop()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				retries := 0
				_, err := Dial(ctx, anywhere, Options{Dialer: m.dialer(), Wait: true, OnConnection: func(error) { retries++ }})
				require.Equal(t, again, errors.Is(err, context.DeadlineExceeded), err)
				require.Equal(t, again, len(m.dials) > 1)
				require.Equal(t, again, retries > 0)
				if !again {
					require.ErrorContains(t, err, fmt.Sprint(status))
				}
			})
		})
	}
}

func TestABadCertificateIsNotTriedAgain(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	_, err := Dial(t.Context(), "wss"+strings.TrimPrefix(server.URL, "https"), Options{Wait: true})
	var certificate *tls.CertificateVerificationError
	require.ErrorAs(t, err, &certificate)
}

func TestAnAddressThatCannotWorkIsRefusedAtOnce(t *testing.T) {
	for address, says := range map[string]string{
		"http://127.0.0.1":                  "ws:// or wss:// URL",
		"127.0.0.1:26657":                   "ws:// or wss:// URL",
		"":                                  "ws:// or wss:// URL",
		"ws://ann:secret@127.0.0.1/websock": "no user or password",
	} {
		_, err := Dial(t.Context(), address, Options{Wait: true})
		require.ErrorContains(t, err, says, address)
		require.NotContains(t, err.Error(), "secret")
		_, _, err = Connect(t.Context(), address, nil, Options{Wait: true})
		require.ErrorContains(t, err, says, address)
	}
}

// The limit counts from when the connection was lost, not from each attempt.
func TestGiveUpAfterEndsAClient(t *testing.T) {
	t.Run("before the first connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, stop := serveInMemory(nil)
			defer stop()
			m.refuse(true)
			begun := time.Now()
			_, err := Dial(t.Context(), anywhere, Options{Dialer: m.dialer(), Wait: true, GiveUpAfter: time.Minute})
			require.ErrorContains(t, err, "gave up after 1m0s without the server")
			require.ErrorContains(t, err, "nobody there")
			require.Equal(t, time.Minute, time.Since(begun))
		})
	})
	t.Run("after it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cut := make(chan struct{})
			m, stop := serveInMemory(upgraded(func(*websocket.Conn) { <-cut }))
			defer stop()
			c, err := Dial(t.Context(), anywhere, Options{Dialer: m.dialer(), ReadTimeout: time.Hour, GiveUpAfter: time.Minute})
			require.NoError(t, err)
			time.Sleep(2 * time.Minute) // it is connected
			require.NoError(t, c.Error())
			m.refuse(true)
			begun := time.Now()
			close(cut)
			for _, err := range c.Subscribe(t.Context(), "a=1", SubscribeOptions{}) {
				require.ErrorContains(t, err, "gave up after 1m0s")
			}
			require.Equal(t, time.Minute, time.Since(begun))
			require.ErrorContains(t, c.Error(), "nobody there")
			_, err = c.Publish(t.Context(), Publication{})
			require.ErrorContains(t, err, "gave up")
			require.NoError(t, c.Close())
		})
	})
	t.Run("not while it comes back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cut := make(chan struct{})
			m, stop := serveInMemory(upgraded(func(*websocket.Conn) { <-cut }))
			defer stop()
			c, err := Dial(t.Context(), anywhere, Options{Dialer: m.dialer(), ReadTimeout: time.Hour, GiveUpAfter: time.Minute})
			require.NoError(t, err)
			for range 5 {
				m.refuse(true)
				cut <- struct{}{}
				time.Sleep(45 * time.Second)
				m.refuse(false)
				time.Sleep(11 * time.Second)
			}
			require.NoError(t, c.Error())
			go func() { cut <- struct{}{} }()
			require.NoError(t, c.Close())
		})
	})
}

// A server that answers pings is kept however little it sends; one that does not
// is left after ReadTimeout.
func TestASilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := make(chan struct{})
		m, stop := serveInMemory(upgraded(func(ws *websocket.Conn) {
			ws.SetPingHandler(func(payload string) error {
				select {
				case <-deaf:
					return nil
				default:
					return ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(time.Second))
				}
			})
			readAll(ws)
		}))
		defer stop()
		c, _, err := Connect(t.Context(), anywhere, nil, Options{Dialer: m.dialer(), ReadTimeout: 10 * time.Second, NoReconnect: true})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.NoError(t, c.Error())
		close(deaf)
		begun := time.Now()
		<-c.Done()
		require.LessOrEqual(t, time.Since(begun), 10*time.Second)
		require.ErrorContains(t, c.Error(), "connection lost")
		require.NotErrorIs(t, c.Error(), ErrClosedByServer)
	})
}

// Neither does a server keep a client by sending, nor by saying nothing.
func TestCloseWaitsForTheServerNoLongerThanCloseTimeout(t *testing.T) {
	for name, serve := range map[string]func(ws *websocket.Conn){
		"it says nothing": func(ws *websocket.Conn) {
			ws.SetCloseHandler(func(int, string) error { return nil })
			_, _, _ = ws.ReadMessage()
			time.Sleep(time.Minute)
		},
		"it goes on": func(ws *websocket.Conn) {
			ws.SetCloseHandler(func(int, string) error { return nil })
			go readAll(ws)
			for {
				if ws.WriteMessage(websocket.TextMessage, []byte("{}")) != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, stop := serveInMemory(upgraded(serve))
				defer stop()
				c, _, err := Connect(t.Context(), anywhere, nil, Options{Dialer: m.dialer(), CloseTimeout: 3 * time.Second})
				require.NoError(t, err)
				time.Sleep(time.Second)
				begun := time.Now()
				require.NoError(t, c.Close())
				require.LessOrEqual(t, time.Since(begun), 3*time.Second)
				require.NoError(t, c.Error())
				require.NoError(t, c.Close(), "again")
				require.ErrorIs(t, c.Write(websocket.TextMessage, nil), ErrClosed)
			})
		})
	}
}

func TestWriteWaitsForTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 10)
		m, stop := serveInMemory(upgraded(func(ws *websocket.Conn) {
			if _, message, err := ws.ReadMessage(); err == nil {
				got <- string(message)
			}
		}))
		defer stop()
		changes := make(chan error, 100)
		c, _, err := Connect(t.Context(), anywhere, nil, Options{Dialer: m.dialer(), OnConnection: func(err error) { changes <- err }})
		require.NoError(t, err)
		require.NoError(t, <-changes)
		m.refuse(true)
		require.NoError(t, c.Write(websocket.TextMessage, []byte("first")))
		require.Equal(t, "first", <-got)
		require.ErrorContains(t, <-changes, "connection lost")
		time.AfterFunc(time.Second, func() { m.refuse(false) })
		begun := time.Now()
		require.NoError(t, c.Write(websocket.TextMessage, []byte("second")))
		require.GreaterOrEqual(t, time.Since(begun), time.Second)
		require.Equal(t, "second", <-got)
		m.refuse(true)
		written := make(chan error)
		go func() {
			time.Sleep(time.Second)
			written <- c.Write(websocket.TextMessage, []byte("third"))
		}()
		time.Sleep(2 * time.Second)
		require.Equal(t, &UnconfirmedError{2}, c.Close(), "each connection was cut before the server said anything")
		require.ErrorIs(t, <-written, ErrClosed)
	})
}

// fakeServer speaks JSON-RPC: it gives each subscribe request to answer, with how
// many came before it.
func fakeServer(answer func(ws *websocket.Conn, n int, id int64)) http.HandlerFunc {
	var count atomic.Int64
	return upgraded(func(ws *websocket.Conn) {
		for {
			var r struct {
				ID     int64
				Method string
			}
			if ws.ReadJSON(&r) != nil {
				return
			}
			if r.Method == "subscribe" {
				answer(ws, int(count.Add(1))-1, r.ID)
			}
		}
	})
}

func accept(ws *websocket.Conn, id int64) {
	_ = ws.WriteJSON(map[string]any{"id": id, "result": map[string]any{"cursor": history.Cursor{Epoch: 1, Major: 7}.String()}})
}

func refuseWith(ws *websocket.Conn, id int64, code int, data string) {
	_ = ws.WriteJSON(map[string]any{"id": id, "error": RPCError{code, "", data}})
}

// What the server can end and a client can resume, and what it cannot.
func TestWhichEndsOfASubscriptionAreResumed(t *testing.T) {
	const again, notAgain = true, false
	for _, c := range []struct {
		code   int
		data   string
		resume bool
	}{
		{-32000, "subscription was canceled (reason: " + wire.TooSlow + ")", again},
		{-32000, "subscription was canceled (reason: " + wire.Unreading + ")", again},
		{-32000, "subscription was canceled (reason: internal subscription event buffer is out of capacity)", again},
		{-32000, "subscription was canceled (reason: pubsub: the server is stopped)", again},
		{-32000, "subscription was canceled (reason: the token has expired)", notAgain},
		{-32000, "subscription was canceled (reason: ended by an administrator)", notAgain},
		{-32603, "failed to parse query: " + wire.TooSlow, notAgain},
		{-32603, "max_subscriptions_per_client 5 reached", again}, // the connection that was lost still counts
		{-32603, "max_subscription_clients 100 reached", again},
		{-32603, "max_expressions 2000 reached: …", again},
		{-32603, "max_expressions_per_client 200 reached: …", notAgain},
	} {
		t.Run(c.data, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requests := make(chan int, 10)
				m, stop := serveInMemory(fakeServer(func(ws *websocket.Conn, n int, id int64) {
					requests <- n
					accept(ws, id)
					if n == 0 {
						refuseWith(ws, id, c.code, c.data)
					}
				}))
				defer stop()
				client, err := Dial(t.Context(), anywhere, Options{Dialer: m.dialer()})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for _, err := range client.Subscribe(ctx, "a=1", SubscribeOptions{}) {
					var refused *RPCError
					require.Equal(t, !c.resume, errors.As(err, &refused), err)
				}
				require.Equal(t, c.resume, len(requests) == 2)
				require.NoError(t, client.Close())
			})
		})
	}
}

// A limit that was never passed before is an error, not a reason to wait.
func TestALimitThatIsReachedAtFirstEndsTheLoop(t *testing.T) {
	r := newRig(t, stream.Config{MaxSubscriptions: 1})
	c := r.client(Options{})
	accepted := make(chan struct{})
	go func() {
		for range c.Subscribe(t.Context(), "a=1", SubscribeOptions{Accepted: func() { close(accepted) }}) {
		}
	}()
	<-accepted
	for _, err := range c.Subscribe(t.Context(), "a=2", SubscribeOptions{}) {
		var refused *RPCError
		require.ErrorAs(t, err, &refused)
		require.Contains(t, refused.Data, "max_subscriptions_per_client 1 reached")
	}
}

// While a limit is reached a client that comes back asks ever more rarely.
func TestAClientDialsMoreSlowlyWhileALimitIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := serveInMemory(fakeServer(func(ws *websocket.Conn, n int, id int64) {
			if n == 0 {
				accept(ws, id)
				_ = ws.Close()
				return
			}
			refuseWith(ws, id, -32603, "max_subscription_clients 100 reached")
		}))
		defer stop()
		c, err := Dial(t.Context(), anywhere, Options{Dialer: m.dialer()})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		for _, err := range c.Subscribe(ctx, "a=1", SubscribeOptions{}) {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.NoError(t, c.Close())
		require.Less(t, len(m.dials), 10*60/2, "five seconds between two, on average")
	})
}

// A client is told of a deliberate shutdown, though it reconnects.
func TestAClientIsNotifiedOfAShutdown(t *testing.T) {
	r := newRig(t, stream.Config{})
	changes := make(chan error, 100)
	c := r.client(Options{OnConnection: func(err error) { changes <- err }})
	require.NoError(t, <-changes)
	accepted := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		for _, err := range c.Subscribe(ctx, "a=1", SubscribeOptions{Accepted: func() { close(accepted) }}) {
			ended <- err
		}
	}()
	<-accepted
	require.NoError(t, r.server.Shutdown(t.Context()))
	err := <-changes
	require.ErrorIs(t, err, ErrClosedByServer)
	require.ErrorContains(t, err, wire.Draining)
	require.ErrorContains(t, <-changes, "503")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled, "the loop goes on until then")
}

// Loops that begin while the connection comes and goes are sent once to each.
func TestLoopsThatBeginDuringAReconnectAreSubscribed(t *testing.T) {
	r := newRig(t, stream.Config{MaxSubscriptions: 100})
	c := r.client(Options{})
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const n = 40
	accepted := make(chan struct{}, 2*n)
	for i := range n {
		if i%8 == 0 {
			r.cut()
		}
		all.Go(func() {
			for result, err := range c.Subscribe(ctx, fmt.Sprintf("n = '%d'", i), SubscribeOptions{Accepted: func() { accepted <- struct{}{} }}) {
				if err != nil || result.Gap != nil {
					t.Error(i, result, err)
				}
				break
			}
		})
	}
	for range n {
		<-accepted
	}
	r.publishNumbers(0, n)
	all.Wait()
}

func TestATypeOfTheCarrierIsUnwrapped(t *testing.T) {
	inner := Data{Type: "test/price", Value: json.RawMessage(`{"a":1}`)}
	text, err := json.Marshal(inner)
	require.NoError(t, err)
	quoted, err := json.Marshal(string(text))
	require.NoError(t, err)
	require.Equal(t, inner, Data{Type: wire.TypeCarrier, Value: quoted}.unwrap())
	for _, other := range []Data{inner, {Type: wire.TypeCarrier, Value: json.RawMessage(`"x"`)}, {Type: wire.TypeCarrier, Value: json.RawMessage(`1`)}} {
		require.Equal(t, other, other.unwrap())
	}
}
