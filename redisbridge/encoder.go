package redisbridge

import (
	"fmt"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
)

// An encoder turns publications into bytes. It is for one goroutine.
type encoder struct {
	types *codec.Registry
	codec codec.Codec

	data   []byte      // reused
	event  codec.Event // in hand
	events map[string][]string
}

// append appends a publication to dst. On an error dst is as it was.
func (e *encoder) append(dst []byte, m pubsub.Message) (_ []byte, err error) {
	event := &e.event
	defer func() { *event, e.events = codec.Event{}, nil }()
	event.Time = m.Time()
	if event.Type, e.data, err = e.types.Append(e.data[:0], m.Data()); err != nil {
		return dst, err
	}
	event.Data = e.data
	_, _ = m.Matches((*eventsOf)(e))
	event.Events = e.events
	return codec.Append(e.codec, dst, event)
}

// eventsOf is an encoder as a query: a message shows its events to a query
// without copying them.
type eventsOf encoder

// Matches implements pubsub.Query.
func (e *eventsOf) Matches(events map[string][]string) (bool, error) {
	e.events = events
	return true, nil
}

// String implements pubsub.Query.
func (e *eventsOf) String() string { return "events" }

// check returns the size that a publication counts as, or why it cannot be
// sent. What cannot fail is not tried.
func (m *member) check(data any, events map[string][]string) (size int, err error) {
	size = messageSize + sizeOfEvents(events) + sizeOfData(data)
	if m.opt.Codec == codec.Binary && size <= m.opt.MaxFrame/2 && travelsAsItIs(data) {
		return size, nil
	}
	trial := encoder{types: m.opt.Types, codec: m.opt.Codec}
	b, err := trial.append(nil, pubsub.NewMessage(data, events))
	if err != nil {
		return 0, err
	}
	if len(b)+frameMargin > m.opt.MaxFrame {
		return 0, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(b), m.opt.MaxFrame-frameMargin)
	}
	return size, nil
}
