package stream

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
)

func TestIDsAreEchoed(t *testing.T) {
	p := newRig(t, Config{}).dial()
	for sent, want := range map[string]string{
		`0`:                   `0`,
		`-7`:                  `-7`,
		`1.7`:                 `1`,
		`-1.7`:                `-1`,
		`1e3`:                 `1000`,
		`123456789012345`:     `123456789012345`,
		`9223372036854775807`: `9223372036854775807`,
		`""`:                  `""`,
		`"a<b\u0000\"é"`:      `"a<b\u0000\"é"`,
		`"\ud800"`:            `"\ufffd"`,
	} {
		require.JSONEq(t, `{"jsonrpc":"2.0","id":`+want+`,"result":{}}`, p.call(`{"id":`+sent+`,"method":"health"}`), sent)
	}
	for _, bad := range []string{`true`, `[1]`, `{}`, `1e300`} {
		answer := p.call(`{"id":` + bad + `,"method":"health"}`)
		require.Contains(t, answer, `"id":null`, bad)
		require.Contains(t, answer, `-32700`, bad)
	}
}

func TestNobodyAnswersANotification(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	p.send(`{"method":"subscribe","params":{"query":"a=1"}}`)
	p.send(`{"id":null,"method":"subscribe","params":{"query":"a=1"}}`)
	require.JSONEq(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, p.call(`{"id":1,"method":"health"}`))
	require.Zero(t, r.bus.NumClients(), "it is not executed")
}

func TestLimitOfSubscribingClients(t *testing.T) {
	r := newRig(t, Config{MaxClients: 1})
	first := r.dial()
	first.subscribe("1", "a=1")
	first.subscribe("2", "a=2") // it counts already
	second := r.dial()
	require.JSONEq(t, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error","data":"max_subscription_clients 1 reached"}}`,
		second.call(`{"id":1,"method":"subscribe","params":{"query":"a=1"}}`))
	first.call(`{"id":3,"method":"unsubscribe_all"}`)
	second.subscribe("2", "a=1")
}

func TestLimitOfConnections(t *testing.T) {
	r := newRig(t, Config{MaxConnections: 2, MaxConnectionsPerIP: 1})
	r.dial()
	_, response, err := websocket.DefaultDialer.Dial(r.url("/websocket"), nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)

	r = newRig(t, Config{MaxConnections: 1})
	p := r.dial()
	_, response, err = websocket.DefaultDialer.Dial(r.url("/websocket"), nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	p.ws.Close()
	eventually(t, func() bool { return r.server.Stats().Connections == 0 }, "the place is free again")
	r.dial()
}

func TestLimitOfConnectionsPerIdentity(t *testing.T) {
	r := newRig(t, Config{MaxConnectionsPerIdentity: 1, Identify: func(r *http.Request) (Identity, error) {
		return Identity{Name: r.Header.Get("X-User")}, nil
	}})
	dial := func(user string) error {
		ws, _, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{"X-User": {user}})
		if err == nil {
			t.Cleanup(func() { ws.Close() })
		}
		return err
	}
	require.NoError(t, dial("ann"))
	require.NoError(t, dial("bob"))
	require.ErrorIs(t, dial("ann"), websocket.ErrBadHandshake)
}

func TestNothingComesAfterUnsubscribe(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	for i := range 50 {
		id := strconv.Itoa(i)
		p.subscribe(id, "a=1")
		for range 20 {
			r.publish(1, map[string][]string{"a": {"1"}})
		}
		p.send(`{"id":"end","method":"unsubscribe","params":{"query":"a = 1"}}`)
		for !strings.Contains(p.receive(), `"end"`) {
		}
		r.publish(1, map[string][]string{"a": {"1"}})
		require.Contains(t, p.call(`{"id":"probe","method":"health"}`), "probe")
	}
	require.Zero(t, r.bus.NumClients())
}

// Whoever has 1,000 subscribers encodes a publication once.
func TestAPublicationIsEncodedOnceForEachForm(t *testing.T) {
	var encoded atomic.Int32
	r := newRig(t, Config{MaxClients: 100, Encoder: func(data any) (string, []byte, error) {
		encoded.Add(1)
		return new(Registry).Encode(data)
	}})
	var peers []*peer
	for i := range 20 {
		path := "/websocket"
		if i%2 == 1 {
			path = "/v1/websocket?carrier=on"
		}
		p := r.dial(path)
		p.subscribe(strconv.Itoa(i), "a=1")
		p.subscribe(strconv.Itoa(i+100), "a='1'")
		peers = append(peers, p)
	}
	r.publish("x", map[string][]string{"a": {"1"}})
	for i, p := range peers {
		for range 2 {
			event := p.receive()
			if i%2 == 1 {
				require.Contains(t, event, `"data":{"type":"tendermint/event/ProposalString","value":"{\"type\":\"hark/json\",\"value\":\"x\"}"}`)
			} else {
				require.Contains(t, event, `"data":{"type":"hark/json","value":"x"}`)
			}
		}
	}
	require.EqualValues(t, 2, encoded.Load(), "plain and carrier")
	require.EqualValues(t, 2, r.server.Stats().Encodings)
}

func TestDataThatCannotBeEncodedIsTold(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	p.subscribe("1", "a=1")
	r.publish(func() {}, map[string][]string{"a": {"1"}})
	require.Contains(t, p.receive(), `"type":"hark/error","value":"json: unsupported type`)
}

func TestEncodingsOfData(t *testing.T) {
	type point struct{ X, Y int }
	var registry Registry
	registry.Register("test/point", point{})
	for _, c := range []struct {
		data  any
		typ   string
		value string
	}{
		{point{1, 2}, "test/point", `{"X":1,"Y":2}`},
		{Data{"a/b", json.RawMessage(`[1]`)}, "a/b", `[1]`},
		{json.RawMessage(` {"type":"a/b","value":{"c":1}} `), "a/b", `{"c":1}`},
		{map[string]any{"type": "a/b", "value": 7}, "a/b", `7`},
		{json.RawMessage(`{"type":"a/b","value":1,"more":2}`), TypeJSON, `{"type":"a/b","value":1,"more":2}`},
		{json.RawMessage(`{"type":5,"value":1}`), TypeJSON, `{"type":5,"value":1}`},
		{[]byte(`{"a":1}`), TypeJSON, `{"a":1}`},
		{[]byte{0xff, 0}, TypeBinary, `"/wA="`},
		{TopicMessage{Payload: []byte("hello")}, TypeJSON, `"hello"`},
		{TopicMessage{Payload: []byte(`{"a":1}`)}, TypeJSON, `{"a":1}`},
		{TopicMessage{Binary: true, Payload: []byte("hello")}, TypeBinary, `"aGVsbG8="`},
		{"text", TypeJSON, `"text"`},
		{nil, TypeJSON, `null`},
	} {
		typ, value, err := registry.Encode(c.data)
		require.NoError(t, err)
		require.Equal(t, c.typ, typ, "%v", c.data)
		require.JSONEq(t, c.value, string(value), "%v", c.data)
	}
	for _, bad := range []any{Data{"a", nil}, json.RawMessage(`{`), json.RawMessage("\"\xff\""), func() {}} {
		_, _, err := registry.Encode(bad)
		require.Error(t, err, "%v", bad)
	}
}

// A client sees its own query, and of the events what Narrow leaves of it.
func TestNarrowHoldsOnEveryWayIn(t *testing.T) {
	mine := query.MustParse("owner = 'me'")
	r := newRig(t, Config{Narrow: func(_ Identity, q *query.Query) (*query.Query, error) {
		return query.And(q, mine), nil
	}})
	p := r.dial()
	p.subscribe("1", "a = 1 OR a = 2")
	sub, _ := dialTopic(t, r, "/t?query="+"a%20%3D%201", RoleSubscriber)
	start := r.server.config.History.(*history.Window).Cursor(0).String()
	publishAll := func() {
		for _, owner := range []string{"you", "me"} {
			r.publish(owner, map[string][]string{"a": {"1"}, "owner": {owner}, TopicKey: {"/t"}})
		}
	}
	publishAll()
	require.Contains(t, p.receive(), `"query":"a = 1 OR a = 2","data":{"type":"hark/json","value":"me"}`)
	_, payload, err := sub.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, "me", string(payload), "a topic")

	resumed := r.dial()
	resumed.call(`{"id":2,"method":"subscribe","params":{"query":"a=1","after":"` + start + `"}}`)
	require.Contains(t, resumed.receive(), `"value":"me"`, "resume")

	answer := p.call(`{"id":3,"method":"events","params":{}}`)
	require.Contains(t, answer, `"me"`)
	require.NotContains(t, answer, `"you"`, "pull")

	response, err := http.Get(r.http.URL + "/events?query=a%3D1&after=" + start)
	require.NoError(t, err)
	defer response.Body.Close()
	events := bufio.NewScanner(response.Body)
	for events.Scan() && !strings.HasPrefix(events.Text(), "data: ") {
	}
	require.Contains(t, events.Text(), `"value":"me"`, "SSE")
}

func TestRequestsOverPost(t *testing.T) {
	r := newRig(t, Config{MaxFrame: 1000})
	post := func(path, body string) (int, string) {
		response, err := http.Post(r.http.URL+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, strings.TrimSpace(string(text))
	}
	for _, path := range []string{"/", "/v1"} {
		status, body := post(path, `{"jsonrpc":"2.0","id":5,"method":"health","params":{}}`)
		require.Equal(t, 200, status)
		require.JSONEq(t, `{"jsonrpc":"2.0","id":5,"result":{}}`, body)
	}
	_, body := post("/", `[{"id":1,"method":"health"},{"method":"health"},{"id":2,"method":"subscribe","params":{"query":"a=1"}}]`)
	require.JSONEq(t, `[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"Method not found"}}]`, body)
	_, body = post("/", `[`+strings.Repeat(`{"id":1,"method":"health"},`, 10)+`{"id":1,"method":"health"}]`)
	require.Contains(t, body, "too many")
	status, _ := post("/", strings.Repeat(" ", 1001))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	status, _ = post("/", `{"method":"health"}`)
	require.Equal(t, http.StatusNoContent, status)
}

// cosmjs refuses a status that lacks anything.
func TestStatusHasNoEmptyField(t *testing.T) {
	r := newRig(t, Config{})
	response, err := http.Get(r.http.URL + "/status")
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct{ Result map[string]any }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.NotEmpty(t, answer.Result)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if fields, ok := v.(map[string]any); ok {
			for key, value := range fields {
				walk(path+"."+key, value)
			}
			return
		}
		if _, ok := v.(bool); !ok {
			require.NotEmpty(t, v, path)
		}
	}
	walk("result", answer.Result)
}

func TestHostileQueriesAtRate(t *testing.T) {
	r := newRig(t, Config{MaxQuery: 4096})
	p := r.dial()
	hostile := []string{
		strings.Repeat("(", 4000), strings.Repeat("NOT ", 1000) + "a=1", "a MATCHES '(a{1,999}){1,999}'",
		"a='" + strings.Repeat("x", 4000), "a IN (" + strings.Repeat("1,", 2000) + "1)", strings.Repeat("a=1 OR ", 580) + "a=1",
	}
	for i := range 120 {
		q, err := json.Marshal(hostile[i%len(hostile)])
		require.NoError(t, err)
		answer := p.call(fmt.Sprintf(`{"id":%d,"method":"subscribe","params":{"query":%s}}`, i, q))
		require.Contains(t, answer, "failed to parse query: ", "%.40s", q)
	}
	require.Zero(t, r.bus.NumClients())
}

func FuzzDecodeRequest(f *testing.F) {
	for _, seed := range []string{`{"id":1,"method":"m","params":[1]}`, `{"id":"x"}`, `{"id":1e400}`, `[]`, `{"id":{}}`, ``, "{\"id\":\"\xff\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		req, fault := decodeRequest(payload)
		var answer []byte
		if fault != nil {
			answer = appendError(nil, nil, fault)
		} else if req.id != nil {
			answer = appendResult(nil, req.id, emptyResult)
			for _, m := range methods {
				_, _ = m.arguments(req.params)
			}
		}
		if answer != nil {
			require.True(t, json.Valid(answer), "%s", answer)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"b\\\x00\x1f\u2028\xff\xed\xa0\x80é")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		require.NoError(t, json.Unmarshal(appendString(nil, s), &got))
		require.Equal(t, string([]rune(s)), got, "each bad byte is one U+FFFD")
	})
}
