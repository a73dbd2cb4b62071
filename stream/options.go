package stream

import (
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/internal/wire"
)

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
