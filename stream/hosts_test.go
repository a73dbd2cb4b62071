package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// A page whose own name resolves to loopback (DNS rebinding) is refused on every
// way in, and by the administrators' listener.
func TestAPageWhoseNameResolvesHereIsRefused(t *testing.T) {
	r := newRig(t, Config{AllowHost: AllowHosts("127.0.0.1:1", "bus.example.com")})
	admin := httptest.NewServer(r.server.Admin())
	defer admin.Close()
	port := r.http.URL[strings.LastIndex(r.http.URL, ":"):]
	ask := func(base, method, path, host string) int {
		request, err := http.NewRequest(method, base+path, strings.NewReader("{}"))
		require.NoError(t, err)
		request.Host = host
		request.Header.Set("Origin", "http://"+host) // which is the same as the host
		request.Header.Set("Content-Type", "application/json")
		if path == "/websocket" || path == "/topic" {
			request.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		}
		if path == "/topic" {
			request.Header.Set(RoleHeader, RoleSubscriber)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		if response.StatusCode == http.StatusMisdirectedRequest {
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Contains(t, string(text), "--allowed-host")
		}
		return response.StatusCode
	}
	for path, method := range map[string]string{
		"/websocket": "GET", "/topic": "GET", "/events?query=a%3D1": "GET", "/publish": "POST", "/": "POST", "/status": "GET", "/v1/stats": "GET",
		"/livez": "GET", "/readyz": "GET", "/nothing": "GET", "/metrics": "GET", "/presence": "GET", "/health": "GET", "/v1": "POST",
	} {
		require.Equal(t, http.StatusMisdirectedRequest, ask(r.http.URL, method, path, "evil.test"+port), path)
	}
	for _, path := range []string{"/v1/stats", "/v1/check?query=a%3D1", "/metrics", "/livez", "/nothing", "/"} {
		require.Equal(t, http.StatusMisdirectedRequest, ask(admin.URL, "GET", path, "evil.test"), path)
	}
	for host, status := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "localhost": 200, "LOCALHOST.": 200, "bus.example.com:1": 200,
		"127.0.0.1.evil.test": 421, "10.0.0.1": 421, "evil-bus.example.com": 421,
	} {
		require.Equal(t, status, ask(r.http.URL, "GET", "/status", host), host)
	}
	request, err := http.NewRequest(http.MethodGet, admin.URL+"/v1/stats", nil)
	require.NoError(t, err)
	request.Header.Set("Origin", "http://evil.test")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusForbidden, response.StatusCode, "a foreign page is none of the administrators'")
	require.NotZero(t, refusalsOf(r.server, "host"))
	require.NotZero(t, refusalsOf(r.server, "origin"))
}

// A request that is for no path is for the host all the same.
func TestAQuestionForTheWholeServerNamesItsHost(t *testing.T) {
	r := newRig(t, Config{AllowHost: AllowHosts("127.0.0.1:1")})
	for _, server := range []*http.Server{r.server.HTTPServer(nil), r.server.AdminServer()} {
		web := httptest.NewUnstartedServer(nil)
		web.Config = server
		web.Start()
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: evil.test\r\n\r\n")
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusMisdirectedRequest, response.StatusCode)
		require.NoError(t, conn.Close())
		web.Close()
	}
}

// A health check names the address that it asks, or nothing.
func TestHealthChecksByAddressAreAnswered(t *testing.T) {
	r := newRig(t, Config{AllowHost: AllowHosts("0.0.0.0:80")})
	for host, status := range map[string]int{"10.1.2.3:26657": 200, "[2001:db8::1]:26657": 200, "": 200, "evil.test": 421} {
		for _, path := range []string{"/livez", "/readyz"} {
			request := httptest.NewRequest(http.MethodGet, path, nil)
			request.Host = host
			answer := httptest.NewRecorder()
			r.server.ServeHTTP(answer, request)
			require.Equal(t, status, answer.Code, "%s of %q", path, host)
		}
	}
}

func TestHostsOfAnAddressForOthers(t *testing.T) {
	allow := AllowHosts("0.0.0.0:80", "bus.example.com")
	for host, ok := range map[string]bool{"10.0.0.1": true, "::1": true, "bus.example.com": true, "localhost": true, "evil.test": false} {
		require.Equal(t, ok, allow(host), host)
	}
	require.True(t, AllowHosts("127.0.0.1:80", "*")("anything"))
}

func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"})
	require.NoError(t, err)
	_, err = ParseProxies([]string{"proxy.example.com"})
	require.ErrorContains(t, err, "neither an address nor a network")
	s := &Server{config: Config{TrustedProxies: proxies}}
	for name, c := range map[string]struct {
		remote string
		header http.Header
		want   sender
	}{
		"nobody":               {"203.0.113.9:1", http.Header{"X-Forwarded-For": {"1.1.1.1"}, "X-Forwarded-Proto": {"https"}}, sender{"203.0.113.9", "http", "h"}},
		"one":                  {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.1.1.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}}, sender{"1.1.1.1", "https", "app.example.com"}},
		"the client lies":      {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6, 1.1.1.1"}}, sender{"1.1.1.1", "http", "h"}},
		"two":                  {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6, 1.1.1.1, 192.0.2.7"}}, sender{"1.1.1.1", "http", "h"}},
		"several lines":        {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6", "1.1.1.1"}}, sender{"1.1.1.1", "http", "h"}},
		"another proto":        {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.1.1.1"}, "X-Forwarded-Proto": {"gopher"}}, sender{"1.1.1.1", "http", "h"}},
		"all of them trusted":  {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, sender{"10.0.0.3", "http", "h"}},
		"Forwarded is made up": {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.1.1.1"}, "Forwarded": {"for=6.6.6.6;host=evil"}}, sender{"1.1.1.1", "http", "h"}},
		"Forwarded alone":      {"10.0.0.1:1", http.Header{"Forwarded": {"for=6.6.6.6;host=evil"}}, sender{"10.0.0.1", "http", "h"}},
		"nonsense":             {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"me"}}, sender{"10.0.0.1", "http", "h"}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header, r.Host = c.remote, c.header, "h"
		require.Equal(t, c.want, s.sender(r), name)
	}
	s.config.ForwardedHeader = true
	for name, c := range map[string]struct {
		remote string
		header http.Header
		want   sender
	}{
		"X":                 {"10.0.0.1:1", http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Host": {"evil"}}, sender{"10.0.0.1", "http", "h"}},
		"Forwarded":         {"[2001:db8::1]:1", http.Header{"Forwarded": {`for="[2001:db9::2]:4711";proto=https;host=app.example.com`}}, sender{"2001:db9::2", "https", "app.example.com"}},
		"Forwarded, lies":   {"10.0.0.1:1", http.Header{"Forwarded": {"for=6.6.6.6;proto=https, for=1.1.1.1"}}, sender{"1.1.1.1", "http", "h"}},
		"Forwarded, hidden": {"10.0.0.1:1", http.Header{"Forwarded": {"for=unknown"}}, sender{"10.0.0.1", "http", "h"}},
		"Forwarded over X":  {"10.0.0.1:1", http.Header{"Forwarded": {"for=1.1.1.1"}, "X-Forwarded-For": {"6.6.6.6"}}, sender{"1.1.1.1", "http", "h"}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header, r.Host = c.remote, c.header, "h"
		require.Equal(t, c.want, s.sender(r), name)
	}
}

// Behind a proxy that ends TLS, limits are for the client's address, and a page
// of the proxy's origin is one of ours.
func TestBehindAProxyTheClientCounts(t *testing.T) {
	r := newRig(t, Config{MaxConnectionsPerIP: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	dial := func(client string) (*http.Response, error) {
		ws, response, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{
			"X-Forwarded-For": {client}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}, "Origin": {"https://app.example.com"},
		})
		if err == nil {
			t.Cleanup(func() { ws.Close() })
		}
		return response, err
	}
	for _, client := range []string{"1.1.1.1", "1.1.1.2"} {
		_, err := dial(client)
		require.NoError(t, err)
	}
	response, err := dial("1.1.1.1")
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
}

// With a topic among the events nobody gets around AllowPublish, and nobody says
// for the server who published.
func TestTopicsAmongEventsAreTopics(t *testing.T) {
	r := newRig(t, Config{AllowPublish: func(_ Identity, topic string, _ map[string][]string) error {
		if topic == "/mine" || topic == "" {
			return nil
		}
		return errors.New("not yours")
	}})
	sub, err := dialTopic(t, r, "/mine", RoleSubscriber)
	require.NoError(t, err)
	for body, status := range map[string]int{
		`{"data":1,"events":{"topic":"/yours"}}`:                                           403,
		`{"data":1,"topic":"/mine","events":{"topic":"/yours"}}`:                           403,
		`{"data":1,"events":{"topic":["/mine","/yours"]}}`:                                 403,
		`{"data":1,"events":{"topic":"mine"}}`:                                             400,
		`{"data":1,"topic":"/mine","events":{"publisher":"root"}}`:                         400,
		`{"data":1,"events":{"publisher":"root"}}`:                                         400,
		`{"data":"x","topic":"/mine","events":{"topic":"/mine"}}`:                          200,
		`{"data":"y","events":{"topic":"/mine","tm.event":["Tx"]}}`:                        200,
		`[{"data":"z","events":{"topic":"/mine"}},{"data":0,"events":{"topic":"/yours"}}]`: 403,
	} {
		got, text := r.post("/publish", "application/json", body)
		require.Equal(t, status, got, "%s: %s", body, text)
	}
	for range 3 {
		_, _, err := sub.ReadMessage()
		require.NoError(t, err)
	}
}

// signedTokens are HS256 tokens with all kinds of rules.
func signedTokens(t *testing.T, change func(c *TokenConfig)) (*Tokens, func(claims jwt.MapClaims, header map[string]any) string) {
	t.Helper()
	key := []byte("0123456789abcdef0123456789abcdef")
	c := TokenConfig{Algorithms: []string{"HS256"}, Audience: "hark", Key: func(string, string) (any, error) { return key, nil }}
	change(&c)
	tokens, err := NewTokens(c)
	require.NoError(t, err)
	return tokens, func(claims jwt.MapClaims, header map[string]any) string {
		full := jwt.MapClaims{"sub": "ann", "aud": "hark", "exp": time.Now().Add(time.Hour).Unix()}
		for key, value := range claims {
			full[key] = value
		}
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, full)
		for key, value := range header {
			token.Header[key] = value
		}
		text, err := token.SignedString(key)
		require.NoError(t, err)
		return text
	}
}

func TestTheIssuerOfATokenIsChecked(t *testing.T) {
	tokens, sign := signedTokens(t, func(c *TokenConfig) { c.Issuer = "https://login.example.com" })
	for issuer, ok := range map[any]bool{"https://login.example.com": true, "https://evil.example.com": false, "": false} {
		_, err := tokens.Refresh(sign(jwt.MapClaims{"iss": issuer}, nil))
		require.Equal(t, ok, err == nil, issuer)
	}
	_, err := tokens.Refresh(sign(nil, nil))
	require.Error(t, err, "no issuer")
}

func TestAClaimWithoutANameMakesNoAdministrator(t *testing.T) {
	tokens, sign := signedTokens(t, func(*TokenConfig) {})
	id, err := tokens.Refresh(sign(jwt.MapClaims{"": true, "admin": true}, nil))
	require.NoError(t, err)
	require.False(t, id.Admin)
}

func TestATokenWithACriticalHeaderIsRefused(t *testing.T) {
	tokens, sign := signedTokens(t, func(*TokenConfig) {})
	_, err := tokens.Refresh(sign(nil, map[string]any{"crit": []string{"b64"}, "b64": false}))
	require.ErrorContains(t, err, "critical")
}

// Whatever Identify says, an identity that has expired is nobody.
func TestAnExpiredIdentityIsRefusedOnEveryWayIn(t *testing.T) {
	r := newRig(t, Config{Identify: func(*http.Request) (Identity, error) {
		return Identity{Name: "ann", Admin: true, Expires: time.Now().Add(-time.Millisecond)}, nil
	}})
	for path, method := range map[string]string{"/events?query=a%3D1": "GET", "/publish": "POST", "/": "POST", "/status": "GET", "/v1/stats": "GET"} {
		request, err := http.NewRequest(method, r.http.URL+path, strings.NewReader("{}"))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusUnauthorized, response.StatusCode, path)
	}
	for _, header := range []http.Header{nil, {RoleHeader: {RolePublisher}}, {RoleHeader: {RoleSubscriber}}} {
		_, response, err := websocket.DefaultDialer.Dial(r.url("/websocket"), header)
		require.ErrorIs(t, err, websocket.ErrBadHandshake)
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	}
}

// What a stranger publishes makes no right take long: what is cheap is asked
// first, and what is beyond the steps is refused and not run.
func TestRightsToPublishTakeABoundedNumberOfSteps(t *testing.T) {
	tokens, _ := signedTokens(t, func(c *TokenConfig) { c.PublishClaim = "publish" })
	const dear = `a MATCHES '(x+x+)+x{0,20}y'`
	q := query.MustParse(dear)
	events := map[string][]string{"a": {strings.Repeat("x", 1_000_000)}, "b": {"1"}}
	_, steps := q.Weigh(events)
	require.Greater(t, steps, int64(rightSteps))
	allow := func(events map[string][]string, rights ...any) error {
		return tokens.AllowPublish(Identity{Claims: map[string]any{"publish": rights}}, "", events)
	}
	require.ErrorContains(t, allow(events, dear), "take too long on this publication")
	require.NoError(t, allow(events, dear, "b = '1'"), "another right gives it")
	require.NoError(t, allow(events, dear, `a MATCHES 'x'`), "the cheapest first")
	many := make([]any, 20)
	for i := range many {
		many[i] = fmt.Sprintf(`a MATCHES 'y%d'`, i)
	}
	require.ErrorContains(t, allow(events, many...), "take too long", "the sum counts")
	require.NoError(t, allow(map[string][]string{"a": {strings.Repeat("x", 1000) + "y"}}, dear))
}

func TestClaimsGiveRights(t *testing.T) {
	tokens, _ := signedTokens(t, func(c *TokenConfig) { c.PublishClaim, c.SubscribeClaim = "publish", "subscribe" })
	tx, block := map[string][]string{"tm.event": {"Tx"}}, map[string][]string{"tm.event": {"NewBlock"}}
	for name, c := range map[string]struct {
		claim  any
		admin  bool
		topic  string
		events map[string][]string
		ok     bool
	}{
		"nothing":            {nil, false, "", tx, false},
		"an empty list":      {[]any{}, false, "", tx, false},
		"everything":         {"*", false, "", tx, true},
		"everything, topics": {[]any{"*"}, false, "/a", nil, true},
		"an administrator":   {nil, true, "", tx, true},
		"a query":            {[]any{"tm.event = 'Tx'"}, false, "", tx, true},
		"another query":      {[]any{"tm.event = 'Tx'"}, false, "", block, false},
		"a topic":            {[]any{"/a"}, false, "/a", nil, true},
		"below a topic":      {[]any{"/a"}, false, "/a/b", nil, false},
		"topics below":       {[]any{"/a/*"}, false, "/a/b", nil, true},
		"not the top":        {[]any{"/a/*"}, false, "/a", nil, false},
		"a neighbor":         {[]any{"/a/*"}, false, "/ab", nil, false},
		"topic, no events":   {[]any{"/a"}, false, "", map[string][]string{TopicKey: {"/a"}}, false},
		"query, no topic":    {[]any{"NOT x EXISTS"}, false, "/a", nil, false},
		"one of two":         {[]any{"/b", "/a"}, false, "/a", nil, true},
		"a number":           {7.0, false, "/a", nil, false},
		"a broken query":     {[]any{"a ="}, false, "", tx, false},
		"a quote":            {[]any{"/it's/*"}, false, "/it's/a", nil, true},
	} {
		id := Identity{Name: "ann", Admin: c.admin, Claims: map[string]any{"publish": c.claim}}
		require.Equal(t, c.ok, tokens.AllowPublish(id, c.topic, c.events) == nil, name)
	}
	asked := query.MustParse("a EXISTS")
	for name, c := range map[string]struct {
		claims map[string]any
		narrow string
	}{
		"no claim":   {nil, "a EXISTS"},
		"everything": {map[string]any{"subscribe": "*"}, "a EXISTS"},
		"nothing":    {map[string]any{"subscribe": []any{}}, ""},
		"a query":    {map[string]any{"subscribe": "owner = 'ann'"}, "a EXISTS AND owner = 'ann'"},
		"two":        {map[string]any{"subscribe": []any{"owner = 'ann'", "/news"}}, "a EXISTS AND (owner = 'ann' OR topic = '/news')"},
		"broken":     {map[string]any{"subscribe": "a ="}, ""},
	} {
		narrow, err := tokens.Narrow(Identity{Claims: c.claims}, asked)
		if c.narrow == "" {
			require.Error(t, err, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.narrow, narrow.String(), name)
	}
}

// A connection goes on with a new token; what the new one shows in another way
// ends.
func TestATokenIsRefreshedWithoutReconnecting(t *testing.T) {
	tokens, sign := signedTokens(t, func(c *TokenConfig) { c.SubscribeClaim = "subscribe" })
	r := newRig(t, Config{Identify: tokens.Identify, Narrow: tokens.Narrow, Refresh: tokens.Refresh})
	soon := float64(time.Now().Add(2*time.Second).UnixMilli()) / 1000
	token := sign(jwt.MapClaims{"exp": soon, "subscribe": []any{"owner = 'ann'"}}, nil)
	ws, _, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{"Authorization": {"Bearer " + token}})
	require.NoError(t, err)
	defer ws.Close()
	p := &peer{t, ws}
	p.subscribe("1", "a=1")
	authenticate := func(token string) string {
		return p.call(`{"id":7,"method":"authenticate","params":{"token":"` + token + `"}}`)
	}
	require.Contains(t, authenticate("nonsense"), "not authorized")
	require.Contains(t, authenticate(sign(jwt.MapClaims{"sub": "bob"}, nil)), "another identity's")
	require.Contains(t, authenticate(sign(jwt.MapClaims{"subscribe": []any{"owner = 'ann'"}}, nil)), `"result":{}`)
	time.Sleep(time.Until(time.UnixMilli(int64(soon*1000))) + 50*time.Millisecond) // tokens know whole seconds of the real clock
	r.publish("x", map[string][]string{"a": {"1"}, "owner": {"ann"}})
	require.Contains(t, p.receive(), `"value":"x"`, "the first token has ended, the connection has not")
	p.send(`{"id":8,"method":"authenticate","params":{"token":"` + sign(jwt.MapClaims{"subscribe": []any{"owner = 'bob'"}}, nil) + `"}}`)
	both := p.receive() + p.receive()
	require.Contains(t, both, `"id":8,"result":{}`)
	require.Contains(t, both, `"id":1,"error":{"code":-32000,"message":"Server error","data":"subscription was canceled (reason: the token gives other rights: subscribe again)"}`)
	p.subscribe("2", "a=1")

	none := newRig(t, Config{}).dial()
	require.Contains(t, none.call(`{"id":1,"method":"authenticate","params":{"token":"x"}}`), "there are no tokens here")
}
