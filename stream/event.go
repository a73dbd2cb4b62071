package stream

// An EventType says what happened at a topic.
type EventType int

// The events, with the numbers they have on the wire.
const (
	EventPublisherLeft          EventType = 1
	EventPublisherJoined        EventType = 2
	EventSubscriberLeft         EventType = 3
	EventSubscriberJoined       EventType = 4
	EventWebsocketUpgradeFailed EventType = 5
	EventBadHTTPHeaders         EventType = 6
)

var eventNames = map[EventType]string{
	EventPublisherLeft:          "publisher left",
	EventPublisherJoined:        "publisher joined",
	EventSubscriberLeft:         "subscriber left",
	EventSubscriberJoined:       "subscriber joined",
	EventWebsocketUpgradeFailed: "websocket upgrade failed",
	EventBadHTTPHeaders:         "bad HTTP headers",
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
