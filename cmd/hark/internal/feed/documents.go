package feed

import (
	"github.com/harkbus/pubsub/jsonevents"
	"github.com/harkbus/pubsub/query"
)

// Documents decodes lines that are any JSON object: a publication whose events
// are what package jsonevents makes of it. Its method is for one goroutine.
type Documents struct {
	flattener    jsonevents.Flattener
	publications [1]Publication
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
func (d *Documents) Decode(line []byte) ([]Publication, error) {
	events, err := d.flattener.Flatten(line)
	if err != nil {
		return nil, err
	}
	d.publications[0] = Publication{Events: events}
	return d.publications[:], nil
}
