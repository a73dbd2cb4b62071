package stream

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// An interrupted history has something happen each time a backward scan has
// seen its first entry.
type interrupted struct {
	*history.Window
	interrupt func()
}

func (h *interrupted) Backward(before history.Cursor) iter.Seq2[history.Entry, error] {
	return func(yield func(history.Entry, error) bool) {
		seen := false
		for entry, err := range h.Window.Backward(before) {
			if !yield(entry, err) {
				return
			}
			if !seen {
				seen = true
				h.interrupt()
			}
		}
	}
}

// What leaves the window while a request goes through it is a gap, of what the
// request has not seen and nothing else.
func TestAPullTellsWhatLeavesTheWindowDuringTheScan(t *testing.T) {
	for name, c := range map[string]struct {
		during int // publications
		gap    [2]uint64
		items  int
	}{
		"nothing":              {0, [2]uint64{}, 190},
		"what it has left out": {5, [2]uint64{}, 190},
		"some":                 {100, [2]uint64{11, 100}, 100},
		"more than is left":    {160, [2]uint64{11, 136}, 64}, // the window gives 64 at once
		"all":                  {500, [2]uint64{11, 136}, 64},
	} {
		t.Run(name, func(t *testing.T) {
			h := &interrupted{Window: history.NewWindow(200, 0)}
			r := newRig(t, Config{History: h, MaxResults: 1000})
			r.publishNumbers(0, 200)
			h.interrupt = func() { r.publishNumbers(200, 200+c.during) }
			page := r.dial().pull(`{"filter":{"query":"n EXISTS"},"after_item":"` + h.Cursor(10).String() + `"}`)
			require.False(t, page.More)
			require.Len(t, page.Items, c.items)
			require.Equal(t, h.Cursor(200).String(), page.Newest)
			if c.gap == [2]uint64{} {
				require.Nil(t, page.Gap)
				return
			}
			require.NotNil(t, page.Gap)
			require.Equal(t, c.gap, [2]uint64{page.Gap.From.Major, page.Gap.To.Major})
			require.Equal(t, history.Retention, page.Gap.Reason)
		})
	}
}

// Whoever goes on with the newest_item of the first page gets what is published
// between two pages.
func TestPagingGoesOnAfterTheFirstPage(t *testing.T) {
	r := newRig(t, Config{MaxResults: 10})
	p := r.dial()
	after, next, seen := r.server.config.History.Cursor(0).String(), 0, map[string]bool{}
	publish := func(n int) {
		r.publishNumbers(next, next+n)
		next += n
	}
	publish(25)
	for range 4 {
		first := ""
		for before := ""; ; publish(3) {
			params := `{"filter":{"query":"n EXISTS"},"after_item":"` + after + `"`
			if before != "" {
				params += `,"before_item":"` + before + `"`
			}
			page := p.pull(params + `}`)
			require.Nil(t, page.Gap)
			for _, item := range page.Items {
				require.False(t, seen[item.Cursor])
				seen[item.Cursor], before = true, item.Cursor
			}
			if first == "" {
				first = page.Newest
			}
			if !page.More {
				break
			}
		}
		after = first
	}
	require.Len(t, seen, next)
}

// A request that waits is answered at the end of its time and at a drain, even
// if its conditions have to wait for their turn.
func TestAPullWithAnExpressionIsAnsweredWithWhatThereIs(t *testing.T) {
	const params = `{"filter":{"query":"m MATCHES 'b+c'"},"wait_time":60000000000}`
	for _, busy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			bus := pubsub.NewServer()
			server, err := New(bus, Config{})
			require.NoError(t, err)
			require.NoError(t, bus.Start())
			publish := func() {
				require.NoError(t, bus.PublishWithEvents(t.Context(), 1, map[string][]string{"m": {"aaa"}}))
			}
			publish()
			time.AfterFunc(500*time.Millisecond, func() {
				publish()
				if busy {
					server.expressions.turn <- struct{}{}
				}
			})
			waits, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			v := server.newVisit(httptest.NewRequest(http.MethodPost, "/", nil))
			answer := newCaller(v, t.Context(), waits).answerOne([]byte(`{"id":1,"method":"events","params":` + params + `}`))
			page := readPulled(t, string(answer))
			require.Empty(t, page.Items)
			require.Equal(t, server.config.History.Cursor(1).String(), page.Newest, "what came since has not been looked at")
			require.NoError(t, server.Shutdown(t.Context()))
			require.NoError(t, bus.Stop())
		})
	}
	t.Run("drain", func(t *testing.T) {
		r := newRig(t, Config{})
		r.publish(1, map[string][]string{"m": {"aaa"}})
		p := r.dial()
		p.send(`{"id":1,"method":"events","params":` + params + `}`)
		eventually(t, func() bool { return r.server.quotas.pulls.held() == 1 }, "it waits")
		var drain sync.WaitGroup
		defer drain.Wait()
		drain.Go(func() { _ = r.server.Shutdown(t.Context()) })
		require.Empty(t, readPulled(t, p.receive()).Items)
		p.closed()
	})
}

// A new token does not show through a request that began with the old one.
func TestAPullThatWaitsSeesNoMoreThanTheNewToken(t *testing.T) {
	tokens, sign := signedTokens(t, func(c *TokenConfig) { c.SubscribeClaim = "subscribe" })
	for name, c := range map[string]struct{ query, claim, answer string }{
		"narrower": {"owner = 'ann'", "owner = 'bob'", "the token gives other rights"},
		"all":      {"", "owner = 'bob'", "the token gives other rights"},
		"the same": {"owner = 'ann'", "*", `"items":[]`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Identify: tokens.Identify, Narrow: tokens.Narrow, Refresh: tokens.Refresh})
			ws, _, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{"Authorization": {"Bearer " + sign(nil, nil)}})
			require.NoError(t, err)
			defer ws.Close()
			p := &peer{t, ws}
			p.send(`{"id":1,"method":"events","params":{"filter":{"query":"` + c.query + `"},"wait_time":20000000000}}`)
			eventually(t, func() bool { return r.server.quotas.pulls.held() == 1 }, "it waits")
			p.send(`{"id":2,"method":"authenticate","params":{"token":"` + sign(jwt.MapClaims{"subscribe": c.claim}, nil) + `"}}`)
			answers := p.receive() + p.receive()
			require.Contains(t, answers, `"id":2,"result":{}`)
			require.Contains(t, answers, c.answer)
			require.NotContains(t, answers, `"error":{"code":-32603`)
			p.send(`{"id":3,"method":"events","params":{"filter":{"query":"owner EXISTS"},"wait_time":20000000000}}`)
			eventually(t, func() bool { return r.server.quotas.pulls.held() == 1 }, "the next one waits again")
		})
	}
}

// A token that authenticate refuses is counted like one in a request.
func TestTokensThatAuthenticateRefusesAreCounted(t *testing.T) {
	tokens, sign := signedTokens(t, func(*TokenConfig) {})
	r := newRig(t, Config{Identify: tokens.Identify, Refresh: tokens.Refresh})
	ws, _, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{"Authorization": {"Bearer " + sign(nil, nil)}})
	require.NoError(t, err)
	defer ws.Close()
	p := &peer{t, ws}
	for _, token := range []string{"nonsense", sign(jwt.MapClaims{"sub": "bob"}, nil), sign(jwt.MapClaims{"exp": 1}, nil)} {
		request, err := json.Marshal(map[string]any{"id": 1, "method": "authenticate", "params": map[string]any{"token": token}})
		require.NoError(t, err)
		require.Contains(t, p.call(string(request)), `"error"`)
	}
	require.EqualValues(t, 3, r.server.refusals[refusedIdentity].Load())
}
