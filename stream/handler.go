package stream

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/wire"
)

// WebSocketHandler serves topics, each path one, over a bus of its own. When
// ctx is done it closes all connections and stops the bus.
//
//	http.ListenAndServe("127.0.0.1:8080", stream.WebSocketHandler(ctx))
//
// There is no limit on the number of connections. Programs that want limits,
// identities or their own bus use [New] and [Server.ServeTopic].
func WebSocketHandler(ctx context.Context, options ...Options) http.HandlerFunc {
	merged := merge(options)
	bus := pubsub.NewServer()
	s, err := New(bus, Config{Topics: merged.Options, MaxConnections: 1 << 20, History: history.None{}})
	if err == nil {
		err = bus.Start()
	}
	if err != nil {
		panic(err) // neither depends on what the caller gave
	}
	s.topicUpgrader = *merged.Upgrader
	context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.Background(), s.topicOptions.timing(false).close)
		defer cancel()
		_ = s.Shutdown(limit)
		_ = bus.Stop()
	})
	return s.ServeTopic
}

// Options configure WebSocketHandler. Of several, the last value that is not
// nil counts.
type Options struct {
	Options  *SubscriptionOptions
	Upgrader *websocket.Upgrader
}

// merge returns the last values that are not nil.
func merge(options []Options) Options {
	merged := Options{Options: &SubscriptionOptions{}, Upgrader: &websocket.Upgrader{}}
	for _, o := range options {
		if o.Options != nil {
			merged.Options = o.Options
		}
		if o.Upgrader != nil {
			merged.Upgrader = o.Upgrader
		}
	}
	return merged
}

// SubscriptionOptions say how topics behave. A field that is nil or zero
// stands for its default.
type SubscriptionOptions struct {
	// CloseDeadline is how long a client gets for its half of a close. Default
	// 5 s.
	CloseDeadline *time.Duration

	// Events is told who comes and goes. What does not fit into the channel is
	// dropped and counted: nobody waits for it.
	Events chan<- Event

	// MessageBuffer is how many messages wait for a subscriber before the
	// publishers of its topic wait. Default 10.
	MessageBuffer uint

	// MaxMessage is the largest message that a publisher may send, in bytes.
	// The clients of this module know it, and Publish returns an error beyond
	// it; the connection of another one is closed with 1009. Default 32 MiB.
	MaxMessage int

	// PongDeadline is how long a client may be silent. Pings are sent at 0.7
	// of it, and a write to a publisher may take 0.5 of it. Default 5 s.
	PongDeadline *time.Duration

	// PublisherBuffer and SubscriberBuffer are here for code that sets them
	// and have no effect: nobody waits to be added to a topic.
	PublisherBuffer  uint
	SubscriberBuffer uint

	// SubscriberWriteTimeout is how long one write to a subscriber may take.
	// After that it is closed, with a reason. Default 10 s.
	SubscriberWriteTimeout *time.Duration
}

// MaxMessageHeader tells clients MaxMessage, in the answer to the upgrade.
const MaxMessageHeader = wire.MaxMessageHeader

func (o *SubscriptionOptions) maxMessage() int {
	if o.MaxMessage <= 0 {
		return defaultTopicMessage
	}
	return o.MaxMessage
}

const (
	defaultTopicMessage  = 32 << 20
	defaultTopicDeadline = 5 * time.Second
	defaultMessageBuffer = 10
	defaultTopicWrite    = 10 * time.Second
)

func (o *SubscriptionOptions) messageBuffer() int {
	if o.MessageBuffer == 0 {
		return defaultMessageBuffer
	}
	return int(min(o.MessageBuffer, 1<<20))
}

// timing returns the times for a role.
func (o *SubscriptionOptions) timing(subscriber bool) timing {
	pong := valueOr(o.PongDeadline, defaultTopicDeadline)
	t := timing{ping: pong * 7 / 10, read: pong, write: pong / 2, close: valueOr(o.CloseDeadline, defaultTopicDeadline)}
	if subscriber {
		t.write = valueOr(o.SubscriberWriteTimeout, defaultTopicWrite)
	}
	return t
}

func valueOr(d *time.Duration, otherwise time.Duration) time.Duration {
	if d == nil || *d <= 0 {
		return otherwise
	}
	return *d
}

// An EventType says what happened at a topic.
type EventType uint

// The events, with the numbers they have on the wire.
const (
	EventTypePublisherLeft          EventType = 1
	EventTypePublisherJoined        EventType = 2
	EventTypeSubscriberLeft         EventType = 3
	EventTypeSubscriberJoined       EventType = 4
	EventTypeWebsocketUpgradeFailed EventType = 5
	EventTypeBadHTTPHeaders         EventType = 6
)

var eventNames = map[EventType]string{
	EventTypePublisherLeft:          "publisher left",
	EventTypePublisherJoined:        "publisher joined",
	EventTypeSubscriberLeft:         "subscriber left",
	EventTypeSubscriberJoined:       "subscriber joined",
	EventTypeWebsocketUpgradeFailed: "websocket upgrade failed",
	EventTypeBadHTTPHeaders:         "bad HTTP headers",
}

// String returns what happened.
func (t EventType) String() string {
	if name, ok := eventNames[t]; ok {
		return name
	}
	return "unknown event"
}

// An Event tells that somebody came to a topic or left it, or could not come.
type Event struct {
	ClientID          string    `json:"clientID"`
	SubscriptionTopic string    `json:"subscriptionTopic"`
	Type              EventType `json:"type"`
}
