package jsonevents_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harkbus/pubsub/query"
)

// model is Flatten as encoding/json reads a document. It returns nil if the
// document is none.
func model(doc []byte) map[string][]string {
	doc = bytes.TrimPrefix(doc, []byte("\ufeff"))
	if !json.Valid(doc) || !utf8.Valid(doc) || bytes.TrimLeft(doc, " \t\r\n")[0] != '{' {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	events := map[string][]string{}
	modelValue(decoder, nil, events)
	if _, err := decoder.Token(); err != io.EOF {
		panic(err)
	}
	return events
}

func modelValue(decoder *json.Decoder, path []string, events map[string][]string) {
	key := strings.Join(path, ".")
	switch token := next(decoder).(type) {
	case json.Delim:
		for decoder.More() {
			if token == '{' {
				modelValue(decoder, append(slices.Clip(path), next(decoder).(string)), events)
			} else {
				modelValue(decoder, path, events)
			}
		}
		next(decoder)
	case string:
		events[key] = append(events[key], token)
	case json.Number:
		events[key] = append(events[key], token.String())
	case bool:
		events[key] = append(events[key], map[bool]string{false: "false", true: "true"}[token])
	}
}

func next(decoder *json.Decoder) json.Token {
	token, err := decoder.Token()
	if err != nil {
		panic(err)
	}
	return token
}

// wanted returns those of all events that queries ask for.
func wanted(all map[string][]string, queries []*query.Query) map[string][]string {
	events := maps.Clone(all)
	maps.DeleteFunc(events, func(key string, _ []string) bool {
		return !slices.ContainsFunc(queries, func(q *query.Query) bool {
			return slices.ContainsFunc(q.Conditions(), func(c *query.Condition) bool {
				dot := strings.LastIndexByte(key, '.')
				return c.Key == key || c.Op == query.Exists && dot >= 0 && c.Key == key[:dot]
			})
		})
	})
	return events
}
