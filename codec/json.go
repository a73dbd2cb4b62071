package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// jsonCodec is for people who look at a stream with redis-cli:
//
//	{"time":"2026-01-02T03:04:05.000000006Z","events":{"tm.event":["Tx"]},"type":"json","data":{"a":1}}
//
// Data that is JSON stands there as it is, byte for byte; other data, and JSON
// with blanks or line feeds around it, is in base64 under "bytes". Keys, values
// and types must be UTF-8. No key comes twice, nor in another letter case; those
// that are not known are passed over.
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
	*e = Event{}
	var data json.RawMessage // the decoder leaves it as it is
	in := json.NewDecoder(bytes.NewReader(src))
	err := eachMember(in, func(key string) error {
		switch key {
		case "time":
			return in.Decode(&e.Time)
		case "events":
			return decodeEvents(in, e)
		case "type":
			return in.Decode(&e.Type)
		case "bytes":
			return in.Decode(&e.Data)
		case "data":
			return in.Decode(&data)
		}
		return in.Decode(new(json.RawMessage)) // of another program
	})
	if err == nil {
		err = atEnd(in)
	}
	if err != nil {
		return fmt.Errorf("codec: %w", err)
	}
	if data != nil {
		e.Data = data
	}
	return nil
}

func decodeEvents(in *json.Decoder, e *Event) error {
	e.Events = make(map[string][]string)
	return eachMember(in, func(key string) error {
		var values []string
		err := in.Decode(&values)
		e.Events[key] = values
		return err
	})
}

// eachMember calls f before the value of each member of an object, which f has
// to decode. encoding/json itself takes keys in any letter case, and the last of
// those that are the same: programs in other languages would read other events.
func eachMember(in *json.Decoder, f func(key string) error) error {
	begin, err := in.Token()
	if err != nil || begin == nil { // null has no members
		return err
	}
	if begin != json.Delim('{') {
		return fmt.Errorf("JSON has %v where an object begins", begin)
	}
	seen := make(map[string]bool)
	for in.More() {
		token, err := in.Token()
		if err != nil {
			return err
		}
		key := token.(string)
		if seen[key] {
			return fmt.Errorf("JSON has the key %.40q twice", key)
		}
		seen[key] = true
		if err := f(key); err != nil {
			return err
		}
	}
	_, err = in.Token()
	return err
}

// atEnd refuses what comes after a document.
func atEnd(in *json.Decoder) error {
	token, err := in.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return errors.Join(fmt.Errorf("JSON goes on after its end, with %.40q", fmt.Sprint(token)), err)
}
