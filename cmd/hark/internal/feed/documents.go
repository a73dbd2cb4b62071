package feed

import (
	"iter"

	"github.com/harkbus/pubsub/jsonevents"
	"github.com/harkbus/pubsub/query"
)

// Documents decodes lines that are any JSON object: a publication whose events
// are what package jsonevents makes of it. Its method is for one goroutine.
type Documents struct {
	flattener jsonevents.Flattener
	single    single
}

// NewDocuments returns one that makes the events that some queries ask for.
// What it takes is bounded by the line, which is the user's own.
func NewDocuments(queries ...*query.Query) *Documents {
	return &Documents{flattener: jsonevents.Flattener{
		Keys:   jsonevents.KeysOf(queries...),
		Limits: jsonevents.Limits{Depth: 10_000, Values: 1 << 20, Keys: 1 << 20, Bytes: MaxLine},
	}}
}

// Decode returns the publication of a line. It is valid until the next call.
func (d *Documents) Decode(line []byte) (iter.Seq[Publication], error) {
	events, err := d.flattener.Flatten(line)
	if err != nil {
		return nil, err
	}
	return d.single.of(Publication{Events: events}), nil
}
