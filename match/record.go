package match

import (
	"unsafe"

	"github.com/harkbus/pubsub/query"
)

// An entry is one place where the index finds a query, in a block of the slab.
// The first entry of a query begins its record; others are blocks of their
// own.
type entry struct {
	query  ref    // the record
	next   ref    // the next entry of the query, or 0
	node   uint32 // where it is filed
	block  ref    // in a range tree: the leaf; in a pile: its block
	index  uint16 // place in that block
	term   uint16 // the condition that it is filed by
	offset uint16 // by a gram: where that is in the text of the condition
	way    way
	exact  bool // in a range tree: its point is all that the query asks for
}

// A record is all that is needed to try an event on a query, in one block of
// the slab, so that it costs a miss or two of the processor's cache:
//
//	│ entry, tried, … │ term │ term │ … │ coordinate │ … │ text text … │
//
// A term is a condition, or one alternative of IN, and says where to go on if
// it holds and if not. AND, OR and NOT need no more than that:
//
//	a = 1 AND (b = 2 OR NOT c = 3)
//
//	0: a = 1   yes ▶ 1        no ▶ reject
//	1: b = 2   yes ▶ accept   no ▶ 2
//	2: c = 3   yes ▶ reject   no ▶ accept
//
// A record without terms is of query.All.
type record struct {
	entry
	tried    uint64 // number of the event that it was last tried on
	position uint32 // of the query in core.live
	terms    uint16 // how many; opaque if the query is too large for a block, and has to be asked itself
	entries  uint16 // how many the query has beside the first
}

type term struct {
	key        uint32 // number of the key
	op         query.Op
	kind       query.Kind // of the operand
	yes, no    uint16
	text       uint16 // where the text of the operand begins in the record
	size       uint16
	coordinate uint16 // where its coordinate is, if it is a Number, Date or Time
}

const (
	recordHead = int(unsafe.Sizeof(record{}))
	termSize   = int(unsafe.Sizeof(term{}))
	entrySize  = int(unsafe.Sizeof(entry{}))

	accept   = 0xffff // in place of the number of a term
	reject   = 0xfffe
	opaque   = 0xfffd
	maxTerms = 0xfff0
)

func (c *core) entry(r ref) *entry   { return view[entry](&c.slab, r) }
func (c *core) record(r ref) *record { return view[record](&c.slab, r) }

// recordOf returns the record of the query of an entry, without a look at the
// slab if that is where the entry is.
func (c *core) recordOf(r ref, e *entry) *record {
	if e.query != r {
		return c.record(e.query)
	}
	return (*record)(unsafe.Pointer(e))
}

// termOf returns the record of an entry and the condition it is filed by.
func (c *core) termOf(r ref) (*record, *term) {
	e := c.entry(r)
	of := c.recordOf(r, e)
	return of, of.term(int(e.term))
}

func (r *record) at(offset int) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(r), offset) }

func (r *record) term(i int) *term { return (*term)(r.at(recordHead + termSize*i)) }

// textOf returns the text of a term without copying it. It is good while an
// event is matched: a record is not written to after it was made, and its
// block given back only by Remove.
func (r *record) textOf(t *term) string {
	return unsafe.String((*byte)(r.at(int(t.text))), int(t.size))
}

// atom returns the atom that a term was written from, but for its place in the
// query.
func (r *record) atom(i int) atom {
	t := r.term(i)
	return atom{key: t.key, op: t.op, kind: t.kind, text: r.textOf(t), coordinate: r.coordinateOf(t)}
}

func (r *record) coordinateOf(t *term) int64 {
	if t.kind <= query.String {
		return 0
	}
	return *(*int64)(r.at(int(t.coordinate)))
}

// recordSize returns the bytes that a record of the atoms takes.
func recordSize(atoms []atom) int {
	size := recordHead + termSize*len(atoms)
	for i := range atoms {
		size += len(atoms[i].text)
		if atoms[i].kind > query.String {
			size += 8
		}
	}
	return max(size, minRecord)
}

// write makes a block of recordSize bytes the record of a query.
func (r *record) write(self ref, position uint32, atoms []atom) {
	*r = record{entry: entry{query: self}, position: position, terms: uint16(len(atoms))}
	at := recordHead + termSize*len(atoms)
	for i := range atoms {
		a := &atoms[i]
		t := r.term(i)
		*t = term{key: a.key, op: a.op, kind: a.kind, yes: a.yes, no: a.no}
		if a.kind > query.String {
			t.coordinate = uint16(at)
			*(*int64)(r.at(at)) = a.coordinate
			at += 8
		}
	}
	for i := range atoms {
		t := r.term(i)
		t.text, t.size = uint16(at), uint16(len(atoms[i].text))
		at += copy(unsafe.Slice((*byte)(r.at(at)), len(atoms[i].text)), atoms[i].text)
	}
}
