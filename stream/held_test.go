package stream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// held returns what clients keep that are not about to end.
func (r *rig) waiting() int64 {
	h := &r.server.held
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.clear()
	return h.countLocked(r.server, false)
}

// smallTopics lets tests have few bytes of everything.
var smallTopics = &SubscriptionOptions{MaxMessage: 1 << 20}

// Clients that do not read keep a bounded number of bytes, however many buffers
// these wait in: those who hold most end, and whoever reads notices nothing.
func TestWhatClientsDoNotReadIsBoundedForAllTogether(t *testing.T) {
	const limit = 4 << 20
	r := newRig(t, Config{HeldBytes: limit, Buffer: 1000, Topics: smallTopics})
	for i := range 4 {
		slow := r.dialSmall("/websocket", nil)
		slow.subscribe("1", fmt.Sprintf("a=%d", i))
		slow.subscribe("2", fmt.Sprintf("a=%d AND b=1", i))
	}
	reader := r.dial()
	reader.subscribe("1", "a=0")
	for range 60 {
		for i := range 4 {
			r.publish(large, map[string][]string{"a": {fmt.Sprint(i)}, "b": {"1"}})
			require.LessOrEqual(t, r.waiting(), int64(limit+limit/64+2*len(large)))
		}
		require.Contains(t, reader.receive(), `"id":1`)
	}
	require.Positive(t, r.server.held.ended.Load())
	for _, l := range r.server.Stats().Limits {
		if l.Name == "held_bytes" {
			require.EqualValues(t, limit, l.Max)
			require.Positive(t, l.RefusedTotal)
			return
		}
	}
	require.Fail(t, "the limit is in the statistics")
}

// One that ends since it holds too much gets a run without holes, is notified
// why, and goes on from its cursor.
func TestWhoHoldsTooMuchIsNotifiedAndResumesWithoutLoss(t *testing.T) {
	r := newRig(t, Config{HeldBytes: 2 << 20, Buffer: 1000, Topics: smallTopics})
	r.server.held.told = patience
	p := r.dialSmall("/websocket", nil)
	require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"a=1","after":""}}`), "cursor")
	var m struct {
		Result struct {
			Cursor string
			Events map[string][]string
		}
	}
	cursor, next := "", 0
	take := func(message string) {
		m.Result.Events = nil
		require.NoError(t, json.Unmarshal([]byte(message), &m))
		require.Equal(t, []string{fmt.Sprint(next)}, m.Result.Events["n"])
		cursor, next = m.Result.Cursor, next+1
	}
	const n = 60
	for i := range n {
		r.publish(large, map[string][]string{"a": {"1"}, "n": {fmt.Sprint(i)}})
		if i == 0 {
			take(p.receive())
		}
	}
	require.EqualValues(t, 1, r.server.held.ended.Load())
	code, reason, messages := p.closed()
	require.Equal(t, websocket.CloseTryAgainLater, code)
	require.Equal(t, endHeld.reason, reason)
	last := len(messages) - 1
	require.Contains(t, messages[last], `"error":{"code":-32000`)
	require.Contains(t, messages[last], endHeld.reason)
	for _, message := range messages[:last] {
		take(message)
	}
	require.Less(t, next, n)
	p = r.dial()
	require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"a=1","after":"`+cursor+`"}}`), "cursor")
	for next < n {
		take(p.receive())
	}
}

// A topic's subscribers and event streams end like others.
func TestTopicsAndEventStreamsHoldNoMoreThanOthers(t *testing.T) {
	for _, path := range []string{"/t", "/events?query=topic='/t'"} {
		r := newRig(t, Config{HeldBytes: 2 << 20, Buffer: 1000, Topics: smallTopics})
		r.server.held.told = patience
		var topic *websocket.Conn
		var events io.ReadCloser
		if path == "/t" {
			topic = r.dialSmall(path, http.Header{RoleHeader: {RoleSubscriber}}).ws
		} else {
			response, err := http.Get(r.http.URL + path)
			require.NoError(t, err)
			events = response.Body
		}
		eventually(t, func() bool { return r.bus.NumClients() == 1 }, "subscribed")
		message := TopicMessage{Binary: true, Payload: []byte(large)}
		for range 200 {
			r.publish(message, map[string][]string{TopicKey: {"/t"}})
		}
		require.Positive(t, r.server.held.ended.Load(), path)
		if topic != nil {
			code, reason, _ := (&peer{t, topic}).closed()
			require.Equal(t, websocket.CloseTryAgainLater, code)
			require.Equal(t, endHeld.reason, reason)
			continue
		}
		text, err := io.ReadAll(events)
		require.NoError(t, err)
		events.Close()
		http.DefaultClient.CloseIdleConnections()
		require.True(t, strings.HasSuffix(string(text), "event: end\ndata: {\"reason\":\""+endHeld.reason+"\"}\n\n"))
	}
}

// What waits for many counts once.
func TestAMessageThatManyWaitForIsHeldOnce(t *testing.T) {
	const n = 30
	r := newRig(t, Config{HeldBytes: (n + 10) * len(large), Buffer: 1000, Topics: smallTopics})
	for range 20 {
		r.dialSmall("/t", http.Header{RoleHeader: {RoleSubscriber}})
	}
	eventually(t, func() bool { return r.bus.NumClients() == 20 }, "subscribed")
	for range n {
		r.publish(TopicMessage{Binary: true, Payload: []byte(large)}, map[string][]string{TopicKey: {"/t"}})
	}
	require.Zero(t, r.server.held.ended.Load())
}

// Clients that resume and do not read hold frames, and nothing need be published
// for that.
func TestWhoResumesAndDoesNotReadHoldsABoundedNumberOfBytes(t *testing.T) {
	const limit = 4 << 20
	r := newRig(t, Config{HeldBytes: limit, Topics: smallTopics})
	r.flood(1)
	start := r.server.config.History.Cursor(0).String()
	r.flood(60)
	for range 12 {
		p := r.dialSmall("/websocket", nil)
		for i := range 5 {
			p.send(fmt.Sprintf(`{"id":%d,"method":"subscribe","params":{"query":"a=1 AND a<%d","after":"%s"}}`, i, i+2, start))
		}
	}
	eventually(t, func() bool { return r.server.held.ended.Load() > 0 }, "some end")
	eventually(t, func() bool { return r.waiting() <= limit+limit/64+5*int64(len(large)) }, "no more is held")
}

// What is counted is never below what is held, nor above what was published
// since the oldest message that waits.
func TestTheCountOfWhatIsHeldIsABound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := sizes{step: 100}
		published := rapid.SliceOfN(rapid.Int64Range(0, 300), 1, 1500).Draw(t, "sizes")
		for i, bytes := range published {
			l.note(uint64(i+1), bytes)
		}
		l.addUp()
		after := rapid.IntRange(0, len(published)).Draw(t, "after")
		waiting := rapid.SliceOfDistinct(rapid.IntRange(after, len(published)), rapid.ID).Draw(t, "waiting")
		n, held := 0, int64(0)
		for _, i := range waiting {
			if i < len(published) {
				held += published[i]
				n++
			}
		}
		first := l.after(uint64(after))
		require.GreaterOrEqual(t, l.atMost(first, n), held)
		since := int64(0)
		for _, bytes := range published[after:] {
			since += bytes
		}
		if bytes, _ := l.since(first); first != beforeAll {
			require.LessOrEqual(t, bytes, since+l.step)
		} else {
			require.Greater(t, since, maxRuns/2*l.step)
		}
	})
}

// A parting is a transport that says when it is ended.
type parting struct{ said chan ending }

func (p parting) refuse()          {}
func (p parting) goodbye(e ending) { p.said <- e }
func (p parting) cut()             {}

// An outlet that ends by itself when its connection does says why before the
// goodbye.
func TestTheGoodbyeComesAfterWhatEndsAtTheSameTime(t *testing.T) {
	r := newRig(t, Config{})
	c := &connection{transport: parting{make(chan ending, 1)}}
	c.init(t.Context(), "test", r.server.newVisit(httptest.NewRequest(http.MethodGet, "/", nil)))
	defer c.cancel()
	o, err := c.open(wanted{key: "a", narrow: query.MustParse("a=1"), overflow: OverflowCancel, capacity: 1})
	require.NoError(t, err)
	said := c.begone(o)
	c.forget(o)
	o.leaveBus()
	var ended sync.WaitGroup
	ended.Go(func() { c.shutdown(endDrain) })
	eventually(t, func() bool { return o.ending.Load() != nil }, "it is known")
	require.Empty(t, c.transport.(parting).said)
	said()
	close(o.done)
	require.Equal(t, endDrain, <-c.transport.(parting).said)
	ended.Wait()
	require.Empty(t, c.allAndGoing())
}

// Counting what is held looks at every connection, so that asking again at once
// gets the same count.
func TestWhatIsHeldIsCountedTenTimesASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := pubsub.NewServer()
		server, err := New(bus, Config{HeldBytes: 64 << 20})
		require.NoError(t, err)
		defer func() { require.NoError(t, server.Shutdown(t.Context())) }()
		require.Zero(t, server.held.used(server))
		server.held.bytes = 42 // whatever it is by now
		time.Sleep(countedFor - 1)
		require.EqualValues(t, 42, server.held.used(server))
		time.Sleep(time.Nanosecond)
		require.Zero(t, server.held.used(server))
	})
}

// What waits for a connection that is being ended is dropped: a heartbeat would
// say that the client has it.
func TestAConnectionThatIsEndedHasNoHeartbeat(t *testing.T) {
	r := newRig(t, Config{Heartbeat: time.Hour})
	for name, framing := range r.framings() {
		t.Run(name, func(t *testing.T) {
			o, conn := r.newTestOutlet("a=1 AND b='"+name+"'", framing)
			live, at := o.live.Load(), o.at
			r.publishNumbers(0, 3)
			eventually(t, func() bool { return r.server.settled().Major > at.Major }, "there is a place to move to")
			o.conn.shedding.Store(true)
			o.expectBeat()
			require.NoError(t, o.heartbeat(live))
			o.cancelBeat()
			require.Equal(t, at, o.at)
			require.Empty(t, string(conn.bytes))
		})
	}
}
