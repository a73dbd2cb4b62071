package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A receiver is who webhooks are posted to. It implements http.RoundTripper.
type receiver struct {
	mu       sync.Mutex
	bodies   [][]byte
	headers  []http.Header
	statuses []int         // of the first answers; then 200
	hang     chan struct{} // nil: it answers at once
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies, r.headers = append(r.bodies, body), append(r.headers, request.Header)
	if r.hang != nil {
		r.mu.Unlock()
		defer r.mu.Lock()
		select {
		case <-r.hang:
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	status := http.StatusOK
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{"Location": {"http://elsewhere.test/"}}, Body: io.NopCloser(bytes.NewReader(nil)), Request: request}, nil
}

func (r *receiver) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

func (r *receiver) notices(t *testing.T, i int) []notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	var got struct{ Notices []notice }
	require.NoError(t, json.Unmarshal(r.bodies[i], &got))
	return got.Notices
}

func newWebhook(r *receiver, key []byte) *webhook {
	h := new(webhook)
	h.init(&Webhook{URL: "http://receiver.test/path?secret=x", Key: key, transport: r}, nil)
	return h
}

func TestNoticesOfASecondAreOneSignedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r receiver
		key := bytes.Repeat([]byte("k"), 32)
		h := newWebhook(&r, key)
		for range 1000 {
			h.add(noticeKey{"refused", "connections", "192.0.2.1", ""}, 1)
		}
		h.add(noticeKey{"slow", "stalled", "192.0.2.2", "alice"}, 1)
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, r.requests())
		got := r.notices(t, 0)
		require.Len(t, got, 2)
		require.Equal(t, uint64(1000), got[0].Count)
		require.Equal(t, []string{"slow", "stalled", "192.0.2.2", "alice"}, []string{got[1].Kind, got[1].Reason, got[1].Remote, got[1].Identity})
		require.Equal(t, sign(key, time.Now().Add(-time.Second), r.bodies[0]), r.headers[0].Get(SignatureHeader))
		require.Equal(t, uint64(2), h.sent.Load())
		h.close(t.Context())
	})
}

func TestAWebhookIsTriedThreeTimes(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int
		requests int
		lost     uint64
	}{
		"it comes back":            {[]int{503, 429}, 3, 0},
		"it does not":              {[]int{503, 503, 503}, 3, 1},
		"it does not want them":    {[]int{400}, 1, 1},
		"it redirects":             {[]int{307}, 1, 1},
		"it is not there any more": {[]int{404}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := receiver{statuses: c.statuses}
				h := newWebhook(&r, nil)
				h.add(noticeKey{kind: "slow"}, 1)
				time.Sleep(time.Minute)
				require.Equal(t, c.requests, r.requests())
				require.Equal(t, c.lost, h.lost.Load())
				require.Empty(t, r.headers[0].Get(SignatureHeader))
				h.close(t.Context())
			})
		})
	}
}

// Nobody waits for a receiver that hangs, and what waits for it is bounded.
func TestAWebhookThatHangsKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receiver{hang: make(chan struct{})}
		h := newWebhook(&r, nil)
		for i := range 10_000 {
			h.add(noticeKey{"refused", "host", fmt.Sprint(i), ""}, 1)
		}
		time.Sleep(2 * time.Second)
		for i := range 10_000 {
			h.add(noticeKey{"refused", "host", fmt.Sprint(i), ""}, 1)
		}
		require.Len(t, h.order, webhookQueue)
		require.EqualValues(t, 2*(10_000-webhookQueue), h.lost.Load())
		began := time.Now()
		h.close(t.Context())
		require.LessOrEqual(t, time.Since(began), lastNotices)
		h.add(noticeKey{}, 1)
		require.EqualValues(t, 2*10_000+1, h.lost.Load())
	})
}

// What a server has to tell when it ends is told before Shutdown returns.
func TestShutdownPostsTheLastNotices(t *testing.T) {
	var r receiver
	rig := newRig(t, Config{Webhook: &Webhook{URL: "http://receiver.test", transport: &r}, Identify: func(*http.Request) (Identity, error) { return Identity{}, errors.New("no") }})
	response, err := http.Get(rig.http.URL + "/status")
	require.NoError(t, err)
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, rig.server.Shutdown(ctx))
	require.Equal(t, 1, r.requests())
	got := r.notices(t, 0)
	require.Equal(t, []any{"refused", "identity", "127.0.0.1"}, []any{got[0].Kind, got[0].Reason, got[0].Remote})
}

// A client that does not read, one whose buffer is full and one that a quota
// refuses are reported.
func TestSlowAndRefusedClientsAreReported(t *testing.T) {
	var r receiver
	rig := newRig(t, Config{Webhook: &Webhook{URL: "http://receiver.test", transport: &r}, MaxConnections: 2, WriteTimeout: 200 * time.Millisecond})
	waiting := func(kind, reason string) bool {
		h := &rig.server.webhook
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.waiting[noticeKey{kind, reason, "127.0.0.1", ""}] != nil
	}
	rig.dial().subscribe("1", "a=1")
	rig.dial().subscribe("1", "b=1")
	_, err := dialTopic(t, rig, "/a", RoleSubscriber)
	require.Error(t, err)
	large := strings.Repeat("x", 1<<20)
	for range 20 {
		rig.publish(large, map[string][]string{"a": {"1"}})
	}
	seen := map[string]bool{}
	eventually(t, func() bool {
		for range 1000 {
			rig.publish("b", map[string][]string{"b": {"1"}})
		}
		for _, what := range []string{"refused connections", "slow stalled", "slow overflow"} {
			kind, reason, _ := strings.Cut(what, " ")
			seen[what] = seen[what] || waiting(kind, reason) || posted(&r, kind, reason)
		}
		return seen["refused connections"] && seen["slow stalled"] && seen["slow overflow"]
	}, "all are reported")
}

// posted tells whether a receiver has got a notice.
func posted(r *receiver, kind, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := `"kind":"` + kind + `","reason":"` + reason + `"`
	for _, body := range r.bodies {
		if bytes.Contains(body, []byte(text)) {
			return true
		}
	}
	return false
}

func TestAWebhookIsChecked(t *testing.T) {
	for _, w := range []Webhook{{}, {URL: "ftp://a"}, {URL: "http://user:secret@a"}, {URL: "http://"}, {URL: "http://a", Key: []byte("short")}, {URL: "http://a", Timeout: -1}} {
		_, err := (Config{Webhook: &w}).withDefaults()
		require.ErrorContains(t, err, "Config.Webhook")
		require.NotContains(t, err.Error(), "secret")
	}
}
