package stream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/wire"
)

// Names of data that no type was registered for.
const (
	TypeJSON   = wire.TypeJSON   // any JSON value
	TypeBinary = wire.TypeBinary // a string of base64
	TypeError  = wire.TypeError  // a string: the data could not be encoded, and why
)

// Data is published data with the name of its type. It is sent as it is.
type Data struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// Size implements history.Sized.
func (d Data) Size() int { return len(d.Type) + len(d.Value) }

// An Encoder turns published data into the name of its type and its value in
// JSON. It is called once for each publication that is sent to anybody, from
// several goroutines at once, and must not modify data.
type Encoder func(data any) (typ string, value []byte, err error)

// A Registry names Go types. Its Encode is the default [Encoder]. The zero
// value is empty; its methods may be called from any goroutine.
type Registry struct {
	mu    sync.Mutex // excludes writers
	names atomic.Pointer[map[reflect.Type]string]
}

// Register names the type of example, which is sent as encoding/json encodes
// it. Registering a type again renames it.
func (r *Registry) Register(name string, example any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := map[reflect.Type]string{}
	if old := r.names.Load(); old != nil {
		names = maps.Clone(*old)
	}
	names[reflect.TypeOf(example)] = name
	r.names.Store(&names)
}

// Encode encodes, first that applies: [Data], json.RawMessage and other data
// that says {"type", "value"} as it is; registered types under their name;
// []byte as [TypeJSON] if it is JSON, else as [TypeBinary]; a [TopicMessage]
// likewise, but text as a string; anything else as [TypeJSON].
func (r *Registry) Encode(data any) (typ string, value []byte, err error) {
	switch d := data.(type) {
	case Data:
		return d.Type, d.Value, checkJSON(d.Value)
	case *Data:
		return d.Type, d.Value, checkJSON(d.Value)
	case json.RawMessage:
		if err := checkJSON(d); err != nil {
			return "", nil, err
		}
		typ, value = typed(d)
		return typ, value, nil
	case []byte:
		return encodeBytes(d)
	case TopicMessage:
		return encodeTopicMessage(d)
	}
	if names := r.names.Load(); names != nil {
		if name, ok := (*names)[reflect.TypeOf(data)]; ok {
			value, err = json.Marshal(data)
			return name, value, err
		}
	}
	if value, err = json.Marshal(data); err != nil {
		return "", nil, err
	}
	typ, value = typed(value)
	return typ, value, nil
}

func encodeBytes(b []byte) (typ string, value []byte, err error) {
	if utf8.Valid(b) && json.Valid(b) {
		typ, value = typed(b)
		return typ, value, nil
	}
	value = append(make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2), '"')
	value = append(base64.StdEncoding.AppendEncode(value, b), '"')
	return TypeBinary, value, nil
}

// encodeTopicMessage encodes text that is no JSON as a string.
func encodeTopicMessage(m TopicMessage) (typ string, value []byte, err error) {
	if !m.Binary && utf8.Valid(m.Payload) && !json.Valid(m.Payload) {
		return TypeJSON, appendString(nil, string(m.Payload)), nil
	}
	return encodeBytes(m.Payload)
}

func checkJSON(b []byte) error {
	if !utf8.Valid(b) || !json.Valid(b) {
		return fmt.Errorf("stream: the value is no JSON")
	}
	return nil
}

// typed returns the parts of a JSON object that has a "type", which is a
// string, and a "value", and no more; anything else is of TypeJSON. b is JSON.
func typed(b []byte) (typ string, value []byte) {
	if t := bytes.TrimLeft(b, " \t\r\n"); len(t) == 0 || t[0] != '{' || !bytes.Contains(t, []byte(`"value"`)) {
		return TypeJSON, b
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil || len(fields) != 2 || fields["value"] == nil {
		return TypeJSON, b
	}
	if json.Unmarshal(fields["type"], &typ) != nil || typ == "" {
		return TypeJSON, b
	}
	return typ, fields["value"]
}

// appendData appends {"type":…,"value":…}. What cannot be encoded is told in
// its place, so that nobody misses that there was an event.
func appendData(dst []byte, encode Encoder, data any) (_ []byte, err error) {
	typ, value, err := encodeSafely(encode, data)
	if err != nil {
		typ, value = TypeError, appendString(nil, err.Error())
	}
	dst = append(appendString(append(dst, `{"type":`...), typ), `,"value":`...)
	return append(appendOneLine(dst, value), '}'), err
}

// encodeSafely is encode, with a panic as an error.
func encodeSafely(encode Encoder, data any) (typ string, value []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("stream: the encoder panicked: %v", r)
		}
	}()
	typ, value, err = encode(data)
	if err == nil && len(value) == 0 {
		value = []byte("null")
	}
	return typ, value, err
}

// appendOneLine appends JSON without line breaks, which would end an SSE field.
func appendOneLine(dst, value []byte) []byte {
	if !bytes.ContainsAny(value, "\r\n") {
		return append(dst, value...)
	}
	buf := bytes.NewBuffer(dst)
	if json.Compact(buf, value) != nil {
		return append(dst, "null"...)
	}
	return buf.Bytes()
}

// appendString appends s as a JSON string. Bytes that are no UTF-8 become
// U+FFFD, so that what is appended is always a valid text frame. encoding/json
// takes 150 ns and allocates, so it gets only what is to be escaped: of the keys
// and values of events hardly any.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(dst, s)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

func appendEscaped(dst []byte, s string) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)              // of a string does not fail
	return b.Bytes()[:b.Len()-1] // without the end of the line
}

// keyLists are scratch for appendEvents.
var keyLists = sync.Pool{New: func() any { return new([]string) }}

// appendEvents appends the events of m as a JSON object, keys in byte order.
func appendEvents(dst []byte, m pubsub.Message) []byte {
	list := keyLists.Get().(*[]string)
	keys := slices.AppendSeq((*list)[:0], m.Keys())
	slices.Sort(keys)

	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, key), ':', '[')
		first := true
		for value := range m.Values(key) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendString(dst, value)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, '}')

	clear(keys) // not to keep what was published
	*list = keys
	keyLists.Put(list)
	return dst
}
