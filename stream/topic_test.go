package stream

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/clients"
	"github.com/harkbus/pubsub/internal/wire"
	"github.com/harkbus/pubsub/pubclient"
	"github.com/harkbus/pubsub/subclient"
)

func (r *rig) topicURL(path string) *url.URL {
	u, err := url.Parse(r.url(path))
	require.NoError(r.t, err)
	return u
}

func TestMessagesAreRelayedAsReceived(t *testing.T) {
	r := newRig(t, Config{})
	u := r.topicURL("/a/b")
	sub, _, err := subclient.New(t.Context(), nil, u)
	require.NoError(t, err)
	defer sub.Close()
	pub, _, err := pubclient.New(t.Context(), u, clients.Options{ClientName: "ann"})
	require.NoError(t, err)
	defer pub.Close()
	for i := range 100 {
		if i%2 == 0 {
			require.NoError(t, pub.Publish([]byte{byte(i), 0xff}))
		} else {
			require.NoError(t, pub.PublishText(fmt.Sprint(i)))
		}
	}
	for i := range 100 {
		m, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, i%2 == 1, m.Text)
		if m.Text {
			require.Equal(t, fmt.Sprint(i), string(m.Data))
		}
	}
}

func TestATopicIsTheBus(t *testing.T) {
	r := newRig(t, Config{})
	sub, _, err := subclient.New(t.Context(), nil, r.topicURL("/a%20b/c?query=publisher+STARTSWITH+'ann'+OR+x+EXISTS"))
	require.NoError(t, err)
	defer sub.Close()
	json := r.dial()
	json.subscribe("1", "topic CONTAINS 'b/c'")

	for _, name := range []string{"bob", "ann"} {
		pub, _, err := pubclient.New(t.Context(), r.topicURL("/a%20b/c"), clients.Options{ClientName: name})
		require.NoError(t, err)
		require.NoError(t, pub.PublishText("from "+name))
		require.Contains(t, json.receive(), `"value":"from `+name+`"},"events":{"publisher":["`+name+"-")
		require.NoError(t, pub.Close())
	}
	m, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "from ann", string(m.Data), "?query= narrows")

	r.publish(map[string]int{"n": 1}, map[string][]string{TopicKey: {"/a%20b/c"}, "x": {"1"}})
	m, err = sub.Next(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"type":"hark/json","value":{"n":1}}`, string(m.Data), "whoever publishes with the topic reaches it")

	status, body := r.post("/publish", "application/json", `{"topic":"/a%20b/c","data":{"m":2},"events":{"x":"1"}}`)
	require.Equal(t, 200, status, body)
	m, err = sub.Next(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"m":2}`, string(m.Data))
}

func TestEventsTellWhoComesAndGoes(t *testing.T) {
	events := make(chan Event, 10)
	r := newRig(t, Config{Topics: &SubscriptionOptions{Events: events}})
	pub, err := dialTopic(t, r, "/x", RolePublisher)
	require.NoError(t, err)
	joined := <-events
	require.Equal(t, EventTypePublisherJoined, joined.Type)
	require.Regexp(t, `^test-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, joined.ClientID)
	sub, err := dialTopic(t, r, "/x", RoleSubscriber)
	require.NoError(t, err)
	require.Equal(t, EventTypeSubscriberJoined, (<-events).Type)
	require.Equal(t, 1, r.server.Stats().Topics)

	// an abrupt loss of the connection, as of a cable
	require.NoError(t, pub.UnderlyingConn().(*net.TCPConn).SetLinger(0))
	require.NoError(t, pub.UnderlyingConn().Close())
	require.Equal(t, Event{joined.ClientID, "/x", EventTypePublisherLeft}, <-events)
	require.NoError(t, sub.UnderlyingConn().Close())
	require.Equal(t, EventTypeSubscriberLeft, (<-events).Type)
	eventually(t, func() bool { return r.server.Stats().Topics == 0 }, "the topic goes with its last client")

	_, err = dialTopic(t, r, "/x", "nobody")
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, EventTypeBadHTTPHeaders, (<-events).Type)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.http.URL+"/x", nil)
	require.NoError(t, err)
	request.Header.Set(RoleHeader, RolePublisher)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.Equal(t, EventTypeWebsocketUpgradeFailed, (<-events).Type)
}

// The seed's server died 0.7 times the pong deadline after anybody came.
func TestTopicsOutliveTheirPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		pipes := newPipes()
		web := &http.Server{Handler: WebSocketHandler(ctx)}
		go func() { _ = web.Serve(pipes) }()
		dialer := &websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
			conn, err := pipes.dial()
			return newBuffered(conn), err
		}}
		u := &url.URL{Scheme: "ws", Host: "pipe", Path: "/x"}
		sub, _, err := subclient.New(ctx, nil, u, clients.Options{WebsocketDialer: dialer})
		require.NoError(t, err)
		pub, _, err := pubclient.New(ctx, u, clients.Options{WebsocketDialer: dialer})
		require.NoError(t, err)
		for n := range 20 {
			time.Sleep(clients.PongDeadline)
			require.NoError(t, pub.PublishText(fmt.Sprint(n)))
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(n), string(m.Data))
		}
		require.NoError(t, pub.Close())
		require.NoError(t, pub.Error())
		require.NoError(t, sub.Close())
		cancel()
		require.NoError(t, web.Close())
	})
}

// A bufferedConn takes what is written at once, as a network does. Two ends of a
// pipe that answer each other's pings at the same instant would wait for one
// another.
type bufferedConn struct {
	net.Conn
	written chan []byte
	closed  chan struct{}
	once    sync.Once
}

func newBuffered(conn net.Conn) *bufferedConn {
	c := &bufferedConn{Conn: conn, written: make(chan []byte, 1000), closed: make(chan struct{})}
	go func() {
		defer c.Conn.Close()
		for {
			select {
			case b := <-c.written:
				if _, err := c.Conn.Write(b); err != nil {
					return
				}
			case <-c.closed:
				return
			}
		}
	}()
	return c
}

func (c *bufferedConn) Write(b []byte) (int, error) {
	select {
	case c.written <- append([]byte(nil), b...):
		return len(b), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

func (c *bufferedConn) Close() error {
	c.once.Do(func() {
		time.Sleep(time.Millisecond) // what was written is on its way
		close(c.closed)
	})
	return c.Conn.Close()
}

// The seed reordered 4,400 of 50,000 messages, with a goroutine for each.
func TestATopicKeepsOrderWithoutAGoroutineForEachMessage(t *testing.T) {
	r := newRig(t, Config{})
	u := r.topicURL("/ordered")
	const n, subscribers = 50_000, 3
	var readers sync.WaitGroup
	for range subscribers {
		sub, _, err := subclient.New(t.Context(), nil, u)
		require.NoError(t, err)
		readers.Go(func() {
			defer sub.Close()
			for i := range n {
				m, err := sub.Next(t.Context())
				if err != nil || string(m.Data) != fmt.Sprint(i) {
					t.Errorf("message %d is %q, %v", i, m.Data, err)
					return
				}
			}
		})
	}
	pub, _, err := pubclient.New(t.Context(), u)
	require.NoError(t, err)
	defer pub.Close()
	before, most := runtime.NumGoroutine(), 0
	for i := range n {
		require.NoError(t, pub.PublishText(fmt.Sprint(i)))
		if i%1000 == 0 {
			most = max(most, runtime.NumGoroutine())
		}
	}
	readers.Wait()
	require.Less(t, most-before, 50, "others may still be ending")
}

// Subscribers that are slow, but read, lose nothing: publishers wait.
func TestPublishersWaitForSlowSubscribers(t *testing.T) {
	r := newRig(t, Config{QueueBytes: 1000})
	u := r.topicURL("/slow")
	sub, _, err := subclient.New(t.Context(), nil, u)
	require.NoError(t, err)
	defer sub.Close()
	pub, _, err := pubclient.New(t.Context(), u)
	require.NoError(t, err)
	defer pub.Close()
	const n = 3000
	message := strings.Repeat("x", 10_000)
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for i := range n {
			if err := pub.PublishText(fmt.Sprint(i, message)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range n {
		m, err := sub.Next(t.Context())
		require.NoError(t, err, "after %d", i)
		require.True(t, strings.HasPrefix(string(m.Data), fmt.Sprint(i, "x")), "message %d", i)
	}
	publisher.Wait()
}

// One that does not read is closed after SubscriberWriteTimeout, with a reason
// if it can still be told, and the publishers go on.
func TestASubscriberThatDoesNotReadIsClosed(t *testing.T) {
	events := make(chan Event, 10)
	timeout := 300 * time.Millisecond
	r := newRig(t, Config{Topics: &SubscriptionOptions{SubscriberWriteTimeout: &timeout, CloseDeadline: &timeout, Events: events}})
	r.dialSmall("/stuck", http.Header{RoleHeader: {RoleSubscriber}})
	pub, _, err := pubclient.New(t.Context(), r.topicURL("/stuck"))
	require.NoError(t, err)
	defer pub.Close()
	for range 300 {
		require.NoError(t, pub.PublishText(large))
	}
	for e := range events {
		if e.Type == EventTypeSubscriberLeft {
			break
		}
	}
	require.EqualValues(t, 1, r.server.Stats().Stalls)
}

// A message that is too large is the publisher's error, and its connection
// stays. Who does not ask is closed with 1009, and the reason says the limit.
func TestAMessageThatIsTooLargeIsAnErrorOfPublish(t *testing.T) {
	r := newRig(t, Config{Topics: &SubscriptionOptions{MaxMessage: 1000}})
	sub, _, err := subclient.New(t.Context(), nil, r.topicURL("/x"))
	require.NoError(t, err)
	defer sub.Close()
	pub, _, err := pubclient.New(t.Context(), r.topicURL("/x"))
	require.NoError(t, err)
	defer pub.Close()
	var tooLarge *clients.TooLargeError
	require.ErrorAs(t, pub.Publish(make([]byte, 1001)), &tooLarge)
	require.Equal(t, clients.TooLargeError{Size: 1001, Max: 1000}, *tooLarge)
	require.NoError(t, pub.Publish(make([]byte, 1000)))
	m, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, m.Data, 1000)

	other, err := dialTopic(t, r, "/x", RolePublisher)
	require.NoError(t, err)
	require.NoError(t, other.WriteMessage(websocket.BinaryMessage, make([]byte, 1001)))
	code, reason, _ := (&peer{t, other}).closed()
	require.Equal(t, websocket.CloseMessageTooBig, code)
	require.Contains(t, reason, "1000 bytes")
}

// Topics take messages that JSON-RPC would not.
func TestTopicsTakeLargeMessages(t *testing.T) {
	long := time.Minute // a message has it to come, whatever else the machine does
	r := newRig(t, Config{Topics: &SubscriptionOptions{PongDeadline: &long, SubscriberWriteTimeout: &long}})
	sub, _, err := subclient.New(t.Context(), nil, r.topicURL("/x"), clients.Options{PongDeadline: &long})
	require.NoError(t, err)
	defer sub.Close()
	pub, _, err := pubclient.New(t.Context(), r.topicURL("/x"), clients.Options{PongDeadline: &long})
	require.NoError(t, err)
	defer pub.Close()
	go func() { _ = pub.Publish(make([]byte, 20<<20)) }()
	m, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, m.Data, 20<<20)
}

// A client that reconnects is told why it has to.
func TestAClientThatReconnectsIsToldOfAShutdown(t *testing.T) {
	r := newRig(t, Config{})
	told := make(chan error, 100)
	sub, _, err := subclient.New(t.Context(), nil, r.topicURL("/x"), clients.Options{Reconnect: true, OnConnection: func(err error) { told <- err }})
	require.NoError(t, err)
	defer sub.Close()
	require.NoError(t, <-told)
	require.NoError(t, r.server.Shutdown(t.Context()))
	err = <-told
	require.ErrorIs(t, err, clients.ErrClosedByServer)
	require.ErrorContains(t, err, wire.Draining)
	require.ErrorContains(t, <-told, "503")
}

func TestClientsDoNotTouchTheirHeaders(t *testing.T) {
	r := newRig(t, Config{})
	header := http.Header{"X-Mine": {"1"}}
	pub, _, err := pubclient.New(t.Context(), r.topicURL("/x"), clients.Options{InitialHeaders: header, ClientName: "ann"})
	require.NoError(t, err)
	require.NoError(t, pub.Close())
	require.Equal(t, http.Header{"X-Mine": {"1"}}, header)
}

func TestAClientThatReconnects(t *testing.T) {
	r := newRig(t, Config{})
	u := r.topicURL("/x")
	sub, _, err := subclient.New(t.Context(), nil, u, clients.Options{Reconnect: true})
	require.NoError(t, err)
	defer sub.Close()
	pub, _, err := pubclient.New(t.Context(), u, clients.Options{Reconnect: true})
	require.NoError(t, err)
	defer pub.Close()
	for round := range 3 {
		all, _ := r.server.connections()
		for _, c := range all {
			c.kill()
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for got := false; !got; { // what is published before the subscriber is back does not reach it
			require.NoError(t, pub.PublishText(fmt.Sprint(round)))
			short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
			m, err := sub.Next(short)
			stop()
			got = err == nil && string(m.Data) == fmt.Sprint(round)
			require.NoError(t, ctx.Err())
		}
		cancel()
	}
}

func TestAClientEndsWithItsContext(t *testing.T) {
	r := newRig(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	messages := make(chan []byte)
	sub, _, err := subclient.New(ctx, messages, r.topicURL("/x"))
	require.NoError(t, err)
	cancel()
	<-sub.Done()
	require.ErrorIs(t, sub.Error(), context.Canceled)
	_, err = sub.Next(t.Context())
	require.ErrorIs(t, err, context.Canceled)
}

// Also for a client that comes while the handler ends.
func TestTheHandlerEndsWithItsContext(t *testing.T) {
	for range 30 {
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(WebSocketHandler(ctx))
		u, err := url.Parse("ws" + strings.TrimPrefix(server.URL, "http"))
		require.NoError(t, err)
		sub, _, err := subclient.New(t.Context(), nil, u)
		require.NoError(t, err)
		cancel()
		<-sub.Done()
		require.ErrorIs(t, sub.Error(), clients.ErrClosedByServer)
		server.Close()
	}
}

// No client can call itself what another identity is called.
func TestAnIdentityCannotBeTakenAsAName(t *testing.T) {
	r := newRig(t, Config{Identify: func(r *http.Request) (Identity, error) {
		name, _, _ := r.BasicAuth()
		return Identity{Name: name}, nil
	}})
	publishers := make(chan string, 1)
	r.bus.Observe(func(m pubsub.Message) { publishers <- m.Events()[PublisherKey][0] })
	const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
	for who, want := range map[string]string{"mallory": "^mallory-" + uuid + "/alice$", "": "^" + uuid + "/alice$"} {
		request := http.Header{RoleHeader: {RolePublisher}, NameHeader: {"alice"}}
		request.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(who+":x")))
		ws, _, err := websocket.DefaultDialer.Dial(r.url("/a"), request)
		require.NoError(t, err)
		defer ws.Close()
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("hi")))
		require.Regexp(t, want, <-publishers)
	}
	body, err := http.NewRequest(http.MethodPost, r.http.URL+"/publish", strings.NewReader(`{"topic":"/a","data":1}`))
	require.NoError(t, err)
	body.SetBasicAuth("alice", "x")
	body.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Regexp(t, "^alice-"+uuid+"$", <-publishers)
}
