package stream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/wire"
	"github.com/harkbus/pubsub/query"
)

// A drain tells every id, sends what was in the buffers before, and closes
// with 1012, never 1000.
func TestADrainTellsEveryIDThenCloses(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	for i := range 5 {
		p.subscribe(fmt.Sprint(i), fmt.Sprintf("a=%d", i))
	}
	for i := range 5 {
		r.publish(i, map[string][]string{"a": {fmt.Sprint(i)}})
	}
	require.NoError(t, r.server.Shutdown(t.Context()))
	code, reason, messages := p.closed()
	require.Equal(t, websocket.CloseServiceRestart, code)
	require.Equal(t, wire.Draining, reason)
	require.Len(t, messages, 10)
	all := strings.Join(messages, "\n")
	for i := range 5 {
		event := strings.Index(all, fmt.Sprintf(`"id":%d,"result"`, i))
		end := strings.Index(all, fmt.Sprintf(`"id":%d,"error":{"code":-32000,"message":"Server error","data":"subscription was canceled (reason: the server is shutting down)"}`, i))
		require.True(t, 0 <= event && event < end, all)
	}
	response, err := http.Get(r.http.URL + "/readyz")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	_, response, err = websocket.DefaultDialer.Dial(r.url("/websocket"), nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
}

// A request that comes during a drain is answered, so that nobody waits for it.
func TestARequestDuringADrainIsRefused(t *testing.T) {
	r := newRig(t, Config{Buffer: 1000})
	p := r.dialSmall("/websocket", nil)
	p.subscribe("1", "a=1")
	r.flood(100) // which it has to read before the drain ends
	drained := make(chan error)
	go func() { drained <- r.server.Shutdown(t.Context()) }()
	sessions, _ := r.server.connections()
	eventually(t, func() bool { return sessions[0].closing.Load() != nil }, "the drain has begun")
	p.send(`{"id":9,"method":"subscribe","params":{"query":"b=1"}}`)
	p.send(`{"method":"subscribe","params":{"query":"b=2"}}`)
	eventually(t, func() bool { return r.server.Stats().Requests == 2 }, "it is read")
	code, _, messages := p.closed()
	require.Equal(t, websocket.CloseServiceRestart, code)
	require.Contains(t, messages, `{"jsonrpc":"2.0","id":9,"error":{"code":-32000,"message":"Server error","data":"the server is shutting down"}}`)
	require.Contains(t, messages[len(messages)-1], `"id":1,"error"`)
	require.NoError(t, <-drained)
}

// A peer that does not react holds a drain up until its deadline.
func TestADrainEndsByItsDeadline(t *testing.T) {
	r := newRig(t, Config{Buffer: 1000})
	p := r.dialSmall("/websocket", nil)
	p.subscribe("1", "a=1")
	r.flood(100)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.server.Shutdown(ctx), context.DeadlineExceeded)
	require.Zero(t, r.server.Stats().Connections)
}

func TestTheBusEndingIsToldOnEveryID(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	p.subscribe("1", "a=1")
	require.NoError(t, r.bus.Stop())
	require.Contains(t, p.receive(), `subscription was canceled (reason: pubsub: the server is stopped)`)
	require.Contains(t, p.call(`{"id":2,"method":"subscribe","params":{"query":"a=1"}}`), "stopped")
}

// After 10,000 connections that came and went, every third by RST, nothing is
// left.
func TestNothingIsLeftOfManyConnections(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	r := newRig(t, Config{MaxClients: 1000})
	r.dial() // what is made once is made
	before := runtime.NumGoroutine()
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := range n / 8 {
				kind := (worker + i) % 3
				var header http.Header
				path := "/websocket"
				if i%2 == 0 {
					path, header = fmt.Sprintf("/topic/%d", i), http.Header{RoleHeader: {[]string{RolePublisher, RoleSubscriber}[i/2%2]}}
				}
				ws, _, err := websocket.DefaultDialer.Dial(r.url(path), header)
				if err != nil {
					t.Error(err)
					return
				}
				if header == nil {
					_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"method":"subscribe","params":{"query":"a=1"}}`))
				}
				switch kind {
				case 0:
					_ = ws.UnderlyingConn().(*net.TCPConn).SetLinger(0) // RST
				case 1:
					_ = ws.WriteControl(websocket.CloseMessage, nil, time.Now().Add(time.Second))
				}
				_ = ws.Close()
			}
		})
	}
	workers.Wait()
	eventually(t, func() bool {
		s := r.server.Stats()
		return s.Connections == 1 && s.Clients == 0 && s.Topics == 0 && s.Queued == 0 && r.bus.NumClients() == 0
	}, "nothing is counted")
	http.DefaultClient.CloseIdleConnections()
	eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, "no goroutine is left")
}

// raw is a connection that speaks WebSocket by the byte.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (r *rig) raw(path string) *raw {
	r.t.Helper()
	conn, err := r.dialRaw()
	require.NoError(r.t, err)
	r.keep(conn)
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path)
	require.NoError(r.t, err)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	require.NoError(r.t, err)
	require.Equal(r.t, http.StatusSwitchingProtocols, response.StatusCode)
	require.Equal(r.t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", response.Header.Get("Sec-WebSocket-Accept"), "RFC 6455, section 1.3")
	require.NoError(r.t, conn.SetReadDeadline(time.Now().Add(patience)))
	return &raw{r.t, conn, in}
}

// masked returns a frame of a client; first is its first byte.
func masked(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// next returns the next frame of the server.
func (r *raw) next() parsedFrame {
	r.t.Helper()
	head := make([]byte, 2)
	_, err := io.ReadFull(r.in, head)
	require.NoError(r.t, err)
	n := uint64(head[1])
	if bytes := map[uint64]int{126: 2, 127: 8}[n]; bytes > 0 {
		size := make([]byte, 8)
		_, err = io.ReadFull(r.in, size[8-bytes:])
		require.NoError(r.t, err)
		n = binary.BigEndian.Uint64(size)
	}
	payload := make([]byte, n)
	_, err = io.ReadFull(r.in, payload)
	require.NoError(r.t, err)
	return parsedFrame{head[0] & 0xf, string(payload)}
}

// A peer that sends a frame by the byte is cut, whether or not it answers
// pings in between.
func TestDripFedFramesAreCut(t *testing.T) {
	for name, message := range map[string][]byte{
		"header":   {0x81, 0xff, 0, 0},
		"payload":  masked(0x81, []byte(strings.Repeat("x", 100)))[:20],
		"fragment": masked(0x01, []byte("x")),
	} {
		r := newRig(t, Config{ReadTimeout: 300 * time.Millisecond, PingInterval: 100 * time.Millisecond, CloseTimeout: 100 * time.Millisecond})
		p := r.raw("/websocket")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, p.in)
		}()
		_, err := p.conn.Write(message)
		require.NoError(t, err)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for cut := false; !cut; {
			select {
			case <-ended:
				cut = true
			case <-tick.C:
				if name == "fragment" {
					_, _ = p.conn.Write(masked(0x8a, nil))
					_, _ = p.conn.Write(masked(0x00, nil))
				} else {
					_, _ = p.conn.Write([]byte{'x'})
				}
			case <-time.After(patience):
				t.Fatalf("%s: it is not cut", name)
			}
		}
	}
}

func TestASilentPeerIsCutAndOneThatAnswersPingsIsNot(t *testing.T) {
	r := newRig(t, Config{ReadTimeout: 200 * time.Millisecond, PingInterval: 50 * time.Millisecond})
	silent := r.raw("/websocket")
	p := r.dial()
	pings := make(chan struct{}, 100)
	answer := p.ws.PingHandler()
	p.ws.SetPingHandler(func(s string) error {
		select {
		case pings <- struct{}{}:
		default:
		}
		return answer(s)
	})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, silent.in)
	}()
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		_, _, _ = p.ws.ReadMessage()
	}()
	<-gone
	for range 10 {
		<-pings
	}
	require.Equal(t, 1, r.server.Stats().Connections)
	p.ws.Close()
	<-reader
}

func TestADripFedHeaderIsCut(t *testing.T) {
	web := newRig(t, Config{}).server.HTTPServer(http.NotFoundHandler())
	require.Positive(t, web.ReadHeaderTimeout)
	web.ReadHeaderTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = web.Serve(listener) }()
	defer web.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHo"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadAll(conn)
	require.NoError(t, err, "the server closes")
}

// Pongs and empty fragments give an unfinished message no more time.
func TestPongsDoNotProlongAnUnfinishedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := New(pubsub.NewServer(), Config{})
		require.NoError(t, err)
		pipes := newPipes()
		web := &http.Server{Handler: server}
		go func() { _ = web.Serve(pipes) }()
		conn, err := pipes.dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, upgrade("/websocket", ""))
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil) // a server takes nothing before its answer
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
		cut := make(chan struct{})
		go func() {
			defer close(cut)
			_, _ = io.Copy(io.Discard, conn)
		}()
		_, err = conn.Write(masked(0x01, []byte("x")))
		require.NoError(t, err)
		begun := time.Now()
		for over := false; !over; {
			select {
			case <-cut:
				over = true
			case <-time.After(time.Second):
				_, _ = conn.Write(append(masked(0x8a, nil), masked(0x00, nil)...))
			}
			require.Less(t, time.Since(begun), 2*time.Minute, "it is not cut")
		}
		require.Less(t, time.Since(begun), 45*time.Second, "ReadTimeout is 30 s")
		conn.Close()
		require.NoError(t, server.Shutdown(context.Background()))
		require.NoError(t, web.Close())
	})
}

// A connection that has been let in before the drain began is waited for, though
// it is none yet, and is notified like the others.
func TestAConnectionThatArrivesAtTheDrainIsWaitedFor(t *testing.T) {
	var slow atomic.Bool
	entered, proceed := make(chan struct{}), make(chan struct{})
	r := newRig(t, Config{Narrow: func(_ Identity, q *query.Query) (*query.Query, error) {
		if slow.Load() {
			close(entered)
			<-proceed
		}
		return q, nil
	}})
	slow.Store(true)
	ends := make(chan int)
	go func() {
		ws, _, err := websocket.DefaultDialer.Dial(r.url("/t"), http.Header{RoleHeader: {RoleSubscriber}})
		if err != nil {
			ends <- 0
			return
		}
		defer ws.Close()
		_, _, err = ws.ReadMessage()
		var closed *websocket.CloseError
		if !errors.As(err, &closed) {
			closed = &websocket.CloseError{}
		}
		ends <- closed.Code
	}()
	<-entered // it has been let in
	over := make(chan error)
	go func() { over <- r.server.Shutdown(t.Context()) }()
	<-r.server.draining.Done()
	select {
	case <-over:
		t.Error("Shutdown returns while a connection arrives")
		close(proceed)
		<-ends
		return
	case <-time.After(50 * time.Millisecond):
	}
	close(proceed)
	require.Equal(t, websocket.CloseServiceRestart, <-ends)
	require.NoError(t, <-over)
}

// Nothing is accepted once the drain has begun, whatever was let in before.
func TestNothingIsPublishedOnceTheDrainHasBegun(t *testing.T) {
	r := newRig(t, Config{})
	r.server.drain()
	for range 100 {
		status, answer := r.post("/publish", "application/json", `{"data":1,"events":{"a":["1"]}}`)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, answer, "shutting down")
	}
	require.Zero(t, r.bus.Sequence())
}
