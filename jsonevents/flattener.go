package jsonevents

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Flatten returns all events of a document, within the default [Limits].
func Flatten(doc []byte) (map[string][]string, error) {
	var f Flattener
	return f.Flatten(doc)
}

// A Flattener flattens one document after the other, reusing its memory. Its
// zero value is ready. It is for one goroutine at a time.
type Flattener struct {
	// Keys are those to look for; nil is all that there are. What they do not
	// name is checked and passed over.
	Keys *Keys

	// Prefix is put in front of all keys, with a dot: "order" makes order.id of
	// {"id":7}. "" is none.
	Prefix string

	// StopEarly ends reading when each of Keys has been met. What follows is
	// neither read nor checked: nobody notices that it is no JSON, and a name that
	// comes again later has no values of there. It is for documents whose writer
	// is trusted, and changes nothing where Keys is nil.
	StopEarly bool

	// Limits bound what a document may cost.
	Limits Limits

	scan   scanner
	given  Limits // the last Limits
	limits Limits // these with defaults
	keys   *Keys  // Keys, or own
	own    *Keys  // learned from documents, where Keys is nil

	text    []byte  // values, back to back, so that a document costs one string
	records []value // of text
	valued  []*node // nodes that have values
	before  []*node // those of the document before, whose keys are in events
	bytes   int     // of values and keys
	met     int     // keys
	stopped bool    // all keys were met
	name    []byte  // of a member, without escapes

	values []string // of all nodes, one after the other
	events map[string][]string
}

// A value is one of a key; it begins in text where the one before it ends.
type value struct {
	node *node
	end  int
}

// Flatten returns the events of a document. The map and its slices are valid
// until the next call, the strings in them for as long as you like. Nothing is
// kept of doc. The error is an [*Error].
func (f *Flattener) Flatten(doc []byte) (map[string][]string, error) {
	f.begin(doc)
	defer f.release()
	i := f.scan.blanks(len(doc) - len(bytes.TrimPrefix(doc, byteOrderMark)))
	if i = f.document(i); i >= 0 && !f.stopped {
		f.end(i)
	}
	if err := f.scan.err; err != nil {
		return nil, err
	}
	return f.makeEvents(), nil
}

// byteOrderMark may be in front of a document: RFC 8259, section 8.1.
var byteOrderMark = []byte("\ufeff")

func (f *Flattener) begin(doc []byte) {
	if f.limits.Depth == 0 || f.Limits != f.given {
		f.given, f.limits = f.Limits, f.Limits.withDefaults()
	}
	f.scan.doc, f.scan.depth, f.scan.err = doc, f.limits.Depth, nil
	if f.keys = f.Keys; f.keys == nil {
		if f.own == nil {
			f.own = &Keys{}
		}
		f.keys = f.own
	}
	f.keys.call++
	f.text, f.records = f.text[:0], f.records[:0]
	f.before, f.valued = f.valued, f.before[:0]
	f.bytes, f.met, f.stopped = 0, 0, false
}

const (
	keptNodes  = 1024
	keptBytes  = 16 << 10
	keptValues = keptBytes / 16
)

// release lets go of the document, and of what an unusual one took: the caller
// may keep the Flattener while it waits.
func (f *Flattener) release() {
	f.scan.doc = nil
	forgets := f.keys.learned > keptNodes
	if forgets {
		f.keys.forget()
		f.own = nil
	}
	if forgets || max(cap(f.records), cap(f.values), cap(f.valued)) > keptValues {
		f.records, f.values, f.valued, f.before = nil, nil, nil, nil // they lead to nodes
	}
	f.keys = nil
	if max(cap(f.text), cap(f.name)) > keptBytes {
		f.text, f.name = nil, nil
	}
	if len(f.events) > keptNodes {
		f.events = nil // clearing a map takes time by what it once held
	}
}

// document reads the object that begins at i.
func (f *Flattener) document(i int) int {
	switch f.scan.at(i) {
	case '{':
	case '[':
		return f.scan.fail(i, "an array where an object belongs; send its elements one by one")
	case 0:
		if i >= len(f.scan.doc) {
			return f.scan.fail(i, "no document; send an object")
		}
		fallthrough
	default:
		if f.scan.skip(i, 0) < 0 {
			return bad
		}
		return f.scan.fail(i, `a value where an object belongs; send it as {"value":…}`)
	}
	root := f.root()
	if root == nil {
		return f.scan.skip(i, 0)
	}
	return f.object(root, i, 1, true)
}

// end returns an error if anything follows the document.
func (f *Flattener) end(i int) {
	if i = f.scan.blanks(i); i < len(f.scan.doc) {
		f.scan.fail(i, "something after the document; send one at a time")
	}
}

// root returns the node of the document, or nil if nothing below is wanted.
func (f *Flattener) root() *node {
	n := &f.keys.root
	if f.Prefix == "" {
		return n
	}
	if f.Keys == nil {
		return n.descend(f.Prefix)
	}
	for name := range strings.SplitSeq(f.Prefix, ".") {
		if n = n.child([]byte(name)); n == nil {
			return nil
		}
	}
	return n
}

// object reads the object at i, of node n, inside of so many others less one.
// Nothing that is wanted follows the last.
func (f *Flattener) object(n *node, i, depth int, last bool) int {
	s := &f.scan
	if depth > s.depth {
		return s.tooDeep(i)
	}
	left := f.awaited(n)
	visit := f.keys.object
	if i = s.blanks(i + 1); s.at(i) == '}' {
		return i + 1
	}
	for {
		if s.at(i) != '"' {
			return s.misplaced(i, "a name in double quotes")
		}
		begin := i
		end, plain := s.text(i + 1)
		if end < 0 {
			return bad
		}
		if i = s.colon(end + 1); i < 0 {
			return bad
		}
		c := f.member(n, begin, end, plain)
		switch {
		case s.err != nil:
			return bad
		case c == nil:
			i = s.skip(i, depth)
		default:
			if c.parent == n && c.object != visit {
				c.object = visit
				left--
			}
			i = f.value(c, i, depth, last && left == 0)
		}
		if i < 0 || f.stopped {
			return i
		}
		if last && left == 0 {
			f.stopped = true
			return i
		}
		i = s.blanks(i)
		switch s.at(i) {
		case ',':
			i = s.blanks(i + 1)
		case '}':
			return i + 1
		default:
			return s.misplaced(i, `a comma or "}"`)
		}
	}
}

// awaited returns how many members of an object are wanted before StopEarly may
// end it, a number that is not reached if it may not.
func (f *Flattener) awaited(n *node) int {
	f.keys.object++
	if !f.StopEarly || f.Keys == nil || n.types > 0 {
		return -1
	}
	return n.children()
}

// member returns the node of the member of n whose name is in quotes at begin
// and end, or nil if nothing of it is wanted.
func (f *Flattener) member(n *node, begin, end int, plain bool) *node {
	name := f.scan.doc[begin+1 : end]
	if !plain {
		f.name = unescaped(f.name[:0], name)
		name = f.name
	}
	if f.Keys != nil && n.types == 0 && n.many == nil {
		if c, dotted := n.find(name); !dotted {
			return c
		}
	}
	for dot := bytes.IndexByte(name, '.'); dot >= 0; dot = bytes.IndexByte(name, '.') {
		if n = f.child(n, name[:dot], begin, true); n == nil {
			return nil
		}
		name = name[dot+1:]
	}
	return f.child(n, name, begin, false)
}

// child returns the node of a part of a name that stands at a place; whether
// another part follows matters where the node is wanted for its type alone.
func (f *Flattener) child(n *node, name []byte, at int, follows bool) *node {
	c := n.child(name)
	if f.Keys != nil {
		if c != nil || n.types == 0 || follows {
			return c
		}
		return f.counted(f.keys.learn(n, name), at)
	}
	if c == nil {
		c = n.newChild(string(name))
		n.add(c)
		f.keys.learned += 1 + c.size/64
	}
	return f.counted(c, at)
}

// counted counts a key against the limit.
func (f *Flattener) counted(n *node, at int) *node {
	if n.counted == f.keys.call {
		return n
	}
	n.counted = f.keys.call
	if f.met++; f.met > f.limits.Keys {
		f.beyond(at, "more than %d keys; send less, or raise Limits.Keys", f.limits.Keys)
		return nil
	}
	return n
}

func (f *Flattener) beyond(at int, format string, limit int) int {
	f.scan.fail(at, format, limit)
	f.scan.err.Limit = true
	return bad
}

// value reads the value at i, of node n.
func (f *Flattener) value(n *node, i, depth int, last bool) int {
	s := &f.scan
	switch s.at(i) {
	case '{':
		if f.Keys == nil || n.wantsBelow() {
			return f.object(n, i, depth+1, last)
		}
		return s.skip(i, depth)
	case '[':
		return f.array(n, i, depth+1)
	case '"':
		end, plain := s.text(i + 1)
		if end < 0 {
			return bad
		}
		return f.put(n, i, i+1, end, end+1, plain)
	case 'n':
		return s.word(i)
	}
	end := s.skip(i, depth)
	if end < 0 {
		return bad
	}
	return f.put(n, i, i, end, end, true)
}

func (f *Flattener) array(n *node, i, depth int) int {
	s := &f.scan
	if depth > s.depth {
		return s.tooDeep(i)
	}
	if i = s.blanks(i + 1); s.at(i) == ']' {
		return i + 1
	}
	for {
		if i = f.value(n, i, depth, false); i < 0 {
			return bad
		}
		i = s.blanks(i)
		switch s.at(i) {
		case ',':
			i = s.blanks(i + 1)
		case ']':
			return i + 1
		default:
			return s.misplaced(i, `a comma or "]"`)
		}
	}
}

// put takes what stands from begin to end as a value of n, if it is wanted, and
// returns next.
func (f *Flattener) put(n *node, at, begin, end, next int, plain bool) int {
	if f.Keys != nil && !n.wantsItself() {
		return next
	}
	if n.valued != f.keys.call {
		n.valued, n.count = f.keys.call, 0
		f.valued = append(f.valued, n)
		f.bytes += n.size
	}
	n.count++
	if len(f.records) == f.limits.Values {
		return f.beyond(at, "more than %d values; send less, or raise Limits.Values", f.limits.Values)
	}
	if f.bytes += end - begin; f.bytes > f.limits.Bytes {
		return f.beyond(at, "keys and values of more than %d bytes; send less, or raise Limits.Bytes", f.limits.Bytes)
	}
	if raw := f.scan.doc[begin:end]; plain {
		f.text = append(f.text, raw...)
	} else {
		f.text = unescaped(f.text, raw)
	}
	f.records = append(f.records, value{n, len(f.text)})
	return next
}

// makeEvents makes the map of the values there are.
func (f *Flattener) makeEvents() map[string][]string {
	f.values = slices.Grow(f.values[:0], len(f.records))[:len(f.records)]
	end := 0
	for _, n := range f.valued {
		n.end = end
		end += n.count
	}
	text, begin := string(f.text), 0
	for _, v := range f.records {
		f.values[v.node.end] = text[begin:v.end]
		v.node.end++
		begin = v.end
	}
	f.putEvents()
	return f.events
}

// putEvents puts the values into the map, which is cleared unless the keys are
// those of the document before, as with the lines of a log they mostly are.
func (f *Flattener) putEvents() {
	if f.events == nil {
		f.events = make(map[string][]string)
	}
	if !slices.Equal(f.valued, f.before) {
		clear(f.events)
	}
	for _, n := range f.valued {
		f.events[n.text()] = f.values[n.end-n.count : n.end : n.end]
	}
	if len(f.events) > len(f.valued) { // the caller has added keys
		clear(f.events)
		f.putEvents()
	}
}

// unescaped appends the text of a string that a scanner has passed over. Half of
// a surrogate pair is U+FFFD, as in encoding/json.
func unescaped(b, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(b, raw...)
		}
		b = append(b, raw[:i]...)
		c := raw[i+1]
		raw = raw[i+2:]
		if c != 'u' {
			b = append(b, escapes[c])
			continue
		}
		r := hex(raw)
		raw = raw[4:]
		if utf16.IsSurrogate(r) {
			low := utf8.RuneError
			if hasPrefix(raw, `\u`) {
				low = hex(raw[2:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				raw = raw[6:]
			}
		}
		b = utf8.AppendRune(b, r)
	}
}

var escapes = [...]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hex returns the number of four hexadecimal digits.
func hex(digits []byte) (r rune) {
	for _, c := range digits[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
