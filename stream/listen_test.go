package stream

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What an HTTP server reports is seen at the usual level: panics and connections
// that cannot be accepted as errors. Strangers who cause it fill no disk.
func TestWhatTheHTTPServerReportsIsSeen(t *testing.T) {
	var out bytes.Buffer
	to := errorLog(slog.New(slog.NewTextHandler(&out, nil)))
	to.Print("http: Accept error: accept tcp: too many open files; retrying in 5ms")
	to.Print("http: TLS handshake error from 1.2.3.4:5: EOF")
	require.Contains(t, out.String(), "level=ERROR msg=\"stream: http\" message=\"http: Accept error")
	require.Contains(t, out.String(), "level=INFO msg=\"stream: http\" message=\"http: TLS handshake")
	for range 1000 {
		to.Print("http: panic serving")
	}
	require.LessOrEqual(t, strings.Count(out.String(), "\n"), 3*maxLines)
}

// Under a prefix, as a proxy may have it, every route is there.
func TestEveryRouteIsThereUnderAPrefix(t *testing.T) {
	r := newRig(t, Config{})
	for _, prefix := range []string{"", "/bus", "/a/b"} {
		for path, status := range map[string]int{"/status": 200, "/health": 200, "/livez": 200, "/readyz": 200, "/events?query=a%3D": 400, "/nothing": 400} {
			response, err := http.Get(r.http.URL + prefix + path)
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, status, response.StatusCode, prefix+path)
		}
		for _, path := range []string{"/", "/v1", "/v1/"} {
			status, text := r.post(prefix+path, "application/json", `{"id":1,"method":"health"}`)
			require.Equal(t, 200, status, prefix+path)
			require.JSONEq(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, text)
		}
		status, _ := r.post(prefix+"/publish", "application/json", `{"events":{"a":"1"}}`)
		require.Equal(t, 200, status)
		r.dial(prefix + "/websocket")
	}
}

func TestHTTP10IsNotUpgraded(t *testing.T) {
	r := newRig(t, Config{})
	conn := r.plainConn()
	_, err := conn.Write([]byte("GET /websocket HTTP/1.0\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	require.NoError(t, err)
	answer := make([]byte, 12)
	_, err = conn.Read(answer)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.0 400", string(answer))
	r.nothingIsHeld()
}

// An event stream that nobody reads is cut, and counted.
func TestAnEventStreamThatStallsIsCounted(t *testing.T) {
	r := newRig(t, Config{Buffer: 1000, WriteTimeout: 200 * time.Millisecond})
	_, err := r.plainConn().Write([]byte("GET /events?query=a%3D1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
	require.NoError(t, err)
	eventually(t, func() bool { return r.bus.NumClients() == 1 }, "it is there")
	r.flood(100)
	eventually(t, func() bool { return r.server.Stats().Stalls == 1 }, "it is cut")
	r.nothingIsHeld()
}

// What is no UTF-8 is refused, rather than delivered as an error.
func TestPublicationsMustBeUTF8(t *testing.T) {
	r := newRig(t, Config{})
	for _, kind := range []string{"application/json", "application/x-ndjson"} {
		status, text := r.post("/publish", kind, "{\"data\":\"\xff\",\"events\":{\"a\":\"1\"}}")
		require.Equal(t, 400, status)
		require.Contains(t, text, "UTF-8")
	}
}
