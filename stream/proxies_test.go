package stream

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/certtest"
)

// One server has event streams and requests over HTTP/2, and WebSockets beside
// them, as docs/proxies.md says.
func TestHTTP2BesideWebSockets(t *testing.T) {
	r := newRig(t, Config{})
	folder, pair := t.TempDir(), certtest.New(t, "127.0.0.1")
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	pair.Write(t, certFile, keyFile)
	trust := &tls.Config{RootCAs: pair.Trust()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	web := r.server.HTTPServer(nil)
	done := make(chan error, 1)
	go func() { done <- web.ServeTLS(listener, certFile, keyFile) }()
	t.Cleanup(func() {
		_ = web.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	address := listener.Addr().String()
	transport := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	events, err := client.Get("https://" + address + "/events?query=a%3D1")
	require.NoError(t, err)
	defer events.Body.Close()
	require.Equal(t, 2, events.ProtoMajor)
	lines := bufio.NewScanner(events.Body)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "id: ")

	dialer := &websocket.Dialer{TLSClientConfig: trust.Clone()}
	ws, _, err := dialer.Dial("wss://"+address+"/websocket", nil)
	require.NoError(t, err)
	defer ws.Close()
	p := &peer{t, ws}
	p.subscribe("1", "a=1")

	response, err := client.Post("https://"+address+"/publish", "application/json", strings.NewReader(`{"data":7,"events":{"a":"1"}}`))
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, []int{2, 200}, []int{response.ProtoMajor, response.StatusCode}, string(answer))
	require.Contains(t, p.receive(), `"value":7`)
	for lines.Scan() && !strings.Contains(lines.Text(), `"value":7`) {
	}
	require.Contains(t, lines.Text(), `"value":7`)
}
