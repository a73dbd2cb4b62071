package stream

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/history"
)

// dialSmall opens a connection with a small buffer in the kernel, so that a
// client that does not read is soon a slow one.
func (r *rig) dialSmall(path string, header http.Header) *peer {
	r.t.Helper()
	d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(512 << 10)
		}
		return conn, err
	}}
	ws, _, err := d.Dial(r.url(path), header)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { ws.Close() })
	return &peer{r.t, ws}
}

// large is data that fills the kernel's buffers.
var large = strings.Repeat("x", 200_000)

// flood publishes to a subscriber that does not read until its buffer has
// overflowed.
func (r *rig) flood(n int) {
	for range n {
		r.publish(large, map[string][]string{"a": {"1"}})
	}
}

func TestASlowSubscriptionIsCanceledAndTheConnectionStays(t *testing.T) {
	r := newRig(t, Config{Buffer: 5})
	p := r.dialSmall("/websocket", nil)
	p.subscribe("1", "a=1")
	p.subscribe("2", "b=1")
	r.flood(100)
	events := 0
	for {
		message := p.receive()
		if !strings.Contains(message, `"error"`) {
			events++
			continue
		}
		require.JSONEq(t, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"Server error","data":"subscription was canceled (reason: internal subscription event buffer is out of capacity)"}}`, message)
		break
	}
	require.Positive(t, events, "what was in the buffer comes before the reason")
	r.publish(2, map[string][]string{"b": {"1"}})
	require.Contains(t, p.receive(), `"id":2`)
	p.subscribe("3", "a=1")
}

func TestPolicyCloseClosesWith1013AfterTellingEveryID(t *testing.T) {
	r := newRig(t, Config{Buffer: 5, Overflow: OverflowClose})
	p := r.dialSmall("/websocket", nil)
	p.subscribe("1", "a=1")
	p.subscribe("2", "b=1")
	r.flood(100)
	code, reason, messages := p.closed()
	require.Equal(t, websocket.CloseTryAgainLater, code)
	require.Equal(t, "the client is too slow", reason)
	ends := strings.Join(messages[len(messages)-2:], "")
	require.Contains(t, ends, `"id":1,"error":{"code":-32000`)
	require.Contains(t, ends, `"id":2,"error":{"code":-32000`)
}

// Every event is either delivered or counted, and the client is told.
func TestDroppedMessagesAreCountedToTheClient(t *testing.T) {
	for _, policy := range []Overflow{OverflowDropOldest, OverflowDropNewest} {
		for _, cursors := range []bool{true, false} {
			r := newRig(t, Config{Buffer: 5, QueueBytes: 1, History: history.NewWindow(10, 0)})
			p := r.dialSmall("/websocket", nil)
			params := map[string]any{"query": "a=1", "overflow": policy}
			if cursors {
				params["after"] = ""
			}
			request, err := json.Marshal(map[string]any{"id": 1, "method": "subscribe", "params": params})
			require.NoError(t, err)
			p.call(string(request))
			const n = 100
			r.flood(n)
			p.send(`{"id":9,"method":"health"}`)
			delivered, dropped := uint64(0), uint64(0)
			for {
				var m struct {
					ID     int
					Result struct {
						Data    json.RawMessage
						Gap     *history.Gap
						Dropped uint64
						Events  map[string][]string
					}
				}
				require.NoError(t, json.Unmarshal([]byte(p.receive()), &m))
				if m.Result.Dropped > 0 {
					dropped = m.Result.Dropped
				}
				switch {
				case m.Result.Gap != nil:
					require.Equal(t, history.Overflow, m.Result.Gap.Reason)
					require.False(t, m.Result.Gap.To.Before(m.Result.Gap.From))
					dropped += m.Result.Gap.Count
				case m.Result.Data != nil:
					delivered++
				}
				if m.Result.Events["last"] != nil {
					break
				}
				if delivered+dropped >= n { // one more tells what was dropped at the end
					r.publish(1, map[string][]string{"a": {"1"}, "last": {"1"}})
				} else if m.ID == 1 && delivered == 5 && dropped == 0 && policy == OverflowDropNewest {
					r.publish(1, map[string][]string{"a": {"1"}})
				}
			}
			require.GreaterOrEqual(t, delivered+dropped, uint64(n), "%s, cursors %t", policy, cursors)
			require.Positive(t, dropped)
		}
	}
}

// A peer that does not read for WriteTimeout is cut; it costs nobody else
// anything.
func TestAStalledPeerIsCutAndOthersDoNotNotice(t *testing.T) {
	r := newRig(t, Config{Buffer: 1000, WriteTimeout: 200 * time.Millisecond, CloseTimeout: 100 * time.Millisecond})
	stalled := r.dialSmall("/websocket", nil)
	stalled.subscribe("1", "a=1")
	other := r.dial()
	other.subscribe("1", "a=1")
	go r.flood(100)
	for range 100 {
		require.Contains(t, other.receive(), `"id":1`)
	}
	eventually(t, func() bool { return r.server.Stats().Stalls == 1 }, "it is cut")
	eventually(t, func() bool { return r.server.Stats().Connections == 1 && r.bus.NumClients() == 1 }, "it is forgotten")
	require.Zero(t, r.server.Stats().Queued)
}

func TestUnknownPolicyIsRefused(t *testing.T) {
	p := newRig(t, Config{}).dial()
	require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"a=1","overflow":"explode"}}`),
		`overflow \"explode\": use cancel, close, drop-oldest or drop-newest`)
}

func TestConfigNamesTheFieldThatIsWrong(t *testing.T) {
	for field, c := range map[string]Config{
		"MaxFrame":     {MaxFrame: -1},
		"Overflow":     {Overflow: "maybe"},
		"PingInterval": {PingInterval: time.Second, ReadTimeout: time.Second},
		"Origins":      {Origins: []string{"example.com"}},
		"WriteTimeout": {WriteTimeout: -1},
	} {
		_, err := New(nil, c)
		require.ErrorContains(t, err, "bus")
		_, err = c.withDefaults()
		require.ErrorContains(t, err, "Config."+field)
	}
}

// A ledger is what a client without cursors knows of numbered events: which it
// got, and what it was told of the others.
type ledger struct {
	t       *testing.T
	peer    *peer
	next    int    // the number after the last one it got
	got     uint64 // events
	dropped uint64 // as told last
	ended   int    // how often its subscription was ended
	first   bool   // of a subscription: what was before it is not known
}

// read reads one message. Only where something was said may a number be
// missing; after its end the subscription is made again, as CometBFT's Go client
// does.
func (l *ledger) read() (last bool) {
	l.t.Helper()
	var m struct {
		ID     int
		Error  *client.RPCError
		Result struct {
			Data    Data
			Dropped uint64
			Events  map[string][]string
		}
	}
	require.NoError(l.t, json.Unmarshal([]byte(l.peer.receive()), &m))
	if m.Error != nil {
		require.Equal(l.t, -32000, m.Error.Code)
		require.Contains(l.t, m.Error.Data, "out of capacity")
		l.ended++
		l.first = true
		l.peer.send(`{"id":1,"method":"subscribe","params":{"query":"a=1"}}`)
		return false
	}
	if m.Result.Events == nil {
		return false // the answer to subscribe
	}
	l.got++
	n, err := strconv.Atoi(m.Result.Events["n"][0])
	require.NoError(l.t, err)
	if m.Result.Dropped > 0 {
		require.Greater(l.t, m.Result.Dropped, l.dropped, "it is told when the sum has grown")
		l.dropped = m.Result.Dropped
	}
	switch {
	case l.first:
		require.GreaterOrEqual(l.t, n, l.next)
	case l.dropped == 0:
		require.Equal(l.t, l.next, n, "a silent gap")
	default:
		require.LessOrEqual(l.t, uint64(n), l.got-1+l.dropped, "every number before it came or was counted")
	}
	l.next, l.first = n+1, false
	return m.Result.Events["last"] != nil
}

// Whatever the policy, a client that is too slow, and knows nothing of cursors,
// is told of every loss.
func TestASlowClientWithoutCursorsIsToldOfEveryLoss(t *testing.T) {
	for _, policy := range []Overflow{OverflowCancel, OverflowDropOldest, OverflowDropNewest} {
		t.Run(string(policy), func(t *testing.T) {
			r := newRig(t, Config{Buffer: 5, QueueBytes: 1, Overflow: policy, History: history.NewWindow(1, 0)})
			l := &ledger{t: t, peer: r.dialSmall("/websocket", nil)}
			l.peer.subscribe("1", "a=1")
			published := 0
			publish := func(data string, more ...string) {
				events := map[string][]string{"a": {"1"}, "n": {strconv.Itoa(published)}}
				for _, key := range more {
					events[key] = []string{"1"}
				}
				r.publish(data, events)
				published++
			}
			for range 3 { // floods, and in between the client reads a little
				for range 60 {
					publish(large)
				}
				for ended, n := l.ended, 0; n < 3 || policy == OverflowCancel && l.ended == ended; n++ {
					l.read()
				}
				if policy == OverflowCancel {
					l.read() // it is subscribed again
				}
			}
			done := make(chan struct{})
			go func() { // when all is read, one more tells what was dropped
				defer close(done)
				eventually(t, func() bool {
					s := r.bus.Stats().Subscriptions
					return len(s) == 1 && s[0].Depth == 0
				}, "it is read")
				publish("", "last")
			}()
			for !l.read() {
			}
			<-done
			if policy == OverflowCancel {
				require.Positive(t, l.ended)
				return
			}
			require.Positive(t, l.dropped)
			require.EqualValues(t, published, l.got+l.dropped, "each was delivered or counted, once")
		})
	}
}

// deepest returns how many messages wait in the fullest buffer.
func (r *rig) deepest() (n int) {
	for _, s := range r.bus.Stats().Subscriptions {
		n = max(n, s.Depth)
	}
	return n
}

// A peer that stalls in the middle of it gets a run without holes, and then
// every id is told, before the close; never 1000.
func TestAClientThatStallsSeesNoSilentGap(t *testing.T) {
	for _, policy := range []Overflow{OverflowCancel, OverflowClose} {
		r := newRig(t, Config{Buffer: 1000, Overflow: policy, WriteTimeout: 200 * time.Millisecond})
		p := r.dialSmall("/websocket", nil)
		p.subscribe("1", "a=1")
		p.subscribe("2", "a='1'")
		const small = 1000 // bytes: frames end within a Write, so that the farewell fits behind one
		data, published := strings.Repeat("x", small), 0
		for r.server.Stats().Stalls == 0 {
			for range 100 - min(100, r.deepest()/10) { // until the peer stalls, not until a buffer overflows
				r.publish(data, map[string][]string{"a": {"1"}, "n": {strconv.Itoa(published)}})
				published++
			}
			time.Sleep(time.Millisecond) // the kernel's buffers fill in its own time
		}
		next, told := map[int]int{}, map[int]bool{}
		code, _, messages := p.closed()
		require.Equal(t, websocket.CloseTryAgainLater, code, "the farewell comes when the peer reads at the last moment")
		for _, payload := range messages {
			var m struct {
				ID     int
				Error  *client.RPCError
				Result struct{ Events map[string][]string }
			}
			require.NoError(t, json.Unmarshal([]byte(payload), &m))
			require.False(t, told[m.ID], "nothing comes after the end")
			if m.Error != nil {
				told[m.ID] = true
				continue
			}
			require.Equal(t, []string{strconv.Itoa(next[m.ID])}, m.Result.Events["n"])
			next[m.ID]++
		}
		require.Equal(t, map[int]bool{1: true, 2: true}, told, "every id, before the close")
	}
}
