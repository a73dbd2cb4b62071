package redisbridge

import (
	"encoding/json"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
)

const (
	opaqueSize  = 256 // what data of a type we cannot look into counts as
	messageSize = 64  // what a publication takes besides its strings
	stringSize  = 16  // what a key or a value takes besides its text: in a frame it is less

	// frameMargin is what a frame needs besides one event, at most.
	frameMargin = headerSize + 2 + maxName + maxNamespace + eventPrefix + macSize
)

// A measure finds the size of publications without copying their events: it is
// a query that a message shows them to. It is used by one goroutine at a time.
type measure struct {
	keysOnly bool
	keys     int
	bytes    int // of keys and values, and what they take besides
}

func (s *measure) sizeOf(m pubsub.Message) int {
	s.keysOnly = false
	_, _ = m.Matches(s)
	return messageSize + s.bytes + sizeOfData(m.Data())
}

// guess only counts the keys, which takes no time. Without any the size is no
// guess.
func (s *measure) guess(m pubsub.Message) (size int, isGuess bool) {
	s.keysOnly = true
	_, _ = m.Matches(s)
	return messageSize + s.keys*guessPerKey + sizeOfData(m.Data()), s.keys > 0
}

// Matches implements pubsub.Query.
func (s *measure) Matches(events map[string][]string) (bool, error) {
	s.keys, s.bytes = len(events), 0
	if !s.keysOnly {
		s.bytes = sizeOfEvents(events)
	}
	return true, nil
}

// String implements pubsub.Query.
func (s *measure) String() string { return "measure" }

func sizeOfEvents(events map[string][]string) (bytes int) {
	for key, values := range events {
		bytes += len(key) + stringSize*(1+len(values))
		for _, v := range values {
			bytes += len(v)
		}
	}
	return bytes
}

func sizeOfData(data any) int {
	switch d := data.(type) {
	case nil:
		return 0
	case []byte:
		return len(d)
	case string:
		return len(d)
	case json.RawMessage:
		return len(d)
	case codec.Raw:
		return len(d.Encoding) + len(d.Type) + len(d.Data)
	case interface{ Size() int }:
		return max(d.Size(), 0)
	}
	return opaqueSize
}

// travelsAsItIs tells whether data cannot fail to be encoded.
func travelsAsItIs(data any) bool {
	switch data.(type) {
	case nil, []byte, string, json.RawMessage, bool, int, int64, uint64, float64, codec.Raw:
		return true
	}
	return false
}
