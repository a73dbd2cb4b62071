package stream

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/certtest"
)

func TestListeningToOthersWithoutAuthenticationIsRefused(t *testing.T) {
	for _, address := range []string{"127.0.0.1:80", "[::1]:80", "localhost:80"} {
		require.NoError(t, CheckListen(address, false, false))
	}
	for _, address := range []string{"0.0.0.0:80", ":80", "[::]:80", "192.0.2.1:80", "example.com:80", "127.0.0.1.evil.com:80"} {
		require.Error(t, CheckListen(address, false, false), address)
		require.NoError(t, CheckListen(address, true, false))
		require.NoError(t, CheckListen(address, false, true))
	}
	require.Error(t, CheckListen("nonsense", true, true))
}

func TestOnlyOwnAndListedOriginsPass(t *testing.T) {
	allowed := []string{"https://app.example.com", "http://localhost:3000"}
	for _, c := range []struct {
		origin, host string
		tls, ok      bool
	}{
		{"", "example.com", false, true},
		{"http://example.com", "example.com", false, true},
		{"http://EXAMPLE.com", "example.com", false, true},
		{"http://example.com:80", "example.com", false, true},
		{"https://example.com", "example.com:443", true, true},
		{"http://[::1]:8080", "[::1]:8080", false, true},
		{"https://app.example.com", "example.com", false, true},
		{"http://localhost:3000", "example.com", false, true},
		{"http://evil-example.com", "example.com", false, false},
		{"http://example.com.evil.com", "example.com", false, false},
		{"http://sub.example.com", "example.com", false, false},
		{"http://example.com:8080", "example.com", false, false},
		{"https://example.com", "example.com", false, false},
		{"http://example.com", "example.com", true, false},
		{"http://app.example.com", "example.com", false, false},
		{"https://app.example.com.evil.com", "example.com", false, false},
		{"https://app.example.com:8443", "example.com", false, false},
		{"http://localhost:3001", "example.com", false, false},
		{"null", "example.com", false, false},
		{"file://", "example.com", false, false},
		{"http://example.com/path", "example.com", false, false},
		{"http://user@example.com", "example.com", false, false},
		{"://", "example.com", false, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = c.host
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		require.Equal(t, c.ok, allowsOrigin(r, (&Server{}).sender(r), allowed), "%+v", c)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["Origin"] = []string{"https://app.example.com", "http://evil.com"}
	require.False(t, allowsOrigin(r, (&Server{}).sender(r), allowed), "two origins")
}

// Every way in asks for the origin.
func TestAForeignOriginIsRefusedEverywhere(t *testing.T) {
	r := newRig(t, Config{})
	evil := http.Header{"Origin": {"http://evil.com"}}
	for _, path := range []string{"/websocket", "/topic"} {
		header := evil.Clone()
		if path == "/topic" {
			header.Set(RoleHeader, RoleSubscriber)
		}
		_, response, err := websocket.DefaultDialer.Dial(r.url(path), header)
		require.ErrorIs(t, err, websocket.ErrBadHandshake)
		require.Equal(t, http.StatusForbidden, response.StatusCode, path)
	}
	for _, path := range []string{"/events?query=a%3D1", "/publish", "/", "/status", "/v1/stats"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+path, strings.NewReader("{}"))
		require.NoError(t, err)
		if strings.HasPrefix(path, "/v1/") {
			request.Method = http.MethodGet
		}
		request.Header = evil.Clone()
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusForbidden, response.StatusCode, path)
	}
	require.Zero(t, r.server.Stats().Connections)
}

// A page of a listed origin may do what a page of the server's own may.
func TestAListedOriginMayPublishAndRead(t *testing.T) {
	const origin = "https://app.example.com"
	r := newRig(t, Config{Origins: []string{origin}})
	do := func(method, from string, header http.Header) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), method, r.http.URL+"/publish", strings.NewReader(`{"events":{"a":"1"}}`))
		require.NoError(t, err)
		request.Header = header.Clone()
		request.Header.Set("Origin", from)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		return response
	}
	ask := http.Header{"Access-Control-Request-Method": {"POST"}}
	response := do(http.MethodOptions, origin, ask)
	require.Equal(t, http.StatusNoContent, response.StatusCode)
	require.Equal(t, origin, response.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, response.Header.Get("Access-Control-Allow-Headers"), "Content-Type")
	require.Equal(t, http.StatusForbidden, do(http.MethodOptions, "https://evil.com", ask).StatusCode)
	response = do(http.MethodPost, origin, http.Header{"Content-Type": {"application/json"}})
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, origin, response.Header.Get("Access-Control-Allow-Origin"))
}

func (r *rig) post(path, contentType, body string) (int, string) {
	r.t.Helper()
	response, err := http.Post(r.http.URL+path, contentType, strings.NewReader(body))
	require.NoError(r.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(text)
}

func TestPublishing(t *testing.T) {
	r := newRig(t, Config{MaxFrame: 1000, AllowPublish: func(_ Identity, topic string, events map[string][]string) error {
		if topic == "/forbidden" || events["a"] != nil && events["a"][0] == "no" {
			return errors.New("not yours")
		}
		return nil
	}})
	p := r.dial()
	p.subscribe("1", "a EXISTS")
	status, body := r.post("/publish", "application/json; charset=utf-8", `{"data":{"x":1},"events":{"a":"1","b":["2","3"]}}`)
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"published":1,"cursor":"`)
	require.Contains(t, p.receive(), `"data":{"type":"hark/json","value":{"x":1}},"events":{"a":["1"],"b":["2","3"]}`)
	status, body = r.post("/publish", "application/x-ndjson", "{\"data\":1,\"events\":{\"a\":\"1\"}}\n\n{\"data\":2,\"events\":{\"a\":\"1\"}}\n")
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"published":2`)
	status, body = r.post("/publish", "application/json", `[{"data":1,"events":{"a":"1"}},{"data":2,"events":{"a":"2"}}]`)
	require.Equal(t, 200, status, body)

	for name, c := range map[string]struct {
		contentType, body string
		status            int
		answer            string
	}{
		"form":      {"application/x-www-form-urlencoded", "a=1", 415, "Content-Type"},
		"plain":     {"text/plain", `{"events":{"a":"1"}}`, 415, "Content-Type"},
		"nothing":   {"", `{"events":{"a":"1"}}`, 415, "Content-Type"},
		"broken":    {"application/json", `{`, 400, "no publication"},
		"more":      {"application/json", `{"events":{}} x`, 400, "something after it"},
		"unknown":   {"application/json", `{"event":{}}`, 400, "unknown field"},
		"number":    {"application/json", `{"events":{"a":1}}`, 400, `event \"a\" must be a string`},
		"forbidden": {"application/json", `{"events":{"a":"no"}}`, 403, "not yours"},
		"topic":     {"application/json", `{"topic":"/forbidden"}`, 403, "not yours"},
		"relative":  {"application/json", `{"topic":"a"}`, 400, "must be a path"},
		"line 2":    {"application/x-ndjson", "{\"events\":{\"a\":\"1\"}}\nnonsense\n", 400, `{"published":1`},
		"line":      {"application/x-ndjson", "{\"events\":{\"a\":\"1\"}}\nnonsense\n", 400, `line 2: `},
		"large":     {"application/json", strings.Repeat(" ", 1001), 413, "too large"},
		"long line": {"application/x-ndjson", strings.Repeat(" ", 1001), 413, "too long"},
	} {
		status, body := r.post("/publish", c.contentType, c.body)
		require.Equal(t, c.status, status, "%s: %s", name, body)
		require.Contains(t, body, c.answer, name)
	}
	_, response, err := websocket.DefaultDialer.Dial(r.url("/forbidden"), http.Header{RoleHeader: {RolePublisher}})
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusForbidden, response.StatusCode)
}

// tokens are those of a test: HS256 with one key.
func newTestTokens(t *testing.T) (*Tokens, func(jwt.MapClaims) string) {
	t.Helper()
	key := []byte("0123456789abcdef0123456789abcdef")
	tokens, err := NewTokens(TokenConfig{
		Algorithms: []string{"HS256"}, Audience: "hark", AdminClaim: "admin",
		Key: func(string, string) (any, error) { return key, nil },
	})
	require.NoError(t, err)
	return tokens, func(claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key)
		require.NoError(t, err)
		return text
	}
}

func TestTokens(t *testing.T) {
	tokens, sign := newTestTokens(t)
	now := time.Now()
	valid := func(change jwt.MapClaims) jwt.MapClaims {
		claims := jwt.MapClaims{"sub": "ann", "aud": "hark", "exp": now.Add(time.Hour).Unix()}
		for key, value := range change {
			if claims[key] = value; value == nil {
				delete(claims, key)
			}
		}
		return claims
	}
	identify := func(token string) (Identity, error) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return tokens.Identify(r)
	}
	id, err := identify(sign(valid(nil)))
	require.NoError(t, err)
	require.Equal(t, "ann", id.Name)
	require.False(t, id.Admin)
	require.Equal(t, now.Add(time.Hour).Unix(), id.Expires.Unix())
	id, err = identify(sign(valid(jwt.MapClaims{"admin": true})))
	require.NoError(t, err)
	require.True(t, id.Admin)

	for name, claims := range map[string]jwt.MapClaims{
		"expired":       {"exp": now.Add(-time.Hour).Unix()},
		"no expiry":     {"exp": nil},
		"not yet":       {"nbf": now.Add(time.Hour).Unix()},
		"future":        {"iat": now.Add(time.Hour).Unix()},
		"other service": {"aud": "other"},
		"no audience":   {"aud": nil},
		"no subject":    {"sub": nil},
	} {
		_, err := identify(sign(valid(claims)))
		require.Error(t, err, name)
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, valid(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	stronger, err := jwt.NewWithClaims(jwt.SigningMethodHS512, valid(nil)).SignedString([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	forged := sign(valid(nil))
	for name, token := range map[string]string{"none": none, "another algorithm": stronger, "forged": forged[:len(forged)-4] + "AAAA", "empty": "", "nonsense": "a.b.c"} {
		_, err := identify(token)
		require.Error(t, err, name)
	}
	for _, c := range []TokenConfig{{}, {Algorithms: []string{"none"}}, {Algorithms: []string{"HS256"}}, {Algorithms: []string{"HS256"}, Key: func(string, string) (any, error) { return nil, nil }}} {
		_, err := NewTokens(c)
		require.ErrorContains(t, err, "TokenConfig.")
	}
}

func TestAConnectionEndsWithItsToken(t *testing.T) {
	tokens, sign := newTestTokens(t)
	r := newRig(t, Config{Identify: tokens.Identify})
	_, response, err := websocket.DefaultDialer.Dial(r.url("/websocket"), nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)

	token := sign(jwt.MapClaims{"sub": "ann", "aud": "hark", "exp": float64(time.Now().Add(1500*time.Millisecond).UnixMilli()) / 1000})
	ws, _, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{"Authorization": {"Bearer " + token}})
	require.NoError(t, err)
	defer ws.Close()
	p := &peer{t, ws}
	p.subscribe("1", "a=1")
	code, reason, messages := p.closed()
	require.Equal(t, websocket.ClosePolicyViolation, code)
	require.Equal(t, "the token has expired", reason)
	require.Contains(t, strings.Join(messages, ""), `"id":1,"error":{"code":-32000`)
}

// Nothing has the token that was in the path: no topic, event, log or error.
func TestAPathTokenIsRemovedBeforeAnythingReadsThePath(t *testing.T) {
	tokens, sign := newTestTokens(t)
	token := sign(jwt.MapClaims{"sub": "ann", "aud": "hark", "exp": time.Now().Add(time.Hour).Unix()})
	var log bytes.Buffer
	events := make(chan Event, 10)
	bus := pubsub.NewServer()
	require.NoError(t, bus.Start())
	defer func() { _ = bus.Stop() }()
	server, err := New(bus, Config{
		Identify: tokens.Identify, Topics: &SubscriptionOptions{Events: events},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	seen := make(chan *http.Request, 10)
	web := httptest.NewServer(tokens.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		server.ServeHTTP(w, r)
	})))
	defer web.Close()
	base := "ws" + strings.TrimPrefix(web.URL, "http") + PathTokenPrefix

	ws, _, err := websocket.DefaultDialer.Dial(base+token+"/a%2Fb/c?query=x%3D1", http.Header{RoleHeader: {RoleSubscriber}})
	require.NoError(t, err)
	r := <-seen
	require.Equal(t, "/a%2Fb/c?query=x%3D1", r.RequestURI)
	require.NotContains(t, r.URL.String(), token)
	require.Equal(t, "/a%2Fb/c", (<-events).SubscriptionTopic)
	require.NoError(t, ws.Close())
	require.Equal(t, EventTypeSubscriberLeft, (<-events).Type)

	ws, _, err = websocket.DefaultDialer.Dial(base+token+"/v1/websocket", nil)
	require.NoError(t, err)
	require.NoError(t, ws.Close())
	_, response, err := websocket.DefaultDialer.Dial(base+token+"x/v1/websocket", nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NotContains(t, string(body), token)
	require.NoError(t, server.Shutdown(t.Context()))
	require.NotContains(t, log.String(), token)
	require.NotContains(t, log.String(), token[strings.LastIndex(token, ".")+1:], "nor its signature")
}

func TestAdminRoutesAreForAdmins(t *testing.T) {
	admin := false
	r := newRig(t, Config{Identify: func(*http.Request) (Identity, error) { return Identity{Admin: admin}, nil }})
	p := r.dial()
	p.subscribe("7", "tm.event='Tx'")
	paths := []string{"/v1/stats", "/v1/subscriptions", "/v1/check?query=a%3D1"}
	for _, path := range paths {
		response, err := http.Get(r.http.URL + path)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusForbidden, response.StatusCode, path)
	}
	own := httptest.NewServer(r.server.Admin())
	defer own.Close()
	admin = true
	for _, base := range []string{r.http.URL, own.URL} {
		get := func(path string) string {
			response, err := http.Get(base + path)
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, 200, response.StatusCode)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return string(body)
		}
		require.Contains(t, get("/v1/stats"), `"clients":1`)
		require.Contains(t, get("/v1/subscriptions"), `"query":"tm.event='Tx'","overflow":"cancel","depth":0,"capacity":200`)
		require.Contains(t, get("/v1/check?query=a%3D"), `"ok":false`)
		require.Contains(t, get("/v1/check?query=a%3D"), `"picture":"`)
		require.Contains(t, get("/v1/check?query=a%3D+1"), `"canonical":"a = 1"`)
		response, err := http.Post(base+"/v1/explain", "application/json", strings.NewReader(`{"query":"a=1 AND b=2","events":{"a":"1"}}`))
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		require.NoError(t, err)
		require.Contains(t, string(body), `"matched":false`)
	}
	line := r.server.Subscriptions()[0]
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, own.URL+"/v1/subscriptions/"+json.Number(big.NewInt(int64(line.ID)).String()).String()+"?reason=enough", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusNoContent, response.StatusCode)
	require.Contains(t, p.receive(), `subscription was canceled (reason: enough)`)
}

func TestCertificateIsReadAgainWhenItChanges(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	pairs := []certtest.Pair{certtest.New(t, "127.0.0.1"), certtest.New(t, "127.0.0.1")}
	write := func(i int) {
		pairs[i].Write(t, certFile, keyFile)
		stamp := time.Now().Add(time.Duration(i+1) * time.Minute)
		require.NoError(t, os.Chtimes(certFile, stamp, stamp))
	}
	_, err := LoadCertificate(certFile, keyFile, nil)
	require.Error(t, err)
	write(0)
	certificate, err := LoadCertificate(certFile, keyFile, nil)
	require.NoError(t, err)
	bus := pubsub.NewServer()
	server, err := New(bus, Config{})
	require.NoError(t, err)
	defer func() { _ = server.Shutdown(t.Context()) }()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", certificate.TLS())
	require.NoError(t, err)
	web := server.HTTPServer(server)
	go func() { _ = web.Serve(listener) }()
	defer web.Close()
	serves := func(i int) {
		t.Helper()
		certificate.checked = time.Time{}
		ws, _, err := (&websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: pairs[i].Trust()}}).Dial("wss://"+listener.Addr().String()+"/websocket", nil)
		require.NoError(t, err)
		require.NoError(t, ws.Close())
	}
	serves(0)
	write(1)
	serves(1)
	require.NoError(t, os.WriteFile(certFile, []byte("broken"), 0o600))
	serves(1) // the last good one stays
}

func TestUnknownPathsAreRefusedAndTold(t *testing.T) {
	events := make(chan Event, 1)
	r := newRig(t, Config{Topics: &SubscriptionOptions{Events: events}})
	response, err := http.Get(r.http.URL + "/nothing/here")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	e := <-events
	require.Equal(t, EventTypeBadHTTPHeaders, e.Type)
	require.Equal(t, "/nothing/here", e.SubscriptionTopic)
	// what does not fit is counted, and nobody waits
	for range 3 {
		response, err := http.Get(r.http.URL + "/nothing")
		require.NoError(t, err)
		response.Body.Close()
	}
	require.EqualValues(t, 2, r.server.Stats().EventsDropped)
	for path, status := range map[string]int{"/livez": 200, "/readyz": 200, "/status": 200, "/health": 200, "/v1": 405, "/": 405} {
		response, err := http.Get(r.http.URL + path)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, status, response.StatusCode, path)
	}
}
