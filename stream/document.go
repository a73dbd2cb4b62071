package stream

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/harkbus/pubsub/jsonevents"
)

// documents makes publications of JSON documents: POST /publish?flatten takes
// these as they are. What a document's events may do is asked afterwards, as it is
// of any others.
type documents struct {
	flattener jsonevents.Flattener
}

// maxPrefix bounds the prefix of keys, which each of them has.
const maxPrefix = 256

// documentsOf returns nil if the parameters do not ask for documents. The events of one
// have no more bytes than a body.
func documentsOf(parameters url.Values, maxFrame int) (*documents, error) {
	prefix := parameters.Get("prefix")
	switch flatten := parameters.Get("flatten"); {
	case !parameters.Has("flatten") && !parameters.Has("prefix"):
		return nil, nil
	case !parameters.Has("flatten"):
		return nil, errors.New("the parameter prefix is for flatten, which is not there")
	case flatten != "" && flatten != "true":
		return nil, errors.New("the parameter flatten has no value; what is put in front of keys is the parameter prefix")
	case len(prefix) > maxPrefix || !utf8.ValidString(prefix):
		return nil, errors.New("the parameter prefix may be 256 bytes of UTF-8")
	}
	return &documents{jsonevents.Flattener{Prefix: prefix, Limits: jsonevents.Limits{Bytes: maxFrame}}}, nil
}

// submission returns the publication of a document. It does not keep text.
func (d *documents) submission(text []byte) (*submission, error) {
	text = bytes.Trim(bytes.TrimPrefix(text, []byte("\ufeff")), " \t\r\n")
	found, err := d.flattener.Flatten(text)
	if err != nil {
		return nil, err
	}
	one := &submission{Data: bytes.Clone(text), Events: make(events, len(found))}
	for key, values := range found {
		one.Events[key] = slices.Clone(values)
	}
	return one, nil
}
