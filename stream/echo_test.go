package stream

import (
	"errors"
	"flag"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

// echo serves an endpoint that sends every message back, through the same
// reader and writer as everything else. It exists in tests alone, for suites
// such as Autobahn's:
//
//	go test ./stream -run TestEchoForAutobahn -echo 127.0.0.1:9001 -timeout 0
//	wstest -m fuzzingclient -s spec.json        # "url": "ws://127.0.0.1:9001"
func (s *Server) echo(w http.ResponseWriter, r *http.Request) { s.visited(s.serveEcho)(w, r) }

func (s *Server) serveEcho(w http.ResponseWriter, r *http.Request, v *visit) {
	c := &topicClient{}
	c.connection.init(s.ctx, "echo", v)
	if c.upgrade(&s.upgrader, timing{time.Hour, 2 * time.Hour, 10 * time.Second, time.Second}, s.config.MaxFrame, w, r, nil) != nil {
		return
	}
	v.kept = true
	go c.serve(func(kind int, payload []byte) error {
		opcode := byte(opText)
		if kind == websocket.BinaryMessage {
			opcode = opBinary
		}
		return c.w.send(frame{opcode: opcode, tail: append([]byte(nil), payload...)}, nil)
	}, v.end)
}

var echoAddress = flag.String("echo", "", "serve the echo endpoint at this address until interrupted")

func TestEchoForAutobahn(t *testing.T) {
	address := *echoAddress
	if address == "" {
		address = "127.0.0.1:0"
	}
	server, err := New(pubsub.NewServer(), Config{MaxFrame: 32 << 20})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	web := server.HTTPServer(http.HandlerFunc(server.echo))
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	if *echoAddress != "" {
		t.Logf("echo at ws://%s", listener.Addr())
		require.NoError(t, <-served)
		return
	}
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+listener.Addr().String(), nil)
	require.NoError(t, err)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
			sent := make([]byte, size)
			require.NoError(t, ws.WriteMessage(kind, sent))
			got, received, err := ws.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, kind, got)
			require.Equal(t, sent, received)
		}
	}
	require.NoError(t, ws.Close())
	require.NoError(t, server.Shutdown(t.Context()))
	require.NoError(t, web.Close())
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
}
