package codec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
)

// An Encoding says how the bytes of a type are to be read. It stands before
// the name of the type: "json:Order", "proto:shop.Order".
type Encoding string

// The encodings that have a meaning here; others are allowed.
const (
	EncodingJSON  Encoding = "json"
	EncodingProto Encoding = "proto"
	EncodingBytes Encoding = "bytes"
)

// A Raw is data of a type that the receiving process has not registered. It
// can be published again, and is then what it was. Encoding has no colon; the
// JSON codec refuses a Type that is not UTF-8.
type Raw struct {
	Type     string // the name that the sender registered
	Encoding Encoding
	Data     []byte
}

// RawOf returns the Raw of a label, which Append returned, and its data.
func RawOf(label string, data []byte) Raw {
	encoding, name, _ := strings.Cut(label, ":")
	return Raw{Type: name, Encoding: Encoding(encoding), Data: data}
}

// Size returns the size of the data.
func (r Raw) Size() int { return len(r.Data) }

// MarshalJSON returns the data itself if it is JSON, and base64 otherwise.
func (r Raw) MarshalJSON() ([]byte, error) {
	if r.Encoding == EncodingJSON && json.Valid(r.Data) {
		return r.Data, nil
	}
	return json.Marshal(r.Data)
}

// A Registry says how Go types travel. It knows nil, []byte, string, bool,
// int, int64, uint64, float64, json.RawMessage and Raw, which arrive as they
// are. Other types are registered with Register, RegisterProto or
// RegisterType, under the same name in all processes. Data of a type that is
// not registered is sent as JSON and arrives as json.RawMessage.
//
// A Registry may be shared, and registered to at any time. Its methods may be
// called from any goroutine.
type Registry struct {
	mu     sync.RWMutex
	byType map[reflect.Type]*entry
	byName map[string]*entry // by encoding:name
}

// An entry is one registered type.
type entry struct {
	label  string // encoding:name
	append func(dst []byte, v any) ([]byte, error)
	decode func(data []byte) (any, error)
}

// NewRegistry returns a registry that knows the types named at Registry.
func NewRegistry() *Registry {
	return &Registry{byType: make(map[reflect.Type]*entry), byName: make(map[string]*entry)}
}

// Register lets T travel as JSON under a name.
func Register[T any](r *Registry, name string) error {
	return RegisterType(r, name, EncodingJSON,
		func(dst []byte, v T) ([]byte, error) {
			b, err := json.Marshal(v)
			return append(dst, b...), err
		},
		func(data []byte) (v T, err error) {
			err = json.Unmarshal(data, &v)
			return v, err
		})
}

// RegisterProto lets the protobuf message T, a pointer type, travel under its
// full name.
func RegisterProto[T proto.Message](r *Registry) error {
	var zero T
	kind := zero.ProtoReflect().Type()
	return RegisterType(r, string(kind.Descriptor().FullName()), EncodingProto,
		func(dst []byte, v T) ([]byte, error) { return proto.MarshalOptions{}.MarshalAppend(dst, v) },
		func(data []byte) (T, error) {
			v := kind.New().Interface().(T)
			return v, proto.Unmarshal(data, v)
		})
}

// RegisterType lets T travel under a name in an encoding. appendTo appends a
// value to dst; decode must stand anything that data may be.
func RegisterType[T any](r *Registry, name string, encoding Encoding,
	appendTo func(dst []byte, v T) ([]byte, error), decode func(data []byte) (T, error)) error {
	t := reflect.TypeFor[T]()
	switch {
	case name == "" || encoding == "" || strings.Contains(string(encoding), ":"):
		return fmt.Errorf("codec: register %v: it needs a name and an encoding without a colon", t)
	case t.Kind() == reflect.Interface:
		return fmt.Errorf("codec: register %v: it is an interface; register the types that implement it", t)
	case isBuiltin(t):
		return fmt.Errorf("codec: register %v: it travels as it is", t)
	}
	e := &entry{
		label:  string(encoding) + ":" + name,
		append: func(dst []byte, v any) ([]byte, error) { return appendTo(dst, v.(T)) },
		decode: func(data []byte) (any, error) { return decode(data) },
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byType[t] != nil || r.byName[e.label] != nil {
		return fmt.Errorf("codec: register %v as %s: one of them is registered already", t, e.label)
	}
	r.byType[t], r.byName[e.label] = e, e
	return nil
}

// Labels of the types that need no registration. They have no colon, but for
// the one that is sent for a type nobody registered.
const (
	labelNil    = "nil"
	labelBytes  = "bytes"
	labelString = "string"
	labelJSON   = "json"
	labelBool   = "bool"
	labelInt    = "int"
	labelInt64  = "int64"
	labelUint64 = "uint64"
	labelFloat  = "float64"
)

var labels = []string{labelNil, labelBytes, labelString, labelJSON, labelBool, labelInt, labelInt64, labelUint64, labelFloat}

// internType returns a label as a string, without an allocation for those of
// types that need no registration.
func internType(b []byte) string {
	for _, label := range labels {
		if string(b) == label {
			return label
		}
	}
	return string(b)
}

func isBuiltin(t reflect.Type) bool {
	switch reflect.New(t).Elem().Interface().(type) {
	case []byte, string, json.RawMessage, bool, int, int64, uint64, float64, Raw:
		return true
	}
	return false
}

func encodingOf(label string) Encoding {
	encoding, _, _ := strings.Cut(label, ":")
	return Encoding(encoding)
}

// Append appends data to dst and returns the label of its type.
func (r *Registry) Append(dst []byte, data any) (label string, _ []byte, err error) {
	switch v := data.(type) {
	case nil:
		return labelNil, dst, nil
	case []byte:
		return labelBytes, append(dst, v...), nil
	case string:
		return labelString, append(dst, v...), nil
	case json.RawMessage:
		return labelJSON, append(dst, v...), nil
	case Raw:
		if strings.Contains(string(v.Encoding), ":") {
			return "", dst, fmt.Errorf("codec: a Raw of encoding %.40q cannot be encoded: it has a colon", v.Encoding)
		}
		return string(v.Encoding) + ":" + v.Type, append(dst, v.Data...), nil
	case bool:
		return labelBool, strconv.AppendBool(dst, v), nil
	case int:
		return labelInt, strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return labelInt64, strconv.AppendInt(dst, v, 10), nil
	case uint64:
		return labelUint64, strconv.AppendUint(dst, v, 10), nil
	case float64:
		return labelFloat, strconv.AppendFloat(dst, v, 'g', -1, 64), nil
	}
	return r.appendRegistered(dst, data)
}

func (r *Registry) appendRegistered(dst []byte, data any) (label string, out []byte, err error) {
	r.mu.RLock()
	e := r.byType[reflect.TypeOf(data)]
	r.mu.RUnlock()
	err = safely(func() error {
		var err error
		if e != nil {
			label = e.label
			out, err = e.append(dst, data)
			return err
		}
		var b []byte
		label = labelJSON
		b, err = json.Marshal(data)
		out = append(dst, b...)
		return err
	})
	if err != nil {
		return "", dst, fmt.Errorf("codec: data of type %T cannot be encoded: %w", data, err)
	}
	return label, out, nil
}

// Decode makes data again of what Append made. A []byte, Raw or
// json.RawMessage is b itself.
func (r *Registry) Decode(label string, b []byte) (data any, err error) {
	switch label {
	case labelNil:
		return nil, nil
	case labelBytes:
		return b, nil
	case labelString:
		return string(b), nil
	case labelJSON:
		return json.RawMessage(b), nil
	case labelBool:
		data, err = strconv.ParseBool(string(b))
	case labelInt:
		data, err = strconv.Atoi(string(b))
	case labelInt64:
		data, err = strconv.ParseInt(string(b), 10, 64)
	case labelUint64:
		data, err = strconv.ParseUint(string(b), 10, 64)
	case labelFloat:
		data, err = strconv.ParseFloat(string(b), 64)
	default:
		return r.decodeRegistered(label, b)
	}
	if err != nil {
		return nil, fmt.Errorf("codec: data is no %s", label)
	}
	return data, nil
}

func (r *Registry) decodeRegistered(label string, b []byte) (data any, err error) {
	r.mu.RLock()
	e := r.byName[label]
	r.mu.RUnlock()
	if e == nil {
		return RawOf(label, b), nil
	}
	err = safely(func() error {
		var err error
		data, err = e.decode(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("codec: data of type %s cannot be decoded: %w", label, err)
	}
	return data, nil
}
