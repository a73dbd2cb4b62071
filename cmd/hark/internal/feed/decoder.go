package feed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// A Publication is what a line holds, or one part of a block.
type Publication struct {
	Events map[string][]string
	data   any // of a part of a block; nil where the line is the publication
}

// A Decoder decodes one line after the other, reusing its memory. Its zero
// value is ready; its method is for one goroutine.
type Decoder struct {
	json  jsontext.Decoder
	input bytes.Buffer
	found contents

	// The events of a line, before they become strings: all keys and values
	// unquoted, back to back, so that a line costs one string.
	text   []byte
	ends   []int // of each key and each value in text
	counts []int // values per key

	// The events of a line, reused for the next.
	events map[string][]string
	values []string
	single single
}

// contents says what was met in a line.
type contents struct {
	events bool // the events of a publication
	rpc    bool // a message of JSON-RPC
	block  bool // the results of a block
}

// Decode returns the publications of a line: one, none for what a node says
// besides, several for a block, which are made one after the other. They are
// valid until the next call.
func (d *Decoder) Decode(line []byte) (iter.Seq[Publication], error) {
	d.release()
	d.input = *bytes.NewBuffer(line)
	d.json.Reset(&d.input)
	d.found = contents{}
	if err := d.decode(); err != nil {
		return nil, err
	}
	switch {
	case d.found.events:
		return d.single.of(Publication{Events: d.makeEvents()}), nil
	case d.found.block:
		return decodeBlock(line)
	case d.found.rpc:
		return func(func(Publication) bool) {}, nil
	}
	return nil, ErrNoEvents
}

// ErrNoEvents says that a line is an object, but none that Decode understands.
var ErrNoEvents = errors.New(`feed: no "events" in the object`)

// single is a sequence of one publication, in memory that is used again.
type single struct {
	p   Publication
	all iter.Seq[Publication]
}

func (s *single) of(p Publication) iter.Seq[Publication] {
	s.p = p
	if s.all == nil {
		s.all = func(yield func(Publication) bool) { yield(s.p) }
	}
	return s.all
}

// release gives back what only an uncommonly large line needs.
func (d *Decoder) release() {
	if cap(d.text) > keptSize || cap(d.ends) > keptSize/8 {
		*d = Decoder{}
	}
}

func (d *Decoder) decode() error {
	if kind := d.json.PeekKind(); kind != '{' && kind != 0 {
		return d.unlessNoValue(fmt.Errorf("feed: %s where an object belongs", nameOf(kind)))
	}
	if err := d.object(d.member); err != nil {
		return err
	}
	switch _, err := d.json.ReadToken(); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("feed: more than one value in the line")
	default:
		return notJSON(err)
	}
}

// object reads an object, calling member for each name, to read its value.
func (d *Decoder) object(member func(name string) error) error {
	if _, err := d.json.ReadToken(); err != nil {
		return notJSON(err)
	}
	for d.json.PeekKind() == '"' {
		name, err := d.json.ReadToken()
		if err != nil {
			return notJSON(err)
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken() // the closing brace, or what is wrong instead
	return notJSON(err)
}

// member reads a member of the outermost object.
func (d *Decoder) member(name string) error {
	switch name {
	case "jsonrpc":
		d.found.rpc = true
	case "result":
		d.found.rpc = true
		if d.json.PeekKind() == '{' {
			return d.object(d.resultMember)
		}
	}
	return d.resultMember(name)
}

// resultMember reads a member of what may be a publication or a block.
func (d *Decoder) resultMember(name string) error {
	switch name {
	case "events":
		d.found.events = true
		return d.readEvents()
	case "txs_results", "begin_block_events", "end_block_events", "finalize_block_events":
		d.found.block = true
	}
	return notJSON(d.json.SkipValue())
}

// unlessNoValue returns misplaced, the error of the value that comes, unless it is
// none and only begins like one: then the line is not JSON.
func (d *Decoder) unlessNoValue(misplaced error) error {
	if _, err := d.json.ReadToken(); err != nil {
		return notJSON(err)
	}
	return misplaced
}

// readEvents reads {"key":["value",…],…} into text, ends and counts.
func (d *Decoder) readEvents() error {
	d.text, d.ends, d.counts = d.text[:0], d.ends[:0], d.counts[:0]
	switch kind := d.json.PeekKind(); kind {
	case '{':
	case 'n', 0:
		return notJSON(d.json.SkipValue())
	default:
		return d.unlessNoValue(fmt.Errorf("feed: events: %s where an object belongs", nameOf(kind)))
	}
	if _, err := d.json.ReadToken(); err != nil {
		return notJSON(err)
	}
	for d.json.PeekKind() == '"' {
		if err := d.readText(); err != nil {
			return err
		}
		if err := d.readValues(); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	return notJSON(err)
}

// readValues reads the values of the key read last.
func (d *Decoder) readValues() error {
	key := len(d.ends) - 1
	d.counts = append(d.counts, 0)
	switch kind := d.json.PeekKind(); kind {
	case '[':
	case 'n', 0:
		return notJSON(d.json.SkipValue())
	default:
		return d.unlessNoValue(fmt.Errorf("feed: events: %q has %s where an array of strings belongs", d.textAt(key), nameOf(kind)))
	}
	if _, err := d.json.ReadToken(); err != nil {
		return notJSON(err)
	}
	for kind := d.json.PeekKind(); kind != ']'; kind = d.json.PeekKind() {
		if kind != '"' && kind != 0 {
			return d.unlessNoValue(fmt.Errorf("feed: events: %q has %s among its values; they are strings", d.textAt(key), nameOf(kind)))
		}
		if err := d.readText(); err != nil {
			return err
		}
		d.counts[len(d.counts)-1]++
	}
	_, err := d.json.ReadToken()
	return notJSON(err)
}

// readText reads a string to the end of text.
func (d *Decoder) readText() error {
	quoted, err := d.json.ReadValue()
	if err != nil {
		return notJSON(err)
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		d.text = append(d.text, quoted[1:len(quoted)-1]...)
	} else if d.text, err = jsontext.AppendUnquote(d.text, quoted); err != nil {
		return notJSON(err)
	}
	d.ends = append(d.ends, len(d.text))
	return nil
}

// textAt returns the i-th string of text.
func (d *Decoder) textAt(i int) []byte {
	start := 0
	if i > 0 {
		start = d.ends[i-1]
	}
	return d.text[start:d.ends[i]]
}

// largeEvents is how many keys make a map that is not kept for the next line:
// clearing a map takes time by what it once held.
const largeEvents = 1024

// makeEvents makes the map of what readEvents read.
func (d *Decoder) makeEvents() map[string][]string {
	if len(d.events) > largeEvents || d.events == nil {
		d.events = make(map[string][]string)
	}
	clear(d.events)
	n := len(d.ends) - len(d.counts)
	d.values = slices.Grow(d.values[:0], n)[:n]

	text, values, i, start := string(d.text), d.values, 0, 0
	next := func() string {
		s := text[start:d.ends[i]]
		start = d.ends[i]
		i++
		return s
	}
	for _, count := range d.counts {
		key := next()
		for v := range count {
			values[v] = next()
		}
		d.events[key], values = values[:count:count], values[count:]
	}
	return d.events
}

func notJSON(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("feed: not JSON: %w", err)
}

var kindNames = map[jsontext.Kind]string{
	'n': "null", 'f': "false", 't': "true", '"': "a string", '0': "a number", '{': "an object", '[': "an array",
}

func nameOf(kind jsontext.Kind) string { return kindNames[kind] }
