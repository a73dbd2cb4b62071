package stream

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// end has an administrator end the only subscription there is.
func (r *rig) end(reason string) {
	r.t.Helper()
	eventually(r.t, func() bool { return len(r.server.Subscriptions()) == 1 }, "subscribed")
	require.NoError(r.t, r.server.EndSubscription(r.server.Subscriptions()[0].ID, reason))
}

// Whatever a client speaks, it is given the administrator's reason, and no dead
// connection is left.
func TestAnAdministratorEndsWhateverIsSubscribed(t *testing.T) {
	t.Run("JSON-RPC", func(t *testing.T) {
		r := newRig(t, Config{})
		p := r.dial()
		p.subscribe("1", "a=1")
		r.end("enough")
		require.Contains(t, p.receive(), `"data":"subscription was canceled (reason: enough)"`)
		p.subscribe("2", "a=1")
	})
	t.Run("Server-Sent Events", func(t *testing.T) {
		r := newRig(t, Config{})
		lines, _ := r.openEvents("a=1", "")
		r.end("enough")
		require.Equal(t, "event: end", <-lines)
		require.Equal(t, `data: {"reason":"enough"}`, <-lines)
		require.Empty(t, <-lines)
		_, more := <-lines
		require.False(t, more, "the response ends")
	})
	t.Run("topic", func(t *testing.T) {
		r := newRig(t, Config{})
		ws, err := dialTopic(t, r, "/t", RoleSubscriber)
		require.NoError(t, err)
		r.end("enough")
		code, reason, _ := (&peer{t, ws}).closed()
		require.Equal(t, websocket.ClosePolicyViolation, code)
		require.Equal(t, "enough", reason)
		eventually(t, func() bool { return r.server.Stats().Connections == 0 }, "it is forgotten")
	})
}

// An administrator sees who is behind each subscription.
func TestSubscriptionsNameTheirClientsWhateverTheySpeak(t *testing.T) {
	r := newRig(t, Config{})
	r.dial().subscribe("1", "a=1")
	r.openEvents("b=1", "")
	_, err := dialTopic(t, r, "/t", RoleSubscriber)
	require.NoError(t, err)
	for _, line := range r.server.Subscriptions() {
		require.Equal(t, "127.0.0.1", line.Remote, "%+v", line)
	}
	require.Len(t, r.server.Subscriptions(), 3)
}

// A drip is a connection that takes a byte each time and then makes its writer
// wait until the deadline.
type drip struct {
	recorder
	deadline time.Time
}

func (d *drip) SetWriteDeadline(t time.Time) error {
	d.deadline = t
	return nil
}

func (d *drip) Write(b []byte) (int, error) {
	time.Sleep(time.Until(d.deadline))
	n, _ := d.recorder.Write(b[:1])
	if n < len(b) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// A reader that is slow but reads is not cut in the middle of a write.
func TestASlowReaderIsNotCutInTheMiddleOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &drip{}
		w := newTestWriter(conn)
		require.NoError(t, w.send(frame{opcode: opText, tail: []byte("a message of 31 bytes, all told")}, nil))
		frames, err := parseFrames(conn.bytes)
		require.NoError(t, err)
		require.Equal(t, "a message of 31 bytes, all told", frames[0].payload)
		require.Zero(t, w.counts.stalls.Load())
	})
}

// A subscription that matches rarely knows where it is: it comes back without a
// gap, though the history no longer has what was there when it began.
func TestARareSubscriptionComesBackWithoutAFalseGap(t *testing.T) {
	newRig := func(t *testing.T) *rig {
		return newRig(t, Config{History: history.NewWindow(10, 0), Heartbeat: 20 * time.Millisecond})
	}
	place := func(line string) history.Cursor {
		at, err := history.ParseCursor(line)
		require.NoError(t, err)
		return at
	}
	t.Run("JSON-RPC", func(t *testing.T) {
		r := newRig(t)
		p := r.dial()
		p.call(`{"id":1,"method":"subscribe","params":{"query":"rare=1","after":""}}`)
		r.publishNumbers(0, 100)
		last := ""
		for last == "" || place(last).Major < 99 {
			_, rest, ok := strings.Cut(p.receive(), `"result":{"query":"rare=1","cursor":"`)
			require.True(t, ok)
			last = rest[:history.CursorLength]
		}
		p.ws.Close()
		r.publish("x", map[string][]string{"rare": {"1"}})
		back := r.dial()
		back.call(`{"id":1,"method":"subscribe","params":{"query":"rare=1","after":"` + last + `"}}`)
		first := back.receive()
		require.Contains(t, first, `"value":"x"`)
		require.NotContains(t, first, "gap")
	})
	t.Run("Server-Sent Events", func(t *testing.T) {
		r := newRig(t)
		lines, stop := r.openEvents("rare=1", "")
		r.publishNumbers(0, 100)
		last := ""
		for last == "" || place(last).Major < 99 {
			if id, ok := strings.CutPrefix(<-lines, "id: "); ok {
				last = id
			}
		}
		stop()
		r.publish("x", map[string][]string{"rare": {"1"}})
		lines, _ = r.openEvents("rare=1", last)
		require.Contains(t, <-lines, `"value":"x"`)
	})
}

// What is published before the first event of a stream is not lost when the
// client comes back.
func TestAnEventStreamTellsItsPlaceBeforeTheFirstEvent(t *testing.T) {
	r := newRig(t, Config{})
	r.publishNumbers(0, 3)
	request := r.http.URL + "/events?query=n+EXISTS"
	place := r.firstLine(request)
	require.Equal(t, "id: "+r.server.config.History.Cursor(3).String(), place)
	r.publishNumbers(3, 4)
	lines, _ := r.openEvents("n EXISTS", strings.TrimPrefix(place, "id: "))
	require.Contains(t, <-lines, `"value":3`)
}

// firstLine returns the first line of a response and leaves.
func (r *rig) firstLine(url string) string {
	r.t.Helper()
	response, err := http.Get(url)
	require.NoError(r.t, err)
	defer response.Body.Close()
	line, _, err := bufio.NewReader(response.Body).ReadLine()
	require.NoError(r.t, err)
	return string(line)
}

// A heartbeat never names a place that a match before it has not been sent to:
// whoever comes back after it would miss it.
func TestAHeartbeatIsNotAheadOfWhatIsDelivered(t *testing.T) {
	r := newRig(t, Config{Heartbeat: time.Millisecond})
	lines, _ := r.openEvents("n EXISTS", "")
	release := make(chan struct{})
	seen := make(chan struct{})
	r.bus.Observe(func(pubsub.Message) { // after the server has seen it, before it is delivered
		close(seen)
		<-release
	})
	go r.publishNumbers(0, 1)
	<-seen
	for range 400 { // more heartbeats than were on their way
		if id, ok := strings.CutPrefix(<-lines, "id: "); ok {
			at, err := history.ParseCursor(id)
			require.NoError(t, err)
			if at.Major != 0 {
				close(release)
				t.Fatalf("%s is told before publication 1 is delivered", id)
			}
		}
	}
	close(release)
	for !strings.HasPrefix(<-lines, "data: ") {
	}
}

// newTestOutlet returns an outlet for a = 1 with a buffer of two, whose pump
// does not run, and what it writes to.
func (r *rig) newTestOutlet(query string, f framing) (*outlet, *recorder) {
	r.t.Helper()
	v, conn, c := r.server.newVisit(httptest.NewRequest(http.MethodGet, "/", nil)), &recorder{}, new(connection)
	c.init(r.t.Context(), "test", v)
	c.w.init(conn, time.Second, 1<<20, &r.server.queued, &r.server.writes)
	q, err := r.server.parse(query)
	require.NoError(r.t, err)
	o, err := c.open(wanted{key: query, query: query, narrow: q, capacity: 2, framing: f})
	require.NoError(r.t, err)
	r.t.Cleanup(c.drop)
	return o, conn
}

// framings are those that have heartbeats.
func (r *rig) framings() map[string]framing {
	return map[string]framing{
		"JSON-RPC":           newRPCFraming(asked{id: []byte("1"), cursors: true}, plain, &r.server.encodings, false),
		"Server-Sent Events": &eventFraming{&r.server.encodings, nil},
	}
}

// A client that stalls, is cut, and then reads all that waits for it was sent
// nothing of what came since: a heartbeat then would have it go on after that.
func TestNoHeartbeatComesAfterTheEndOfASubscription(t *testing.T) {
	for name, end := range map[string]struct {
		because func(r *rig, o *outlet)
		err     error
	}{
		"cut": {func(r *rig, o *outlet) {
			for range 3 {
				r.publish(1, map[string][]string{"a": {"1"}})
			}
		}, pubsub.ErrOutOfCapacity},
		"administrator": {func(r *rig, o *outlet) {
			require.NoError(r.t, r.server.EndSubscription(o.live.Load().ID(), "enough"))
		}, pubsub.ErrUnsubscribed},
		"token": {func(_ *rig, o *outlet) { o.end(endRights) }, pubsub.ErrUnsubscribed},
		"expressions": {func(r *rig, o *outlet) {
			r.publish(1, map[string][]string{"a": {strings.Repeat("x", 100_000)}})
		}, pubsub.ErrExpressionBudget},
	} {
		r := newRig(t, Config{Heartbeat: time.Hour}, pubsub.ExpressionBudget(1000))
		for speaks, framing := range r.framings() {
			t.Run(name+" "+speaks, func(t *testing.T) {
				query := "a = '1'"
				if name == "expressions" {
					query = "a MATCHES '(x|y).*z'"
				}
				o, conn := r.newTestOutlet(query, framing)
				live := o.live.Load()
				end.because(r, o)
				for live.Len() > 0 {
					_, err := live.Next(t.Context())
					require.NoError(t, err)
				}
				r.publishNumbers(0, 100)
				eventually(t, func() bool { return r.server.settled().Major > live.After() }, "the server has come further")
				o.expectBeat()
				o.cancelBeat() // it is due, as after a stall
				_, err := o.next(live)
				require.ErrorIs(t, err, end.err)
				o.cancelBeat()
				require.Empty(t, string(conn.bytes))
			})
		}
	}
}
