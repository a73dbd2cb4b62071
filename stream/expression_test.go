package stream

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// withInstructions returns a query whose regular expression has so many
// instructions; name tells it from others.
func withInstructions(t *testing.T, n int, name string) string {
	text := fmt.Sprintf("m MATCHES 'x{%d}[xy]' OR k = '%s'", n-3, name)
	q, err := query.Limits{Regexp: n}.New(text)
	require.NoError(t, err)
	require.Equal(t, n, q.Instructions())
	return text
}

// get returns the status and the body, which ends.
func (r *rig) get(path string, header http.Header) (int, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.http.URL+path, nil)
	require.NoError(r.t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(body)
}

// requireLine reads up to the line that contains a text.
func requireLine(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	for line := range lines {
		if strings.Contains(line, text) {
			return
		}
	}
	require.Fail(t, "no line has "+text)
}

func (r *rig) dialTopicWith(text string) (*websocket.Conn, *http.Response) {
	r.t.Helper()
	ws, response, err := websocket.DefaultDialer.Dial(r.url("/topic?query="+url.QueryEscape(text)), http.Header{RoleHeader: {RoleSubscriber}})
	if err == nil {
		r.t.Cleanup(func() { ws.Close() })
		return ws, response
	}
	require.ErrorIs(r.t, err, websocket.ErrBadHandshake)
	return nil, response
}

func TestRegularExpressionsOfOneQueryAreLimitedOnEveryWayIn(t *testing.T) {
	for _, limit := range []int{0, 30, 500} { // the default, below that of query.Limits and above
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			r := newRig(t, Config{MaxExpression: limit, MaxExpressions: 1000})
			most := r.server.config.MaxExpression
			good, bad := withInstructions(t, most, "good"), withInstructions(t, most+1, "bad")
			refusal := fmt.Sprintf("failed to parse query: query: offset 10: the regular expressions up to here need %d instructions, more than %d", most+1, most)

			p := r.dial()
			p.subscribe("1", good)
			require.Contains(t, p.call(`{"id":2,"method":"subscribe","params":{"query":"`+bad+`"}}`), refusal)
			require.Contains(t, p.call(`{"id":3,"method":"events","params":{"filter":{"query":"`+bad+`"}}}`), refusal)
			require.Contains(t, p.call(`{"id":4,"method":"events","params":{"filter":{"query":"`+good+`"}}}`), `"items":[]`)
			require.JSONEq(t, `{"jsonrpc":"2.0","id":5,"result":{}}`, p.call(`{"id":5,"method":"unsubscribe","params":{"query":"`+good+`"}}`))

			status, body := r.get("/events?query="+url.QueryEscape(bad), nil)
			require.Equal(t, http.StatusBadRequest, status)
			require.Contains(t, body, refusal)
			_, stop := r.openEvents(url.QueryEscape(good), "")
			stop()

			ws, response := r.dialTopicWith(bad)
			require.Nil(t, ws)
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
			ws, _ = r.dialTopicWith(good)
			require.NotNil(t, ws)
			ws.Close()

			for text, want := range map[string]string{good: `{"ok":true`, bad: `{"ok":false`} {
				answer := httptest.NewRecorder()
				r.server.Admin().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/v1/check?query="+url.QueryEscape(text), nil))
				require.Contains(t, answer.Body.String(), want)
			}
			eventually(t, func() bool { return r.server.Stats().Expressions == 0 }, "all have left")
		})
	}
}

func TestRegularExpressionsOfOneConnectionAreLimited(t *testing.T) {
	r := newRig(t, Config{MaxExpression: 60, MaxExpressions: 100})
	p := r.dial()
	p.subscribe("1", withInstructions(t, 60, "a"))
	const refusal = "max_expressions_per_client 100 reached: the regular expressions of the connection would have 101 instructions"
	require.Contains(t, p.call(`{"id":2,"method":"subscribe","params":{"query":"`+withInstructions(t, 41, "b")+`"}}`), refusal)
	p.subscribe("3", withInstructions(t, 40, "b"))
	p.subscribe("4", "m EXISTS")
	require.EqualValues(t, 100, r.server.Stats().Expressions)
	p.call(`{"id":5,"method":"unsubscribe","params":{"query":"` + withInstructions(t, 60, "a") + `"}}`)
	require.EqualValues(t, 40, r.server.Stats().Expressions)
	p.subscribe("6", withInstructions(t, 60, "c"))

	other := r.dial()
	other.subscribe("1", withInstructions(t, 60, "a"))
	other.ws.Close()
	eventually(t, func() bool { return r.server.Stats().Expressions == 100 }, "it has left")
}

func TestRegularExpressionsOfAllAreLimitedOnEveryWayIn(t *testing.T) {
	r := newRig(t, Config{AllExpressions: 100})
	p := r.dial()
	p.subscribe("1", withInstructions(t, 60, "a"))
	bad := withInstructions(t, 41, "b")
	const refusal = "max_expressions 100 reached: the regular expressions of all subscriptions may have so many instructions, and these have 41"
	other := r.dial()
	require.Contains(t, other.call(`{"id":2,"method":"subscribe","params":{"query":"`+bad+`"}}`), refusal)
	require.Contains(t, other.call(`{"id":3,"method":"events","params":{"filter":{"query":"`+bad+`"},"wait_time":1000000000}}`), refusal)
	status, body := r.get("/events?query="+url.QueryEscape(bad), nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, refusal)
	ws, response := r.dialTopicWith(bad)
	require.Nil(t, ws)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, 1, r.server.Stats().Clients, "who is refused is no client")
	require.EqualValues(t, 60, r.server.Stats().Expressions, "nor counted")

	other.subscribe("4", withInstructions(t, 40, "b"))
	other.ws.Close()
	eventually(t, func() bool { return r.server.Stats().Expressions == 60 }, "it has left")
	_, stop := r.openEvents(url.QueryEscape(withInstructions(t, 40, "c")), "")
	require.EqualValues(t, 100, r.server.Stats().Expressions)
	stop()
	eventually(t, func() bool { return r.server.Stats().Expressions == 60 }, "the stream has ended")
	ws, _ = r.dialTopicWith(withInstructions(t, 40, "d"))
	require.NotNil(t, ws)
	require.EqualValues(t, 100, r.server.Stats().Expressions)
	ws.Close()
	eventually(t, func() bool { return r.server.Stats().Expressions == 60 }, "the subscriber of the topic has left")
	require.Contains(t, p.call(`{"id":9,"method":"events","params":{"filter":{"query":"`+withInstructions(t, 40, "e")+`"},"wait_time":1000000}}`), `"items":[]`)
	require.EqualValues(t, 60, r.server.Stats().Expressions)
}

func TestClientsAreToldThatTheirExpressionsTakeTooLong(t *testing.T) {
	const instructions, bytes, overhead = 20, 1000, 128
	r := newRig(t, Config{}, pubsub.ExpressionBudget(4*(overhead+instructions*(bytes+16))))
	text := strings.Replace(withInstructions(t, instructions, "other"), "other", "yes", 1)
	p := r.dial()
	p.subscribe("1", text)
	lines, _ := r.openEvents(url.QueryEscape(text), "")
	ws, _ := r.dialTopicWith(withInstructions(t, instructions, "topic"))
	require.NotNil(t, ws)
	cheap := r.dial()
	cheap.subscribe("1", "m MATCHES 'z'")
	eventually(t, func() bool { return r.bus.NumClients() == 4 }, "all are there")

	value := strings.Repeat("x", bytes)
	r.publish(1, map[string][]string{"m": {value}, TopicKey: {"/topic"}})
	r.publish(2, map[string][]string{"m": {value + "x"}, TopicKey: {"/topic"}})
	r.publish(3, map[string][]string{"m": {"z"}})

	const reason = "the conditions of the query take too long on a publication"
	require.Contains(t, p.receive(), `"value":1`)
	require.Contains(t, p.receive(), `"error":{"code":-32000,"message":"Server error","data":"subscription was canceled (reason: pubsub: `+reason+`)"}`)
	requireLine(t, lines, `"value":1`)
	requireLine(t, lines, "event: end")
	require.Equal(t, `data: {"reason":"pubsub: `+reason+`"}`, <-lines)
	_, payload, err := ws.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(payload), `"value":1`)
	_, _, err = ws.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.ClosePolicyViolation), "%v", err)
	require.ErrorContains(t, err, "take too long")

	require.Contains(t, cheap.receive(), `"value":3`)
	eventually(t, func() bool { return r.server.Stats().OverBudget == 3 }, "all are counted")
	require.EqualValues(t, 3, r.bus.Stats().OverBudget)
	eventually(t, func() bool { return r.server.Stats().Expressions == 3 }, "and have left")
	p.subscribe("2", text)
}

// What the history is searched for has a limit of steps for each request, and
// says where to go on.
func TestExpressionsOverTheHistoryAreLimitedOnEveryWayIn(t *testing.T) {
	const instructions, bytes, steps = 20, 1000, 20 * (1000 + 16)
	for _, enough := range []bool{true, false} {
		t.Run(fmt.Sprintf("enough=%v", enough), func(t *testing.T) {
			config := Config{ReplaySteps: 3 * steps}
			if !enough {
				config.ReplaySteps--
			}
			r := newRig(t, config, pubsub.ExpressionBudget(1)) // what the bus does not run is run here
			start := r.server.config.History.Cursor(0).String()
			text := "m MATCHES 'x{17}[yz]'"
			value := strings.Repeat("x", bytes)
			for i := range 3 {
				r.publish(i, map[string][]string{"m": {value[i/2:] + strings.Repeat("y", i/2)}})
			}
			require.Equal(t, instructions, query.MustParse(text).Instructions())

			p := r.dial()
			resumed := p.call(`{"id":1,"method":"subscribe","params":{"query":"` + text + `","after":"` + start + `"}}`)
			require.Contains(t, resumed, `"cursor":"`+start)
			forward, backward := r.server.config.History.Cursor(2).String(), r.server.config.History.Cursor(2).String()
			const over = "stream: the conditions of the query take too long over the history; go on from cursor "
			if enough {
				require.Contains(t, p.receive(), `"value":2`)
			} else {
				require.Contains(t, p.receive(), `subscription was canceled (reason: `+over+forward+`)`)
			}
			answer := r.dial().call(`{"id":2,"method":"events","params":{"filter":{"query":"` + text + `"},"max_results":5}}`)
			if enough {
				require.Contains(t, answer, `"data":{"type":"hark/json","value":2}`)
			} else {
				require.Contains(t, answer, over+backward)
				answer = r.dial().call(`{"id":2,"method":"events","params":{"filter":{"query":"` + text + `"},"before_item":"` + backward + `"}}`)
				require.Contains(t, answer, `"items":[]`)
			}
			lines, _ := r.openEvents(url.QueryEscape(text), start)
			if enough {
				requireLine(t, lines, `"value":2`)
				require.Zero(t, r.server.Stats().OverBudget)
			} else {
				requireLine(t, lines, "event: end")
				require.Contains(t, <-lines, over+forward)
				require.EqualValues(t, 3, r.server.Stats().OverBudget)
			}
		})
	}
}

// What takes long without an expression has the same steps, and what takes
// little a few, so that they bound a request whatever it asks for.
func TestAllWorkOverTheHistoryIsLimited(t *testing.T) {
	const heavy = 2 * (2001 + 16)
	for text, steps := range map[string]int64{
		"m >= 5 AND m <= 5": heavy,
		"k = 1 AND k < 2":   2 * lightCondition,
	} {
		for _, enough := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s enough=%v", text, enough), func(t *testing.T) {
				config := Config{ReplaySteps: 3 * steps}
				if !enough {
					config.ReplaySteps--
				}
				r := newRig(t, config)
				for i := range 3 {
					r.publish(i, map[string][]string{"m": {strings.Repeat("0", 2000) + "5"}, "k": {"1"}})
				}
				answer := r.dial().call(`{"id":2,"method":"events","params":{"filter":{"query":"` + text + `"},"max_results":5}}`)
				if enough {
					require.Contains(t, answer, `"data":{"type":"hark/json","value":0}`)
					return
				}
				require.Contains(t, answer, "the conditions of the query take too long over the history")
				require.EqualValues(t, 1, r.server.Stats().OverBudget)
			})
		}
	}
}

// Work over the history is done one request at a time, and waits for its turn
// no longer than a request may; what takes little does not wait.
func TestLongWorkOverTheHistoryWaitsForItsTurn(t *testing.T) {
	r := newRig(t, Config{MaxWait: 50 * time.Millisecond, Identify: administrator})
	r.publish("it", map[string][]string{"m": {strings.Repeat("0", 2000) + "5"}, "k": {"1"}})
	ask := func(text string) string {
		_, answer := r.post("/", "application/json", `{"id":2,"method":"events","params":{"filter":{"query":"`+text+`"}}}`)
		return answer
	}
	explain := `{"query":"m = 5","events":{"m":["` + strings.Repeat("0", 2000) + `5"]}}`

	r.server.expressions.turn <- struct{}{}
	require.Contains(t, ask("m = 5"), "keep this one waiting")
	require.Contains(t, ask("k = 1"), `"value":"it"`)
	status, answer := r.post("/v1/explain", "application/json", explain)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, answer, "keep this one waiting")
	<-r.server.expressions.turn

	require.Contains(t, ask("m = 5"), `"value":"it"`)
	status, answer = r.post("/v1/explain", "application/json", explain)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, answer, `"matched":true`)
	require.Empty(t, r.server.expressions.turn)
}

func administrator(*http.Request) (Identity, error) { return Identity{Admin: true}, nil }

func TestExplainingHasTheStepsOfARequest(t *testing.T) {
	r := newRig(t, Config{ReplaySteps: 3 * 2 * (1001 + 16), Identify: administrator})
	explain := func(zeros int) (int, string) {
		return r.post("/v1/explain", "application/json", `{"query":"m = 5 OR m = 6","events":{"m":["`+strings.Repeat("0", zeros)+`5"]}}`)
	}
	status, _ := explain(1000)
	require.Equal(t, http.StatusOK, status)
	status, answer := explain(1001)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, answer, "the query takes too long on these events: 6108 steps")
	require.EqualValues(t, 1, r.server.Stats().OverBudget)
}
