package stream

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// refusalsOf returns how often something was refused for a reason.
func refusalsOf(s *Server, reason string) uint64 {
	for _, r := range s.Stats().Refusals {
		if r.Reason == reason {
			return r.Count
		}
	}
	panic("no such reason: " + reason)
}

// An accessLine is a line of the access log.
type accessLine struct {
	Msg, Method, Path, Identity, Remote string
	Status                              int
	Bytes, Duration                     int64
}

// accessLog returns a logger, and what it is told line by line.
func accessLog(t *testing.T) (*slog.Logger, func() accessLine) {
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	lines := make(chan accessLine, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			var line accessLine
			if json.Unmarshal(scanner.Bytes(), &line) == nil {
				lines <- line
			}
		}
	}()
	return slog.New(slog.NewJSONHandler(w, nil)), func() accessLine { return <-lines }
}

func TestTheAccessLogHasEveryWayIn(t *testing.T) {
	log, next := accessLog(t)
	proxies, err := ParseProxies([]string{"127.0.0.1"})
	require.NoError(t, err)
	r := newRig(t, Config{AccessLog: log, TrustedProxies: proxies, Identify: func(r *http.Request) (Identity, error) {
		if r.Header.Get("Authorization") == "" {
			return Identity{}, errNoToken
		}
		return Identity{Name: "alice"}, nil
	}})
	header := http.Header{"Authorization": {"Bearer x"}, "X-Forwarded-For": {"192.0.2.7"}}
	ask := func(method, path string, header http.Header) *http.Response {
		request, err := http.NewRequest(method, r.http.URL+path, nil)
		require.NoError(t, err)
		request.Header = header
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		return response
	}
	check := func(method, path string, status int) accessLine {
		t.Helper()
		line := next()
		require.Equal(t, "access", line.Msg)
		require.Equal(t, []any{method, path, status}, []any{line.Method, line.Path, line.Status})
		require.Positive(t, line.Duration)
		return line
	}

	response := ask("GET", "/bus/status?secret=1", header)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	response.Body.Close()
	line := check("GET", "/bus/status", 200)
	require.Equal(t, []any{"alice", "192.0.2.7", int64(len(body))}, []any{line.Identity, line.Remote, line.Bytes})

	ask("GET", "/status", nil).Body.Close()
	line = check("GET", "/status", 401)
	require.Equal(t, []any{"", "127.0.0.1"}, []any{line.Identity, line.Remote})
	ask("GET", "/nothing", header).Body.Close()
	check("GET", "/nothing", 400)
	ask("GET", "/livez", nil).Body.Close()
	check("GET", "/livez", 200)

	ws, _, err := websocket.DefaultDialer.Dial(r.url("/websocket"), header)
	require.NoError(t, err)
	p := &peer{t, ws}
	answer := p.call(`{"id":1,"method":"health"}`)
	ws.Close()
	line = check("GET", "/websocket", 101)
	require.Equal(t, "alice", line.Identity)
	require.GreaterOrEqual(t, line.Bytes, int64(len(answer)))

	topic := header.Clone()
	topic.Set(RoleHeader, RoleSubscriber)
	ws, _, err = websocket.DefaultDialer.Dial(r.url("/a/b"), topic)
	require.NoError(t, err)
	ws.Close()
	check("GET", "/a/b", 101)

	response = ask("GET", "/events?query=a%3D1", header)
	first := make([]byte, len("id: "))
	_, err = io.ReadFull(response.Body, first)
	require.NoError(t, err)
	response.Body.Close()
	line = check("GET", "/events", 200)
	require.GreaterOrEqual(t, line.Bytes, int64(len(first)))
	http.DefaultClient.CloseIdleConnections()
}

// Who tokens are sent by in the path finds none of them in the log.
func TestTheAccessLogHasNoTokens(t *testing.T) {
	log, next := accessLog(t)
	r := newRig(t, Config{AccessLog: log})
	tokens := &Tokens{}
	web := tokens.Handler(r.server)
	r.http.Config.Handler = web
	response, err := http.Get(r.http.URL + "/token/abc.def.ghi/status?token=abc.def.ghi")
	require.NoError(t, err)
	response.Body.Close()
	line := next()
	require.Equal(t, "/status", line.Path)
	http.DefaultClient.CloseIdleConnections()
}

// What is refused is counted, with its reason, whatever the way in.
func TestEveryRefusalIsCounted(t *testing.T) {
	r := newRig(t, Config{MaxClients: 1, MaxSubscriptions: 1, MaxExpressions: 10, MaxFrame: 1000, Origins: nil})
	p := r.dial()
	require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"a MATCHES 'abcdefghijklm'"}}`), "max_expressions_per_client")
	require.Equal(t, uint64(1), refusalsOf(r.server, "expressions"))
	require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"a='`+strings.Repeat("x", 512)+`'"}}`), "maximum query length")
	require.Equal(t, uint64(1), refusalsOf(r.server, "query"))
	p.subscribe("1", "a=1")
	require.Contains(t, p.call(`{"id":2,"method":"subscribe","params":{"query":"a=2"}}`), "max_subscriptions_per_client")
	require.Equal(t, uint64(1), refusalsOf(r.server, "subscriptions"))
	require.Contains(t, r.dial().call(`{"id":2,"method":"subscribe","params":{"query":"a=2"}}`), "max_subscription_clients")
	response, err := http.Get(r.http.URL + "/events?query=a%3D2")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, uint64(2), refusalsOf(r.server, "clients"))

	response, err = http.Post(r.http.URL, "application/json", strings.NewReader(strings.Repeat(" ", 1001)))
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, uint64(1), refusalsOf(r.server, "size"))
	p.send(strings.Repeat(" ", 1001))
	code, _, _ := p.closed()
	require.Equal(t, websocket.CloseMessageTooBig, code)
	require.Equal(t, uint64(2), refusalsOf(r.server, "size"))

	_, _, err = websocket.DefaultDialer.Dial(r.url("/t"), http.Header{RoleHeader: {"nobody"}})
	require.Error(t, err)
	require.Equal(t, uint64(1), refusalsOf(r.server, "request"))
	http.DefaultClient.CloseIdleConnections()
}
