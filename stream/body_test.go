package stream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/wire"
	"github.com/harkbus/pubsub/query"
)

// announced asks with a body of which nothing comes.
func (r *rig) announced(request string) *bufio.Reader {
	r.t.Helper()
	conn := r.plainConn()
	_, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")+"\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
	require.NoError(r.t, err)
	require.NoError(r.t, conn.SetReadDeadline(time.Now().Add(patience)))
	return bufio.NewReader(conn)
}

// A body that no handler wants is not waited for: the request is answered at
// once, and its connection ends.
func TestABodyThatNobodyWantsIsNotWaitedFor(t *testing.T) {
	r := newRig(t, Config{ReadTimeout: time.Hour, Presence: func(Identity) (q *query.Query, err error) { return nil, nil }, Identify: func(q *http.Request) (Identity, error) {
		if q.Header.Get("Authorization") != "" {
			return Identity{}, errors.New("nobody knows this token")
		}
		return Identity{}, nil
	}})
	answers := map[string]*bufio.Reader{} // all at once: each takes unreadTime to end
	statuses := map[string]int{
		"GET /status HTTP/1.1":                          http.StatusOK,
		"GET /livez HTTP/1.1":                           http.StatusOK,
		"GET /readyz HTTP/1.1":                          http.StatusOK,
		"GET /presence?topic=/a HTTP/1.1":               http.StatusOK,
		"GET /status HTTP/1.1\nAuthorization: Bearer x": http.StatusUnauthorized,
		"POST / HTTP/1.1\nAuthorization: Bearer x":      http.StatusUnauthorized,
		"GET /events?query=( HTTP/1.1":                  http.StatusBadRequest,
		"GET / HTTP/1.1":                                http.StatusMethodNotAllowed,
		"POST /publish HTTP/1.1":                        http.StatusUnsupportedMediaType,
		"GET /nothing HTTP/1.1":                         http.StatusBadRequest,
		"GET /topic HTTP/1.1\npubsub: nobody":           http.StatusBadRequest,
		"GET /websocket HTTP/1.1":                       http.StatusBadRequest,
		"GET /metrics HTTP/1.1":                         http.StatusForbidden,
		"OPTIONS / HTTP/1.1\nOrigin: http://x\nAccess-Control-Request-Method: GET": 0,
	}
	for request := range statuses {
		answers[request] = r.announced(request)
	}
	for request, status := range statuses {
		in := answers[request]
		response, err := http.ReadResponse(in, nil)
		require.NoError(t, err, request)
		if status != 0 {
			require.Equal(t, status, response.StatusCode, request)
		}
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err, request)
		_, err = in.ReadByte()
		require.ErrorIs(t, err, io.EOF, request)
	}
	r.nothingIsHeld()
}

// Handlers that take a body wait for it as long as for a message.
func TestABodyThatNeverComesEndsItsRequest(t *testing.T) {
	r := newRig(t, Config{ReadTimeout: 100 * time.Millisecond, Identify: func(*http.Request) (Identity, error) { return Identity{Admin: true}, nil }})
	for _, request := range []string{"POST / HTTP/1.1", "GET /events?query=a=1 HTTP/1.1", "POST /v1/explain HTTP/1.1", "POST /publish HTTP/1.1\nContent-Type: application/json"} {
		response, err := http.ReadResponse(r.announced(request), nil)
		require.NoError(t, err, request)
		require.Equal(t, http.StatusRequestTimeout, response.StatusCode, request)
	}
	require.Zero(t, r.server.Stats().Clients)
	r.nothingIsHeld()
}

// A body that is read leaves no deadline for what the request waits for then.
func TestABodyLeavesNoDeadlineToTheWaitForAnAnswer(t *testing.T) {
	r := newRig(t, Config{ReadTimeout: 100 * time.Millisecond, Heartbeat: 50 * time.Millisecond})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+"/events?query=a=1", strings.NewReader("body"))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	in := bufio.NewScanner(response.Body)
	for began := time.Now(); time.Since(began) < 300*time.Millisecond; { // three times the limit, on the network's clock
		require.True(t, in.Scan(), "it goes on")
	}
	http.DefaultClient.CloseIdleConnections()
}

// What is sent ends with the token and with the drain, however steadily it
// comes.
func TestABodyEndsWithItsTokenAndTheDrain(t *testing.T) {
	expiring := func(*http.Request) (Identity, error) {
		return Identity{Name: "ann", Expires: time.Now().Add(200 * time.Millisecond)}, nil
	}
	for name, one := range map[string]struct {
		identify func(*http.Request) (Identity, error)
		end      func(r *rig)
		status   int
		says     string
	}{
		"token": {expiring, func(*rig) {}, http.StatusUnauthorized, endExpired.reason},
		"drain": {nil, func(r *rig) { require.NoError(r.t, r.server.Shutdown(r.t.Context())) }, http.StatusServiceUnavailable, wire.Draining},
	} {
		for _, path := range []string{"/publish", "/"} {
			t.Run(name+" "+path, func(t *testing.T) {
				r := newRig(t, Config{ReadTimeout: time.Hour, Identify: one.identify})
				conn := r.plainConn()
				_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n", path)
				require.NoError(t, err)
				eventually(t, func() bool { return r.held("requests") == 1 }, "it is being read")
				one.end(r)
				require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				require.Equal(t, one.status, response.StatusCode)
				text, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.Contains(t, string(text), one.says)
				r.nothingIsHeld()
			})
		}
	}
}

// Blank lines are no progress.
func TestBlankLinesGiveABodyNoMoreTime(t *testing.T) {
	r := newRig(t, Config{ReadTimeout: 200 * time.Millisecond})
	conn := r.plainConn()
	_, err := io.WriteString(conn, "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	require.NoError(t, err)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				if _, err := io.WriteString(conn, "1\r\n\n\r\n"); err != nil {
					return
				}
			}
		}
	}()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
	r.nothingIsHeld()
}

// Shutdown returns though a client has announced a body and sends none.
func TestShutdownDoesNotWaitForABodyThatNeverComes(t *testing.T) {
	r := newRig(t, Config{ReadTimeout: time.Hour})
	in := r.announced("GET /events?query=a=1 HTTP/1.1")
	eventually(t, func() bool { return r.held("requests") == 1 }, "it is being read")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.server.Shutdown(ctx))
	response, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
}

// However many connections others have open, and requests, administrators are
// let in on a listener of their own, which has its limits too.
func TestOthersDoNotShutAdministratorsOut(t *testing.T) {
	r := newRig(t, Config{MaxOpen: 1, MaxRequests: 1})
	serve := func(web *http.Server) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() { _ = web.Serve(listener) }()
		t.Cleanup(func() { web.Close() })
		return listener.Addr().String()
	}
	open, admin := serve(r.server.HTTPServer(nil)), serve(r.server.AdminServer())
	conn, err := net.Dial("tcp", open)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, postOf("/", waitingPull))
	require.NoError(t, err)
	eventually(t, func() bool { return r.held("requests") == 1 && r.held("open") == 1 }, "others have all there is")
	response, err := http.Get("http://" + admin + "/v1/stats")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.EqualValues(t, 1, r.held("admin_open"))
	http.DefaultClient.CloseIdleConnections()
	eventually(t, func() bool { return r.held("admin_requests") == 0 }, "it has been answered")
	for range maxAdmin {
		_, refused := r.server.quotas.adminRequests.hold("127.0.0.1", "", 1)
		require.Nil(t, refused)
	}
	response, err = http.Get("http://" + admin + "/v1/stats")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

// An explanation is bounded like any other answer.
func TestAnExplanationIsBounded(t *testing.T) {
	r := newRig(t, Config{MaxAnswer: 100_000, AnswerBytes: 20 << 20, Identify: func(*http.Request) (Identity, error) { return Identity{Admin: true}, nil }})
	explain := func(query string, values int) (int, string) {
		list := strings.TrimSuffix(strings.Repeat(`"123456789",`, values), ",")
		return r.post("/v1/explain", "application/json", `{"query":"`+query+`","events":{"a":[`+list+`]}}`)
	}
	many := strings.TrimSuffix(strings.Repeat("a EXISTS OR ", 40), " OR ")
	status, text := explain(many, 100)
	require.Equal(t, http.StatusOK, status, text)
	status, text = explain(many, 1000)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Contains(t, text, "it may have 100000 bytes")
	status, text = explain(many, 70_000)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "too many bytes being answered")
	status, text = explain(many+" OR "+many, 1)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "maximum query length exceeded")
	r.nothingIsHeld()
}
