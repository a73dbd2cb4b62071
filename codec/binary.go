package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// binaryCodec is the compact codec:
//
//	8        time, nanoseconds since 1970, big-endian
//	uvarint  length of the type, then the type
//	uvarint  length of the attributes, then
//	         uvarint  keys
//	         uvarint  values of all keys
//	         per key: uvarint length, key, uvarint values,
//	                  per value: uvarint length, value
//	rest     data
type binaryCodec struct{}

// noAttributes are the attributes of an event without any.
const noAttributes = "\x00\x00"

func (binaryCodec) ID() uint8 { return 1 }

func (binaryCodec) Append(dst []byte, e *Event) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Time.UnixNano()))
	dst = appendString(dst, e.Type)
	if len(e.Events) == 0 {
		dst = appendString(dst, noAttributes)
		return append(dst, e.Data...), nil
	}
	size, values := 0, 0
	for key, vs := range e.Events {
		size += sizeOfString(key) + sizeOfUvarint(len(vs))
		for _, v := range vs {
			size += sizeOfString(v)
		}
		values += len(vs)
	}
	size += sizeOfUvarint(len(e.Events)) + sizeOfUvarint(values)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = binary.AppendUvarint(dst, uint64(len(e.Events)))
	dst = binary.AppendUvarint(dst, uint64(values))
	for key, vs := range e.Events {
		dst = appendString(dst, key)
		dst = binary.AppendUvarint(dst, uint64(len(vs)))
		for _, v := range vs {
			dst = appendString(dst, v)
		}
	}
	return append(dst, e.Data...), nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func sizeOfString(s string) int { return sizeOfUvarint(len(s)) + len(s) }

func sizeOfUvarint(n int) (size int) {
	for size = 1; n >= 0x80; size++ {
		n >>= 7
	}
	return size
}

func (binaryCodec) Decode(src []byte, e *Event) error {
	if len(src) < 8 {
		return errShort
	}
	e.Time = time.Unix(0, int64(binary.BigEndian.Uint64(src)))
	typ, src, err := cutBytes(src[8:])
	if err != nil {
		return err
	}
	attributes, data, err := cutBytes(src)
	if err != nil {
		return err
	}
	e.Type = internType(typ)
	e.Data = data
	if string(attributes) == noAttributes {
		e.Events = nil
		return nil
	}
	e.Events, err = decodeAttributes(string(attributes)) // one allocation for all of them
	return err
}

// decodeAttributes makes a map whose strings are parts of src. All values
// share one slice. Counts are checked against what can be in src before
// anything is allocated.
func decodeAttributes(src string) (map[string][]string, error) {
	keys, src, err := cutCount(src)
	if err != nil {
		return nil, err
	}
	left, src, err := cutCount(src)
	if err != nil {
		return nil, err
	}
	events := make(map[string][]string, min(keys, 64))
	values := make([]string, left)
	for range keys {
		var key string
		var n int
		if key, src, err = cutString(src); err != nil {
			return nil, err
		}
		if n, src, err = cutCount(src); err != nil {
			return nil, err
		}
		if n > len(values) {
			return nil, fmt.Errorf("codec: key %.40q has more values than there are", key)
		}
		for i := range n {
			if values[i], src, err = cutString(src); err != nil {
				return nil, err
			}
		}
		events[key] = values[:n:n]
		values = values[n:]
	}
	if len(events) < keys {
		return nil, errors.New("codec: a key comes twice")
	}
	if src != "" || len(values) > 0 {
		return nil, fmt.Errorf("codec: %d bytes and %d values are left over after the last key", len(src), len(values))
	}
	return events, nil
}

// cutCount cuts the number of things off src that follow in it, each of at
// least one byte.
func cutCount(src string) (n int, rest string, err error) {
	v, rest, ok := cutUvarint(src)
	if !ok || v > uint64(len(rest)) {
		return 0, "", errShort
	}
	return int(v), rest, nil
}

func cutString(src string) (s, rest string, err error) {
	n, rest, err := cutCount(src)
	if err != nil {
		return "", "", err
	}
	return rest[:n], rest[n:], nil
}

func cutUvarint(src string) (v uint64, rest string, ok bool) {
	for i := 0; i < len(src) && i < binary.MaxVarintLen64; i++ {
		b := src[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, src[i+1:], true
		}
	}
	return 0, "", false
}

func cutBytes(src []byte) (b, rest []byte, err error) {
	n, size := binary.Uvarint(src)
	if size <= 0 || n > uint64(len(src)-size) {
		return nil, nil, errShort
	}
	end := size + int(n)
	return src[size:end:end], src[end:], nil
}
