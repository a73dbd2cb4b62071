package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// jsonCodec is for people who look at a stream with redis-cli:
//
//	{"time":"2026-01-02T03:04:05.000000006Z","events":{"tm.event":["Tx"]},"type":"json","data":{"a":1}}
//
// Data that is JSON stands there as it is, byte for byte; other data, and JSON
// with blanks or line feeds around it, is in base64 under "bytes". Keys, values
// and types must be UTF-8.
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
	if err := checkText(e.Type); err != nil {
		return nil, err
	}
	for key, values := range e.Events {
		for _, v := range append(values[:len(values):len(values)], key) {
			if err := checkText(v); err != nil {
				return nil, err
			}
		}
	}
	out := jsonEvent{Time: e.Time.UTC(), Events: e.Events, Type: e.Type}
	verbatim := encodingOf(e.Type) == EncodingJSON && isBare(e.Data)
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

// checkText refuses what encoding/json would change.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("codec: the JSON codec cannot carry %.40q, which is not UTF-8", s)
	}
	return nil
}

// isBare tells whether data is JSON without anything around it, which would be
// lost inside another document.
func isBare(data []byte) bool {
	return len(bytes.Trim(data, " \t\r\n")) == len(data) && json.Valid(data)
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
