package codec

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// jsonCodec is for people who look at a stream with redis-cli:
//
//	{"time":"2026-01-02T03:04:05.000000006Z","events":{"tm.event":["Tx"]},"type":"json","data":{"a":1}}
//
// Data that is JSON stands there as it is, byte for byte; other data is in
// base64 under "bytes". Keys and values must be UTF-8.
type jsonCodec struct{}

func (jsonCodec) ID() uint8 { return 3 }

type jsonEvent struct {
	Time   time.Time           `json:"time"`
	Events map[string][]string `json:"events"`
	Type   string              `json:"type"`
	Bytes  []byte              `json:"bytes,omitempty"`
}

// dataLabel comes before data that is JSON. It is put in by hand because
// encoding/json would compact it.
const dataLabel = `,"data":`

func (jsonCodec) Append(dst []byte, e *Event) ([]byte, error) {
	for key, values := range e.Events {
		for _, v := range append(values[:len(values):len(values)], key) {
			if !utf8.ValidString(v) {
				return nil, fmt.Errorf("codec: the JSON codec cannot carry %.40q, which is not UTF-8", v)
			}
		}
	}
	out := jsonEvent{Time: e.Time.UTC(), Events: e.Events, Type: e.Type}
	verbatim := encodingOf(e.Type) == EncodingJSON && json.Valid(e.Data)
	if !verbatim {
		out.Bytes = e.Data
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("codec: %w", err)
	}
	if !verbatim {
		return append(dst, b...), nil
	}
	dst = append(append(dst, b[:len(b)-1]...), dataLabel...)
	return append(append(dst, e.Data...), '}'), nil
}

func (jsonCodec) Decode(src []byte, e *Event) error {
	var in struct {
		jsonEvent
		Data json.RawMessage `json:"data"` // the decoder leaves it as it is
	}
	if err := json.Unmarshal(src, &in); err != nil {
		return fmt.Errorf("codec: %w", err)
	}
	*e = Event{Time: in.Time, Events: in.Events, Type: in.Type, Data: in.Bytes}
	if in.Data != nil {
		e.Data = in.Data
	}
	return nil
}
