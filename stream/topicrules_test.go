package stream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/pubclient"
	"github.com/harkbus/pubsub/subclient"
)

func TestTheLastOptionThatIsSetCounts(t *testing.T) {
	first, second := &SubscriptionOptions{MessageBuffer: 1}, &SubscriptionOptions{MessageBuffer: 2}
	upgrader := &websocket.Upgrader{}
	merged := merge([]Options{{Options: first, Upgrader: upgrader}, {Options: second}, {}})
	require.Same(t, second, merged.Options)
	require.Same(t, upgrader, merged.Upgrader)
	merged = merge(nil)
	require.NotNil(t, merged.Options)
	require.NotNil(t, merged.Upgrader)
}

func TestDefaults(t *testing.T) {
	o := &SubscriptionOptions{}
	require.Equal(t, timing{ping: 3500 * time.Millisecond, read: 5 * time.Second, write: 2500 * time.Millisecond, close: 5 * time.Second}, o.timing(false))
	require.Equal(t, 10*time.Second, o.timing(true).write)
	require.Equal(t, 10, o.messageBuffer())

	c, err := Config{}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, []int{100, 5, 900, 200, 512, 1_000_000}, []int{c.MaxClients, c.MaxSubscriptions, c.MaxConnections, c.Buffer, c.MaxQuery, c.MaxFrame})
	require.Equal(t, []int{100, 200, 2000, 500_000_000}, []int{c.MaxExpression, c.MaxExpressions, c.AllExpressions, int(c.ReplaySteps)})
	require.Equal(t, []time.Duration{27 * time.Second, 30 * time.Second, 10 * time.Second}, []time.Duration{c.PingInterval, c.ReadTimeout, c.WriteTimeout})
}

func TestEventsHaveTheirNumbersOnTheWire(t *testing.T) {
	for number, event := range map[int]EventType{1: EventTypePublisherLeft, 2: EventTypePublisherJoined, 3: EventTypeSubscriberLeft, 4: EventTypeSubscriberJoined, 5: EventTypeWebsocketUpgradeFailed, 6: EventTypeBadHTTPHeaders} {
		b, err := json.Marshal(Event{"ann-1", "/a", event})
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"clientID":"ann-1","subscriptionTopic":"/a","type":%d}`, number), string(b))
	}
}

// Of the query string of a topic nothing but query= is read.
func TestATopicIsItsPathWhateverIsAskedOfIt(t *testing.T) {
	r := newRig(t, Config{})
	sub, _, err := subclient.New(t.Context(), nil, r.topicURL("/t?x=1"))
	require.NoError(t, err)
	defer sub.Close()
	pub, _, err := pubclient.New(t.Context(), r.topicURL("/t?y=2"))
	require.NoError(t, err)
	defer pub.Close()
	eventually(t, func() bool { return r.server.Stats().Topics == 1 }, "both are there, of one topic")
	require.NoError(t, pub.PublishText("x"))
	m, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "x", string(m.Data))
}

func TestPublishersGetNothing(t *testing.T) {
	r := newRig(t, Config{})
	pub, err := dialTopic(t, r, "/t", RolePublisher)
	require.NoError(t, err)
	other, err := dialTopic(t, r, "/t", RolePublisher)
	require.NoError(t, err)
	for _, ws := range []*websocket.Conn{pub, other} {
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("x")))
	}
	drained := make(chan error)
	go func() { drained <- r.server.Shutdown(t.Context()) }()
	for _, ws := range []*websocket.Conn{pub, other} {
		_, message, err := ws.ReadMessage()
		require.True(t, websocket.IsCloseError(err, websocket.CloseServiceRestart), "%q, %v", message, err)
	}
	require.NoError(t, <-drained)
}

// With a role any path is a topic, also those that mean something without.
func TestARoleMakesATopicOfAnyPath(t *testing.T) {
	r := newRig(t, Config{})
	for i, path := range []string{"/", "/websocket", "/events", "/publish", "/metrics"} {
		_, err := dialTopic(t, r, path, RoleSubscriber)
		require.NoError(t, err, path)
		eventually(t, func() bool { return r.server.Stats().Topics == i+1 }, path)
	}
}

func TestTheCarrierIsChosenByServerAndConnection(t *testing.T) {
	r := newRig(t, Config{Carrier: true})
	carried, plain := r.dial(), r.dial("/websocket?carrier=off")
	for _, p := range []*peer{carried, plain} {
		p.subscribe("1", "a=1")
	}
	r.publish("x", map[string][]string{"a": {"1"}})
	require.Contains(t, carried.receive(), `"type":"tendermint/event/ProposalString","value":"{\"type\":\"hark/json\",\"value\":\"x\"}"`)
	require.Contains(t, plain.receive(), `"data":{"type":"hark/json","value":"x"}`)
	_, response, err := websocket.DefaultDialer.Dial(r.url("/websocket?carrier=perhaps"), nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}

// A publication that the bus does not take in time is answered with 503: the
// client may try again.
func TestPublishingTakesNoLongerThanItsTimeout(t *testing.T) {
	bus := pubsub.NewServer() // not started: what is published waits in its queue
	server, err := New(bus, Config{PublishTimeout: 20 * time.Millisecond})
	require.NoError(t, err)
	web := httptest.NewServer(server)
	defer web.Close()
	body := strings.NewReader(strings.Repeat(`{"data":1,"events":{"a":"1"}}`+"\n", 2000))
	response, err := http.Post(web.URL+"/publish", "application/x-ndjson", body)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	var answer published
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Contains(t, answer.Error, fmt.Sprintf("line %d: ", answer.Published+1), "those before it are accepted")
	require.NoError(t, server.Shutdown(t.Context()))
}

// The publishers of large messages wait for few of them to be read.
func TestPublishersWaitForSubscribersByBytes(t *testing.T) {
	minute := time.Minute
	r := newRig(t, Config{Topics: &SubscriptionOptions{SubscriberWriteTimeout: &minute, PongDeadline: &minute}})
	slow := r.dialSmall("/t", http.Header{RoleHeader: {RoleSubscriber}})
	pub, err := dialTopic(t, r, "/t", RolePublisher)
	require.NoError(t, err)
	const n, size = 14, 2 << 20
	sent := make(chan error, 1)
	go func() {
		for range n {
			if err := pub.WriteMessage(websocket.BinaryMessage, make([]byte, size)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	topic := r.server.topics.find("/t")
	eventually(t, func() bool { return topic.waiting.Load() == 1 }, "the publisher waits")
	topic.mu.Lock()
	for s := range topic.subscribers {
		require.LessOrEqual(t, s.live.Len(), 1, "beside the message that is being written, and the next")
	}
	topic.mu.Unlock()
	for range n {
		require.NoError(t, slow.ws.SetReadDeadline(time.Now().Add(patience)))
		_, payload, err := slow.ws.ReadMessage()
		require.NoError(t, err)
		require.Len(t, payload, size)
	}
	require.NoError(t, <-sent)
}
