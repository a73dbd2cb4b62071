package codec

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// protobufCodec is for programs that have a protobuf compiler and not this
// package. An event is
//
//	message Event {
//	  sfixed64 time = 1; // nanoseconds since 1970
//	  string type = 2;
//	  repeated Attribute attributes = 3; // one a key
//	  bytes data = 4;
//	}
//	message Attribute {
//	  string key = 1;
//	  repeated bytes values = 2; // bytes, for Go strings need not be UTF-8
//	}
//
// It is written by hand because generated types would be copied once more on
// the way to and from an Event.
type protobufCodec struct{}

func (protobufCodec) ID() uint8 { return 2 }

const (
	fieldTime       = 1
	fieldType       = 2
	fieldAttributes = 3
	fieldData       = 4

	fieldKey    = 1
	fieldValues = 2
)

func (protobufCodec) Append(dst []byte, e *Event) ([]byte, error) {
	dst = protowire.AppendTag(dst, fieldTime, protowire.Fixed64Type)
	dst = protowire.AppendFixed64(dst, uint64(e.Time.UnixNano()))
	dst = appendField(dst, fieldType, e.Type)
	for key, values := range e.Events {
		size := sizeOfField(fieldKey, key)
		for _, v := range values {
			size += sizeOfField(fieldValues, v)
		}
		dst = protowire.AppendTag(dst, fieldAttributes, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(size))
		dst = appendField(dst, fieldKey, key)
		for _, v := range values {
			dst = appendField(dst, fieldValues, v)
		}
	}
	dst = protowire.AppendTag(dst, fieldData, protowire.BytesType)
	return protowire.AppendBytes(dst, e.Data), nil
}

func appendField(dst []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, field, protowire.BytesType), s)
}

func sizeOfField(field protowire.Number, s string) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(len(s))
}

func (protobufCodec) Decode(src []byte, e *Event) error {
	*e = Event{Events: make(map[string][]string)}
	return eachField(src, func(field protowire.Number, number uint64, b []byte) error {
		switch field {
		case fieldTime:
			e.Time = time.Unix(0, int64(number))
		case fieldType:
			e.Type = internType(b)
		case fieldAttributes:
			return decodeAttribute(b, e.Events)
		case fieldData:
			e.Data = b
		}
		return nil
	})
}

func decodeAttribute(src []byte, events map[string][]string) error {
	var key string
	var values []string
	err := eachField(src, func(field protowire.Number, _ uint64, b []byte) error {
		switch field {
		case fieldKey:
			key = string(b)
		case fieldValues:
			values = append(values, string(b))
		}
		return nil
	})
	if err == nil {
		events[key] = append(events[key], values...)
	}
	return err
}

// eachField calls f for each field of a message that is a fixed64 or a string
// of bytes, and passes over others, as protobuf wants of unknown fields.
func eachField(src []byte, f func(field protowire.Number, number uint64, b []byte) error) error {
	for len(src) > 0 {
		field, typ, n := protowire.ConsumeTag(src)
		if n < 0 {
			return fmt.Errorf("codec: protobuf: %w", protowire.ParseError(n))
		}
		src = src[n:]
		var number uint64
		var b []byte
		switch typ {
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(src)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(src)
		default:
			field, n = 0, protowire.ConsumeFieldValue(field, typ, src)
		}
		if n < 0 {
			return fmt.Errorf("codec: protobuf: %w", protowire.ParseError(n))
		}
		if err := f(field, number, b); err != nil {
			return err
		}
		src = src[n:]
	}
	return nil
}
