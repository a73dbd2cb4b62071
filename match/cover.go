package match

import (
	"math/bits"
	"slices"

	"github.com/harkbus/pubsub/query"
)

// A filing is one entry to be made.
type filing struct {
	way         way
	term        uint16
	offset      uint16 // of the gram
	hash        uint64
	begin, size uint16 // of its bounds in plan.bounds
}

const (
	costNewField  = 2 // a key and way by which nothing is filed yet: one look-up more for every event
	costLongGram  = 2 // CONTAINS of 4 bytes and more, plus what is there
	costAffix     = 4
	costShortGram = 16 // per missing byte
	costNode      = 16 // a condition that leads to a node, plus its pile and the bits in the number of its entries
	costBox       = 48 // a range with two ends
	costCorner    = 56 // several with one end
	costHalfLine  = 64
	costPresence  = 80
	costNone      = 1 << 30 // cannot be filed
)

// cover chooses what to file a query by in n: some of its conditions, of which
// at least one holds wherever the query does. The rest is looked at when one of
// them holds.
//
//	cover(a AND b) = cover(a) or cover(b), whichever is cheaper
//	cover(a OR b)  = cover(a) and cover(b)
//	cover(NOT …)   = none
//
// There is no disjunctive normal form, so its size is at most that of the
// query. Ranges that must all hold make one entry together, a box:
// a > 1 AND a <= 5 AND b > 3.
//
// What a condition costs is, roughly, how many entries an event finds there in
// vain. It rises with those already filed there, so queries with a hot and a
// rare condition go to the rare one without statistics.
//
// The choice is in p.filings. cover reports false if there is none, or only
// one of more than limit entries.
func (c *core) cover(p *plan, n *node, limit int) bool {
	p.filings, p.bounds, p.point = p.filings[:0], p.bounds[:0], p.point[:0]
	if len(p.branches) == 0 {
		return false
	}
	if cost, size := c.cost(p, n, 0); cost >= costNone || size > limit {
		return false
	}
	p.collect(0)
	return true
}

const box = -1 // choice of a join: its ranges together

// cost returns what it costs to file by a branch, and in how many entries.
func (c *core) cost(p *plan, n *node, b int32) (cost, size int) {
	switch p.branches[b].join {
	case leaf:
		return c.costOfAtom(p, n, b), 1
	case allOf:
		return c.costOfAll(p, n, b)
	default:
		return c.costOfAny(p, n, b)
	}
}

func (c *core) costOfAny(p *plan, n *node, b int32) (cost, size int) {
	for child := p.branches[b].child; child >= 0; child = p.branches[child].sibling {
		one, entries := c.cost(p, n, child)
		if one >= costNone {
			return costNone, 0
		}
		cost, size = cost+one+1, size+entries
	}
	return min(cost, costNone-1), size
}

func (c *core) costOfAll(p *plan, n *node, b int32) (cost, size int) {
	cost, size = costNone, 0
	for child := p.branches[b].child; child >= 0; child = p.branches[child].sibling {
		if p.isRange(child) {
			continue // in the box
		}
		if one, entries := c.cost(p, n, child); one < cost {
			cost, size = one, entries
			p.branches[b].choice = child
		}
		if cost == 0 {
			return cost, size
		}
	}
	if begin := len(p.bounds); p.enclose(b) {
		if one := costOfBox(p.bounds[begin:]); one < cost {
			p.branches[b].choice = box
			p.branches[b].filing = p.boxed(begin)
			return one, 1
		}
		p.bounds, p.point = p.bounds[:begin], p.point[:begin]
	}
	return cost, size
}

// collect lists what the cost was of.
func (p *plan) collect(b int32) {
	br := &p.branches[b]
	switch {
	case br.join == leaf, br.join == allOf && br.choice == box:
		p.filings = append(p.filings, br.filing)
	case br.join == allOf:
		p.collect(br.choice)
	default:
		for child := br.child; child >= 0; child = p.branches[child].sibling {
			p.collect(child)
		}
	}
}

// costOfAtom finds out how a leaf would be filed.
func (c *core) costOfAtom(p *plan, n *node, b int32) int {
	br := &p.branches[b]
	a := &p.atoms[br.atom]
	br.filing = filing{term: uint16(br.atom), way: a.way()}
	f := &br.filing
	switch f.way {
	case byNothing:
		return costNone
	case byRange:
		begin := len(p.bounds)
		p.bind(begin, a)
		*f = p.boxed(begin)
		f.term = uint16(br.atom)
		return costHalfLine
	}
	if n.under(a.key, f.way) {
		return costNone
	}
	cost := 0
	if in := n.find(a.key); in == nil || in.entries[f.way] == 0 {
		cost = costNewField
	}
	if f.way == byGram {
		return cost + c.costOfGram(f, n, a)
	}
	f.hash = c.hash(n, f.way, a.key, a.text, a.coordinate, 0)
	cost += c.crowd(c.table.find(f.hash))
	switch f.way {
	case byPrefix, bySuffix:
		cost += costAffix + costShortGram*max(0, 4-len(a.text))
	case byPresence:
		cost += costPresence
	}
	return cost
}

// way returns how an atom on its own is filed.
func (a *atom) way() way {
	if a.negated {
		return byNothing
	}
	switch a.op {
	case query.Equal:
		return [scales]way{numbers: byNumber, instants: byInstant, texts: byText}[scaleOf(a.kind)]
	case query.Less, query.LessOrEqual, query.Greater, query.GreaterOrEqual:
		return byRange
	case query.Exists, query.NotEqual:
		return byPresence
	}
	switch {
	case a.text == "":
		return byPresence // every value has it
	case a.op == query.StartsWith:
		return byPrefix
	case a.op == query.EndsWith:
		return bySuffix
	default: // Contains, Matches
		return byGram
	}
}

// costOfGram chooses the gram by which a text that is to be contained is
// filed: that with the least company among a few, beginning at the end, since
// texts have beginnings in common.
func (c *core) costOfGram(f *filing, n *node, a *atom) int {
	const looks = 5
	size := gramSize(len(a.text))
	places := min(len(a.text)-size, 1<<15) + 1
	best := costNone
	for i := range min(looks, places) {
		offset := (places - 1) * (looks - 1 - i) / (looks - 1)
		if places <= looks {
			offset = places - 1 - i
		}
		hash := c.hash(n, byGram, a.key, a.text, 0, offset)
		if crowd := c.crowd(c.grams.find(hash)); crowd < best {
			best = crowd
			f.hash, f.offset = hash, uint16(offset)
		}
		if best == 0 {
			break
		}
	}
	return best + costLongGram + costShortGram*max(0, 4-size)
}

// crowd is the cost of the entries in a posting.
func (c *core) crowd(p posting) int {
	switch p.form() {
	case noEntry:
		return 0
	case oneEntry:
		return 1
	case listed:
		return int(c.list(p).len)
	default:
		n := c.nodes[p.value()]
		return costNode + bits.Len(uint(n.total)) + n.heaped
	}
}

// A bound is one coordinate of the points in a range tree: the lower or the
// upper end of a range over the values of a key.
type bound struct {
	key   uint32
	scale scale
	upper bool
}

const maxBounds = 8

func (p *plan) isRange(b int32) bool {
	br := &p.branches[b]
	return br.join == leaf && p.atoms[br.atom].way() == byRange
}

// enclose appends the bounds of all ranges directly below b, and reports
// whether there is one.
func (p *plan) enclose(b int32) bool {
	begin := len(p.bounds)
	for child := p.branches[b].child; child >= 0; child = p.branches[child].sibling {
		if p.isRange(child) {
			p.bind(begin, &p.atoms[p.branches[child].atom])
		}
	}
	return len(p.bounds) > begin
}

// bind adds a range to the bounds from begin on. The points are laid out so
// that a range fits an event if its point is at most the event's in every
// coordinate: an upper end counts downwards.
func (p *plan) bind(begin int, a *atom) {
	at := boundOf(a)
	end := a.coordinate
	if at.scale == texts {
		end = coordinate(texts, a.text)
	}
	x := upwards(end)
	if at.upper {
		x = ^x
	}
	if i := slices.Index(p.bounds[begin:], at); i >= 0 {
		p.point[begin+i] = max(p.point[begin+i], x) // both must hold
		return
	}
	if len(p.bounds)-begin == maxBounds {
		return // the others are enough to find it by
	}
	i := begin
	for i < len(p.bounds) && p.bounds[i].rank() < at.rank() {
		i++
	}
	p.bounds = slices.Insert(p.bounds, i, at)
	p.point = slices.Insert(p.point, i, x)
}

func boundOf(a *atom) bound {
	return bound{key: a.key, scale: scaleOf(a.kind), upper: a.op == query.Less || a.op == query.LessOrEqual}
}

// upwards maps coordinates to unsigned integers in the same order.
func upwards(c int64) uint64 { return uint64(c) ^ 1<<63 }

// rank orders bounds; the two ends of a range are next to one another.
func (b bound) rank() uint64 {
	r := uint64(b.key)<<8 | uint64(b.scale)<<1
	if b.upper {
		r |= 1
	}
	return r
}

// boxed returns the filing by the bounds from begin on.
func (p *plan) boxed(begin int) filing {
	return filing{way: byRange, begin: uint16(begin), size: uint16(len(p.bounds) - begin)}
}

// isBox reports whether a filing holds all that the query asks for: it is by
// range, and the query is no more than its ranges, one for each bound.
func (p *plan) isBox(f filing) bool {
	if f.way != byRange || int(f.size) != len(p.atoms) {
		return false
	}
	if p.isRange(0) {
		return true
	}
	for child := p.branches[0].child; child >= 0; child = p.branches[child].sibling {
		if !p.isRange(child) {
			return false
		}
	}
	return p.branches[0].join == allOf
}

func costOfBox(bounds []bound) int {
	for i := range bounds[1:] {
		if bounds[i].key == bounds[i+1].key && bounds[i].scale == bounds[i+1].scale {
			return costBox
		}
	}
	if len(bounds) > 1 {
		return costCorner
	}
	return costHalfLine
}
