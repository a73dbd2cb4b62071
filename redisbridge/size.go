package redisbridge

import (
	"encoding/json"

	"github.com/harkbus/pubsub"
)

const (
	opaqueSize  = 256 // what data of a type we cannot look into counts as
	messageSize = 64  // what a publication takes besides its strings

	attributeSize = 64 // what a key and its values take, roughly

	// frameMargin is what a frame needs besides one event, at most.
	frameMargin = headerSize + 2 + maxName + maxNamespace + eventPrefix + macSize
)

// A measure finds the size of publications without copying their events: it is
// a query that a message shows them to. It is used by one goroutine at a time.
type measure struct {
	rough  bool
	events int
}

func (s *measure) sizeOf(m pubsub.Message) int {
	s.rough = false
	_, _ = m.Matches(s)
	return messageSize + s.events + sizeOfData(m.Data())
}

// roughly only counts the keys, which is much faster.
func (s *measure) roughly(m pubsub.Message) int {
	s.rough = true
	_, _ = m.Matches(s)
	return messageSize + s.events + sizeOfData(m.Data())
}

// Matches implements pubsub.Query.
func (s *measure) Matches(events map[string][]string) (bool, error) {
	if s.rough {
		s.events = len(events) * attributeSize
		return true, nil
	}
	size := 0
	for key, values := range events {
		size += len(key)
		for _, v := range values {
			size += len(v)
		}
	}
	s.events = size
	return true, nil
}

// String implements pubsub.Query.
func (s *measure) String() string { return "measure" }

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
	case interface{ Size() int }:
		return max(d.Size(), 0)
	}
	return opaqueSize
}

// travelsAsItIs tells whether data cannot fail to be encoded.
func travelsAsItIs(data any) bool {
	switch data.(type) {
	case nil, []byte, string, json.RawMessage, bool, int, int64, uint64, float64, Raw:
		return true
	}
	return false
}
