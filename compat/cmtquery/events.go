package cmtquery

import "strings"

// An Event has the attributes of one type. It has the fields of CometBFT's
// abci.Event.
type Event struct {
	Type       string
	Attributes []EventAttribute
}

// An EventAttribute is one key and value of an event.
type EventAttribute struct {
	Key   string
	Value string
	Index bool
}

// ExpandEvents returns an event for each key of the events of a publication, in
// no particular order: its type is what stands before the last dot, and it has
// an attribute for each value.
func ExpandEvents(events map[string][]string) []Event {
	expanded := make([]Event, 0, len(events))
	for key, values := range events {
		kind, attribute := "", key
		if dot := strings.LastIndexByte(key, '.'); dot >= 0 {
			kind, attribute = key[:dot], key[dot+1:]
		}
		attributes := make([]EventAttribute, len(values))
		for i, v := range values {
			attributes[i] = EventAttribute{Key: attribute, Value: v}
		}
		expanded = append(expanded, Event{kind, attributes})
	}
	return expanded
}
