package match

import (
	"unsafe"

	"github.com/harkbus/pubsub/query"
)

// An entry is one place where the index finds a query, a block of the slab
// that begins with
//
//	 0 query  ref   the record of the query; the first entry of a query begins its record
//	 4 next   ref   the next entry of the query, 0 if there is none
//	 8 node   u32   where it is filed
//	12 block  ref   in a range tree: the leaf; in a pile: its block
//	16 index  u16   place in that block
//	18 term   u16   the condition it is filed by
//	20 offset u16   of the gram in the text of that condition
//	22 way    u8    how it is filed
type entry []byte

const entrySize = 24

func (e entry) query() ref     { return ref(le.Uint32(e[0:])) }
func (e entry) next() ref      { return ref(le.Uint32(e[4:])) }
func (e entry) node() uint32   { return le.Uint32(e[8:]) }
func (e entry) block() ref     { return ref(le.Uint32(e[12:])) }
func (e entry) index() int     { return int(le.Uint16(e[16:])) }
func (e entry) term() int      { return int(le.Uint16(e[18:])) }
func (e entry) offset() int    { return int(le.Uint16(e[20:])) }
func (e entry) way() way       { return way(e[22]) }
func (e entry) setQuery(r ref) { le.PutUint32(e[0:], uint32(r)) }
func (e entry) setNext(r ref)  { le.PutUint32(e[4:], uint32(r)) }

func (e entry) setFiled(node uint32, f filing) {
	le.PutUint32(e[8:], node)
	le.PutUint16(e[18:], f.term)
	le.PutUint16(e[20:], f.offset)
	e[22] = uint8(f.way)
}

func (e entry) setPlace(block ref, index int) {
	le.PutUint32(e[12:], uint32(block))
	le.PutUint16(e[16:], uint16(index))
}

// A record is all that is needed to try an event on a query, in one block of
// the slab, so that it costs a miss or two of the processor's cache:
//
//	 0 entry          the first one
//	24 tried    u64   number of the event that it was last tried on
//	32 position u32   of the query in core.live
//	36 terms    u16
//	38 entries  u16   how many the query has
//	40 terms          of 16 bytes each
//	   texts
//
// A term is a condition, or one of the alternatives of IN, and says where to
// go on if it holds and if not. AND, OR and NOT need no more than that:
//
//	a = 1 AND (b = 2 OR NOT c = 3)
//
//	0: a = 1   yes ▶ 1        no ▶ reject
//	1: b = 2   yes ▶ accept   no ▶ 2
//	2: c = 3   yes ▶ reject   no ▶ accept
//
// A record without terms is of query.All, or of a query too large for a block,
// which is left to its own Matches.
type record []byte

const (
	recordHead = 40
	termSize   = 16
	accept     = 0xffff // in place of the number of a term
	reject     = 0xfffe
	opaque     = 0xfffd // in place of the number of terms: ask the query
	maxTerms   = 0xfff0
)

func (r record) tried() uint64         { return le.Uint64(r[24:]) }
func (r record) position() uint32      { return le.Uint32(r[32:]) }
func (r record) terms() int            { return int(le.Uint16(r[36:])) }
func (r record) entries() int          { return int(le.Uint16(r[38:])) }
func (r record) setTried(event uint64) { le.PutUint64(r[24:], event) }
func (r record) setPosition(p uint32)  { le.PutUint32(r[32:], p) }
func (r record) setTerms(n int)        { le.PutUint16(r[36:], uint16(n)) }
func (r record) setEntries(n int)      { le.PutUint16(r[38:], uint16(n)) }

// A term is laid out as
//
//	 0 key  u32   number of the key
//	 4 op   u8    never In
//	 5 kind u8    of the operand
//	 6 yes  u16
//	 8 no   u16
//	10 text u16   offset in the record
//	12 size u16   of the text
//
// and the eight bytes before the text of a Number, Date or Time are its
// coordinate.
type term struct {
	key        uint32
	op         query.Op
	kind       query.Kind
	yes, no    uint16
	text       string // in place in the record
	coordinate int64  // of a Number, Date or Time
}

func (r record) term(i int) term {
	b := r[recordHead+termSize*i:][:termSize]
	head, rest := le.Uint64(b), le.Uint64(b[8:])
	t := term{
		key:  uint32(head),
		op:   query.Op(head >> 32),
		kind: query.Kind(head >> 40),
		yes:  uint16(head >> 48),
		no:   uint16(rest),
	}
	at, size := int(uint16(rest>>16)), int(uint16(rest>>32))
	if t.kind > query.String {
		t.coordinate = int64(le.Uint64(r[at-8:]))
	}
	t.text = inPlace(r[at : at+size])
	return t
}

// inPlace makes a string of bytes without copying them. It is good while an
// event is matched: nothing writes the texts of a record, and a block is given
// back only by Remove.
func inPlace(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// recordSize returns the bytes that a record of the atoms takes.
func recordSize(atoms []atom) int {
	size := recordHead + termSize*len(atoms)
	for i := range atoms {
		size += len(atoms[i].text)
		if atoms[i].kind > query.String {
			size += 8
		}
	}
	return size
}

// write lays out a record in a block of recordSize bytes.
func (r record) write(self ref, position uint32, atoms []atom) {
	clear(r[:recordHead])
	entry(r).setQuery(self)
	r.setPosition(position)
	r.setTerms(len(atoms))
	at := recordHead + termSize*len(atoms)
	for i := range atoms {
		a := &atoms[i]
		if a.kind > query.String {
			le.PutUint64(r[at:], uint64(a.coordinate))
			at += 8
		}
		b := r[recordHead+termSize*i:]
		le.PutUint32(b, a.key)
		b[4], b[5] = uint8(a.op), uint8(a.kind)
		le.PutUint16(b[6:], a.yes)
		le.PutUint16(b[8:], a.no)
		le.PutUint16(b[10:], uint16(at))
		le.PutUint16(b[12:], uint16(len(a.text)))
		at += copy(r[at:], a.text)
	}
}
