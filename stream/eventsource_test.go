package stream

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An eventSource does what the HTML standard has an EventSource do: it comes
// back with the last id when a stream ends, and is closed for good by any answer
// that is none.
type eventSource struct {
	t      *testing.T
	url    string
	origin string

	lastID string
	retry  time.Duration
	waits  int // how often it has been told when to come back
	events []string
}

// connect follows one answer to its end, or to the event that is awaited, and
// returns whether the source lives.
func (e *eventSource) connect(until string) (lives bool) {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, e.url, nil)
	require.NoError(e.t, err)
	request.Header = http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}}
	if e.origin != "" {
		request.Header.Set("Origin", e.origin)
	}
	if e.lastID != "" {
		request.Header.Set("Last-Event-ID", e.lastID)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(e.t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		return false
	}
	if e.origin != "" && response.Header.Get("Access-Control-Allow-Origin") != e.origin {
		return false
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.lastID = value
			if len(e.events) > 0 && strings.Contains(e.events[len(e.events)-1], until) {
				return true
			}
		case "retry":
			ms, err := strconv.Atoi(value)
			require.NoError(e.t, err)
			e.retry = time.Duration(ms) * time.Millisecond
			e.waits++
		case "data":
			e.events = append(e.events, value)
		}
	}
	return true
}

// A browser that was connected is not turned away for good by a server that is
// full or about to end: it gets a stream that says when to come back, and misses
// nothing.
func TestAnEventSourceThatComesBackToAFullServerIsNotLost(t *testing.T) {
	for name, c := range map[string]Config{
		"connections": {MaxConnections: 1, Origins: []string{"http://page.test"}},
		"address":     {MaxConnectionsPerIP: 1, Origins: []string{"http://page.test"}},
		"clients":     {MaxClients: 1, Origins: []string{"http://page.test"}},
		"requests":    {MaxRequests: 1, Origins: []string{"http://page.test"}},
	} {
		r := newRig(t, c)
		source := &eventSource{t: t, url: r.http.URL + "/events?query=n+EXISTS", origin: "http://page.test"}
		go func() {
			eventually(t, func() bool { return r.bus.NumClients() == 1 }, "connected")
			r.publishNumbers(0, 1)
		}()
		require.True(t, source.connect(`"value":0`), name)
		eventually(t, func() bool { return r.server.Stats().Connections == 0 && r.held("requests") == 0 }, name)
		var leave func()
		if name == "requests" {
			h, refused := r.server.quotas.requests.hold("", "", 1)
			require.Nil(t, refused)
			leave = h.release
		} else {
			other := r.dial()
			other.subscribe("1", "a=1")
			leave = func() { other.ws.Close() }
		}
		r.publishNumbers(1, 3)
		require.True(t, source.connect("never"), name)
		require.Equal(t, 1, source.waits, name)
		require.GreaterOrEqual(t, source.retry, 2*time.Second, name)
		require.Less(t, source.retry, 5*time.Second, name)
		stranger := &eventSource{t: t, url: source.url, origin: "http://evil.test", lastID: source.lastID}
		require.False(t, stranger.connect("never"), "a page that is not let in is not asked to come back")
		fresh := &eventSource{t: t, url: source.url}
		require.False(t, fresh.connect("never"), "who was never connected gets 503 or 429")
		leave()
		eventually(t, func() bool { return r.server.Stats().Connections == 0 && r.held("requests") == 0 }, name)
		require.True(t, source.connect(`"value":2`), name)
		require.Len(t, source.events, 3, name)
		http.DefaultClient.CloseIdleConnections()
	}
}

func TestAnEventSourceThatComesBackDuringADrainIsNotLost(t *testing.T) {
	r := newRig(t, Config{})
	source := &eventSource{t: t, url: r.http.URL + "/events?query=n+EXISTS", lastID: r.server.config.History.Cursor(0).String()}
	require.NoError(t, r.server.Shutdown(t.Context()))
	require.True(t, source.connect("never"))
	require.Equal(t, 1, source.waits)
	http.DefaultClient.CloseIdleConnections()
}
