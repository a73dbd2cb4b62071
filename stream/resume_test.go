package stream

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/history"
)

// collect reads n results of a client.
func collect(t *testing.T, c *client.Client, query string, o client.SubscribeOptions, n int) (results []client.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for result, err := range c.Subscribe(ctx, query, o) {
		require.NoError(t, err, "after %d of %d", len(results), n)
		if results = append(results, result); len(results) == n {
			break
		}
	}
	return results
}

func (r *rig) client(o client.Options) *client.Client {
	r.t.Helper()
	c, err := client.Dial(r.t.Context(), r.url("/websocket"), o)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// publishNumbers publishes from the first to before the last number.
func (r *rig) publishNumbers(first, last int) {
	for i := first; i < last; i++ {
		r.publish(i, map[string][]string{"n": {fmt.Sprint(i)}, "even": {fmt.Sprint(i%2 == 0)}})
	}
}

func number(t *testing.T, r client.Result) int {
	t.Helper()
	n, err := client.DataAs[int](r)
	require.NoError(t, err)
	return n
}

func TestResumeDeliversExactlyWhatWasMissed(t *testing.T) {
	r := newRig(t, Config{})
	c := r.client(client.Options{})
	start := r.server.config.History.Cursor(0).String()
	r.publishNumbers(0, 1000)
	half := collect(t, c, "even = 'true'", client.SubscribeOptions{After: start}, 250)
	require.Equal(t, 498, number(t, half[249]))
	go r.publishNumbers(1000, 2000) // the hand-over meets new ones
	rest := collect(t, c, "even = 'true'", client.SubscribeOptions{After: half[249].Cursor.String()}, 750)
	for i, result := range rest {
		require.Equal(t, 500+2*i, number(t, result))
	}
}

// Cut at random, again and again, a client gets every event once and in order.
func TestAClientThatIsCutResumes(t *testing.T) {
	const n = 5000
	r := newRig(t, Config{History: history.NewWindow(n, 0)})
	c := r.client(client.Options{})
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(100 * time.Millisecond)):
				all, _ := r.server.connections()
				for _, conn := range all {
					conn.kill()
				}
			}
		}
	})
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for i := range n {
			r.publish(i, map[string][]string{"n": {fmt.Sprint(i)}})
			if i%50 == 0 {
				time.Sleep(time.Millisecond) // a rate that leaves time to be cut; nothing waits for it
			}
		}
	})
	next := 0
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for result, err := range c.Subscribe(ctx, "n EXISTS", client.SubscribeOptions{After: r.server.config.History.Cursor(0).String()}) {
		require.NoError(t, err)
		require.Nil(t, result.Gap)
		require.Equal(t, next, number(t, result))
		if next++; next == n {
			break
		}
	}
	close(stop)
	cutter.Wait()
	publisher.Wait()
}

func TestACursorOfAnotherEpochIsAGap(t *testing.T) {
	r := newRig(t, Config{})
	r.publishNumbers(0, 10)
	old := history.Cursor{Epoch: 7, Major: 5}
	results := collect(t, r.client(client.Options{}), "n EXISTS", client.SubscribeOptions{After: old.String()}, 11)
	require.Equal(t, history.EpochChanged, results[0].Gap.Reason)
	require.Equal(t, old.Next(), results[0].Gap.From)
	for i, result := range results[1:] {
		require.Equal(t, i, number(t, result), "all that the new epoch has is delivered")
	}
}

func TestWhatTheWindowForgotIsAGap(t *testing.T) {
	r := newRig(t, Config{History: history.NewWindow(100, 0)})
	h := r.server.config.History
	r.publishNumbers(0, 1000)
	results := collect(t, r.client(client.Options{}), "n EXISTS", client.SubscribeOptions{After: h.Cursor(10).String()}, 101)
	require.Equal(t, &history.Gap{From: h.Cursor(11), To: h.Cursor(900), Reason: history.Retention}, results[0].Gap)
	require.Equal(t, 900, number(t, results[1]))
	require.Equal(t, 999, number(t, results[100]))
}

func TestBadCursorsAreRefused(t *testing.T) {
	r := newRig(t, Config{})
	r.publishNumbers(0, 1)
	p := r.dial()
	for _, after := range []string{"x", strings.Repeat("0", history.CursorLength), "0123456789ABCDEF-0000000000000001-0000000000000000", r.server.config.History.Cursor(99).String()} {
		require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"a=1","after":"`+after+`"}}`), "-32603", after)
	}
	require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"a=1","after":5}}`), "-32603")
	require.JSONEq(t, `{"jsonrpc":"2.0","id":2,"result":{}}`, p.call(`{"id":2,"method":"subscribe","params":["a=1"]}`))
}

// Only who asks for cursors gets them.
func TestCursorsComeOnlyWithAfter(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	p.subscribe("1", "a=1")
	accepted := p.call(`{"id":2,"method":"subscribe","params":{"query":"a='1'","after":""}}`)
	require.Contains(t, accepted, `"cursor":"`)
	r.publish(1, map[string][]string{"a": {"1"}})
	both := []string{p.receive(), p.receive()}
	for _, event := range both {
		require.Equal(t, strings.Contains(event, `"id":2`), strings.Contains(event, `"cursor"`))
	}
}

// ADR 075: newest first, pages by before_item, more, waiting.
func TestPullPagesBackward(t *testing.T) {
	r := newRig(t, Config{})
	r.publishNumbers(0, 100)
	p := r.dial()
	pull := p.pull
	var all []string
	before := ""
	for {
		page := pull(`{"filter":{"query":"even='true'"},"max_results":7,"before_item":"` + before + `"}`)
		require.Equal(t, r.server.config.History.Cursor(1).String(), page.Oldest)
		require.Equal(t, r.server.config.History.Cursor(100).String(), page.Newest)
		for _, item := range page.Items {
			all = append(all, string(item.Data))
			before = item.Cursor
		}
		require.Equal(t, len(all) < 50, page.More)
		if !page.More {
			break
		}
	}
	require.Len(t, all, 50)
	require.JSONEq(t, `{"type":"hark/json","value":98}`, all[0])
	require.JSONEq(t, `{"type":"hark/json","value":0}`, all[49])

	page := pull(`{"filter":{"query":"n EXISTS"},"after_item":"` + r.server.config.History.Cursor(97).String() + `"}`)
	require.Len(t, page.Items, 3)
	require.False(t, page.More)
	require.JSONEq(t, `{"even":["false"],"n":["99"]}`, string(page.Items[0].Events))
	require.Empty(t, pull(`{"filter":{"query":"n=1000"}}`).Items)
	require.Equal(t, history.EpochChanged, pull(`{"after_item":"`+history.Cursor{Epoch: 1, Major: 1}.String()+`"}`).Gap.Reason)
}

// pulled is the answer to an events request.
type pulled struct {
	Items []struct {
		Cursor       string
		Data, Events json.RawMessage
	}
	More   bool
	Oldest string `json:"oldest_item"`
	Newest string `json:"newest_item"`
	Gap    *history.Gap
}

// pull asks for events.
func (p *peer) pull(params string) pulled {
	p.t.Helper()
	return readPulled(p.t, p.call(`{"id":1,"method":"events","params":`+params+`}`))
}

func readPulled(t *testing.T, text string) pulled {
	t.Helper()
	var answer struct {
		Result pulled
		Error  *client.RPCError
	}
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	require.Nil(t, answer.Error)
	return answer.Result
}

func TestPullWaitsForAMatch(t *testing.T) {
	r := newRig(t, Config{MaxWait: patience})
	p := r.dial()
	p.send(`{"id":1,"method":"events","params":{"filter":{"query":"n=7"},"wait_time":3600000000000}}`)
	eventually(t, func() bool { return r.bus.NumClients() == 1 }, "it waits")
	r.publishNumbers(0, 10)
	require.Contains(t, p.receive(), `"value":7`)
	eventually(t, func() bool { return r.bus.NumClients() == 0 }, "it leaves nothing")

	p.send(`{"id":2,"method":"events","params":{"filter":{"query":"n=99"},"wait_time":1000000}}`)
	require.Contains(t, p.receive(), `"items":[]`)
}

func TestEventStreamResumes(t *testing.T) {
	r := newRig(t, Config{})
	r.publishNumbers(0, 10)
	began := history.Cursor{Epoch: 1, Major: 1}.String()
	lines, stop := r.openEvents("n EXISTS", began)
	require.Equal(t, "event: gap", <-lines)
	require.Contains(t, <-lines, `"reason":"epoch_changed"`)
	require.Contains(t, <-lines, "id: ")
	<-lines
	var last string
	for i := range 5 {
		require.Equal(t, fmt.Sprintf(`data: {"query":"n EXISTS","data":{"type":"hark/json","value":%d},"events":{"even":["%t"],"n":["%d"]}}`, i, i%2 == 0, i), <-lines)
		last = strings.TrimPrefix(<-lines, "id: ")
		require.Empty(t, <-lines)
	}
	stop()
	lines, stop = r.openEvents("n EXISTS", last)
	require.Contains(t, <-lines, `"value":5`)
	for range 2 + 4*3 {
		<-lines
	}
	go r.publishNumbers(10, 11)
	require.Contains(t, <-lines, `"value":10`, "live")
	stop()
	eventually(t, func() bool { return r.bus.NumClients() == 0 && r.server.Stats().Clients == 0 }, "nothing is left")
}

func TestEventStreamIsToldOfADrain(t *testing.T) {
	r := newRig(t, Config{})
	lines, stop := r.openEvents("n EXISTS", "")
	defer stop()
	eventually(t, func() bool { return r.bus.NumClients() == 1 }, "subscribed")
	require.NoError(t, r.server.Shutdown(t.Context()))
	require.Equal(t, "event: end", <-lines)
	require.Equal(t, `data: {"reason":"the server is shutting down"}`, <-lines)
}

// openEvents opens an event stream and returns its lines.
func (r *rig) openEvents(query, lastID string) (lines <-chan string, stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.http.URL+"/events?query="+strings.ReplaceAll(query, " ", "+"), nil)
	require.NoError(r.t, err)
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	require.Equal(r.t, 200, response.StatusCode)
	require.Equal(r.t, "text/event-stream", response.Header.Get("Content-Type"))
	scan := bufio.NewScanner(response.Body)
	require.True(r.t, scan.Scan(), "the first event has the place alone")
	place, ok := strings.CutPrefix(scan.Text(), "id: ")
	require.True(r.t, ok)
	_, err = history.ParseCursor(place)
	require.NoError(r.t, err)
	require.True(r.t, scan.Scan())
	require.Empty(r.t, scan.Text())
	out := make(chan string)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(out)
		for scan.Scan() {
			select {
			case out <- scan.Text():
			case <-ctx.Done():
				return
			}
		}
	})
	stop = func() {
		cancel()
		response.Body.Close()
		reader.Wait()
	}
	r.t.Cleanup(stop)
	return out, stop
}
