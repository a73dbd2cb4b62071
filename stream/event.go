package stream

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
