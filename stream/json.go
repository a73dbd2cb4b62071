package stream

import (
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/harkbus/pubsub"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are no UTF-8 become
// U+FFFD, so that what is appended is always a valid text frame.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	clean := 0 // what comes before i and after it is copied as it is
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = appendEscape(append(dst, s[clean:i]...), c)
			i++
			clean = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[clean:i]...), `\ufffd`...)
			clean = i + 1
		}
		i += size
	}
	return append(append(dst, s[clean:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
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
