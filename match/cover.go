package match

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/harkbus/pubsub/query"
)

// A filing is one entry to be made.
type filing struct {
	way    way
	term   uint16
	offset uint16 // of the gram
	size   uint16 // of its bounds in plan.bounds
	begin  uint32
	hash   uint64
}

const (
	costNewField  = 2 // a key and way by which nothing is filed yet: one look-up more for every event
	costLongGram  = 2 // CONTAINS of 4 bytes and more, plus what is there
	costAffix     = 4
	costRare      = 20 // EXISTS of a key that few queries ask for, plus what is there
	costShortGram = 16 // per missing byte
	costNode      = 16 // a condition that leads to a node, plus its pile and the bits in the number of its entries
	costRareRange = 18
	costHot       = 46 // a condition that all queries ask for
	costBox       = 48 // a range with two ends
	costCorner    = 56 // several with one end
	costHalfLine  = 64
	costPresence  = 80
	costBit       = 3       // less for each bit that a hot condition tells
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
// vain. It has nothing to do with the order in which queries came, since how
// many queries ask for a condition is known before any of them is filed by it:
//
//	rare   as many as fit a list: the entries that are there already, at most 15
//	hot    more: the fewer ask for it, the better, and among equally hot ones
//	       that of the key by which most are filed already
//
// The second half is what makes a node a decision tree. Of 20 keys with two
// values each, all conditions are equally hot. Filed by any, the queries would
// be spread over 40 nodes, of which an event comes through 20; filed by one
// key, over two, of which it comes through one.
//
// The choice is put on p.filings. cover reports false if there is none, or only
// one of more than limit entries.
func (c *core) cover(p *plan, n *node, limit int) bool {
	if len(p.branches) == 0 {
		return false
	}
	p.limit = limit
	if cost, _ := c.cost(p, n, 0); cost >= costNone {
		return false
	}
	c.collect(p, n, 0)
	return true
}

// weigh finds out how many queries ask for each atom.
func (c *core) weigh(p *plan) {
	for i := range p.atoms {
		a := &p.atoms[i]
		switch wayOf(a) {
		case byPresence, byRange:
			a.asked = int(c.key(a.key).uses)
		default:
			a.asked = c.asked.of(c.askedHash(a))
		}
		a.bits = bitsOf(a.asked, int(c.live.n))
	}
}

// askedHash is what an atom is counted by in the tally.
func (c *core) askedHash(a *atom) uint64 {
	return slotHash(mixed(c.secret, uint64(a.key)), wayOf(a), a.hash)
}

// hashOperand hashes the operand of an atom, so that those of equal conditions
// are equal.
func (c *core) hashOperand(a *atom) uint64 {
	switch wayOf(a) {
	case byNumber, byInstant:
		return c.hashPoint(scaleOf(a.kind), a.text, a.coordinate)
	case byPresence, byRange:
		return 0
	default:
		return c.hashText(a.text)
	}
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

// costOfAny is that of the worst alternative, and more the more there are: one
// bit less for twice as many.
func (c *core) costOfAny(p *plan, n *node, b int32) (cost, size int) {
	alternatives := 0
	for child := p.branches[b].child; child >= 0; child = p.branches[child].sibling {
		one, entries := c.cost(p, n, child)
		if size += entries; one >= costNone || size > p.limit {
			return costNone, 0
		}
		cost = max(cost, one)
		alternatives++
	}
	return cost + costBit*bits.Len(uint(alternatives-1)), size
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
	if begin := len(p.bounds); c.enclose(p, b) {
		if one := c.costOfBox(p, n, b, begin); one < cost {
			p.branches[b].choice = box
			return one, 1
		}
		p.bounds, p.point = p.bounds[:begin], p.point[:begin]
	}
	return cost, size
}

// collect lists what the cost was of.
func (c *core) collect(p *plan, n *node, b int32) {
	br := &p.branches[b]
	switch {
	case br.join == leaf, br.join == allOf && br.choice == box:
		f := br.filing
		if f.hash == 0 && f.way != byRange {
			f.hash = c.hashOf(n, f.way, &p.atoms[f.term], int(f.offset))
		}
		p.filings = append(p.filings, f)
	case br.join == allOf:
		c.collect(p, n, br.choice)
	default:
		for child := br.child; child >= 0; child = p.branches[child].sibling {
			c.collect(p, n, child)
		}
	}
}

// costOfAtom finds out how a leaf would be filed.
func (c *core) costOfAtom(p *plan, n *node, b int32) int {
	br := &p.branches[b]
	a := &p.atoms[br.atom]
	br.filing = filing{term: uint16(br.atom), way: a.way()}
	f := &br.filing
	switch {
	case f.way == byNothing:
		return costNone
	case f.way == byRange:
		begin := len(p.bounds)
		c.bind(p, begin, a)
		return c.costOfBox(p, n, b, begin)
	case n.knows(a, f.way):
		return costNone
	case f.way == byPresence:
		return c.costOfPresence(f, n, a)
	case a.asked > longList:
		return c.costOfHot(f, n, a) + costOfWay(f.way, len(a.text))
	}
	cost := costOfWay(f.way, len(a.text))
	if in := c.fieldOf(n, a.key); in == nil || in.entries[f.way] == 0 {
		cost += costNewField
	}
	if f.way == byGram {
		return cost + c.chooseGram(f, n, a)
	}
	f.hash = c.hashOf(n, f.way, a, 0)
	return cost + c.crowd(c.table.find(f.hash))
}

// costOfWay is what a way to file costs beside the entries that are there.
func costOfWay(w way, size int) int {
	switch w {
	case byPrefix, bySuffix:
		return costAffix + costShortGram*max(0, 4-size)
	case byGram:
		return costLongGram + costShortGram*max(0, 4-size)
	default:
		return 0
	}
}

// costOfHot is less for the key by which most entries of the node are filed, by
// more than the estimate of what a condition tells moves about.
func (c *core) costOfHot(f *filing, n *node, a *atom) int {
	cost := costHot - int(costBit*a.bits+0.5)
	if f.way == byGram && !c.chooseHotGram(f, n, a) {
		return costNone
	}
	if in := c.fieldOf(n, a.key); in != nil && 2*int(in.entries[f.way]) > n.total {
		cost -= 2
	} else if in != nil && 8*int(in.entries[f.way]) > n.total {
		cost--
	}
	return cost
}

func (c *core) costOfPresence(f *filing, n *node, a *atom) int {
	if a.asked > longList {
		return c.costOfHot(f, n, a) + costPresence - costHot
	}
	f.hash = c.hashOf(n, byPresence, a, 0)
	return costRare + c.crowd(c.table.find(f.hash))
}

func (c *core) hashOf(n *node, w way, a *atom, offset int) uint64 {
	if w == byText || w == byNumber || w == byInstant {
		return slotHash(n.saltOf(a.key), w, a.hash)
	}
	return c.hash(n, w, a.key, a.text, a.coordinate, offset)
}

// way returns how an atom on its own is filed.
func (a *atom) way() way {
	if a.negated {
		return byNothing
	}
	return wayOf(a)
}

// wayOf is way for an atom that does not stand below a NOT.
func wayOf(a *atom) way {
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

// chooseGram chooses the gram by which a text that is to be contained is
// filed: that with the least company, of those that do not lead to n. It returns
// the company, costNone if there is no such gram.
func (c *core) chooseGram(f *filing, n *node, a *atom) int {
	best := costNone
	for offset := range gramPlaces(a.text) {
		c.steps++
		if c.leadsTo(n, a, offset) {
			continue
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
	return best
}

// chooseHotGram chooses the first gram that does not lead to n, which is the
// same for all that ask for the condition. There is no use in one if they are
// most of what the node has.
func (c *core) chooseHotGram(f *filing, n *node, a *atom) bool {
	if n.under(a.key, byGram) && 2*a.asked > n.total {
		return false
	}
	for offset := range gramPlaces(a.text) {
		c.steps++
		if !c.leadsTo(n, a, offset) {
			f.offset = uint16(offset)
			return true
		}
	}
	return false
}

// leadsTo reports whether the gram of an atom's text at offset is among the
// conditions that lead to n.
func (c *core) leadsTo(n *node, a *atom, offset int) bool {
	for ; n.parent != nil; n = n.parent {
		if n.key == a.key && n.way == byGram && n.hash == c.hash(n.parent, byGram, a.key, a.text, 0, offset) {
			return true
		}
	}
	return false
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
		n := *c.nodes.at(p.value())
		return costNode + bits.Len(uint(n.total)) + n.pile.len
	}
}

// A bound is one coordinate of the points in a range tree: the lower or the
// upper end of a range over the values of a key.
type bound struct {
	key   uint32
	scale scale
	upper bool
	fine  bool // with its remainder
}

// sameEnd reports whether two bounds are of the same end of the same values.
func (b bound) sameEnd(other bound) bool {
	b.fine = other.fine
	return b == other
}

// An end is where a range begins or ends.
type end struct {
	at, rest uint64 // its coordinate, and the remainder
	fine     bool   // there is more to it than the coordinate
}

func (e end) compare(other end) int {
	return cmp.Or(cmp.Compare(e.at, other.at), cmp.Compare(e.rest, other.rest))
}

// endOf returns the end of a range, to be at most that of the event.
func endOf(a *atom, at bound) end {
	x := a.coordinate
	if at.scale == texts {
		x = coordinate(texts, a.text)
	}
	e := end{at: upwards(x), rest: remainder(at.scale, a.text, x), fine: hasRemainder(at.scale, a.text)}
	if at.upper {
		e.at, e.rest = ^e.at, ^e.rest
	}
	return e
}

const maxBounds = 8

func (p *plan) isRange(b int32) bool {
	br := &p.branches[b]
	return br.join == leaf && p.atoms[br.atom].way() == byRange
}

// enclose appends the bounds of all ranges directly below b, and reports
// whether there is one.
func (c *core) enclose(p *plan, b int32) bool {
	begin := len(p.bounds)
	for child := p.branches[b].child; child >= 0; child = p.branches[child].sibling {
		if p.isRange(child) {
			c.bind(p, begin, &p.atoms[p.branches[child].atom])
		}
	}
	return len(p.bounds) > begin
}

// bind adds a range to the bounds from begin on. The points are laid out so
// that a range fits an event if its point is at most the event's in every
// coordinate: an upper end counts downwards.
func (c *core) bind(p *plan, begin int, a *atom) {
	at := boundOf(a)
	x := endOf(a, at)
	if i := slices.Index(p.bounds[begin:], at); i >= 0 {
		p.point[begin+i] = slices.MaxFunc([]end{p.point[begin+i], x}, end.compare) // both must hold
		return
	}
	if len(p.bounds)-begin == maxBounds && !c.makeRoom(p, begin, a) {
		return // the others are enough to find it by
	}
	i := begin
	for i < len(p.bounds) && p.bounds[i].rank() < at.rank() {
		i++
	}
	p.bounds = slices.Insert(p.bounds, i, at)
	p.point = slices.Insert(p.point, i, x)
}

// refine adds remainders to the bounds from begin on, as far as there is room.
func (p *plan) refine(begin int) {
	planes := len(p.bounds) - begin
	for i := begin; i < len(p.bounds); i++ {
		if p.point[i].fine && planes < maxBounds {
			p.bounds[i].fine = true
			planes++
		}
	}
}

// makeRoom takes out the bound whose key most queries ask for, if these are
// more than ask for the key of a.
func (c *core) makeRoom(p *plan, begin int, a *atom) bool {
	worst, uses := -1, c.key(a.key).uses
	for i, b := range p.bounds[begin:] {
		if c.key(b.key).uses > uses {
			worst, uses = begin+i, c.key(b.key).uses
		}
	}
	if worst < 0 {
		return false
	}
	p.bounds = slices.Delete(p.bounds, worst, worst+1)
	p.point = slices.Delete(p.point, worst, worst+1)
	return true
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
	return filing{way: byRange, begin: uint32(begin), size: uint16(len(p.bounds) - begin)}
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

// costOfBox finds out how the ranges with the bounds from begin on, those of b
// or directly below, would be filed: in a tree, or, where there are trees for
// too many other sets of keys, by the presence of the rarest key. In the node of
// that key the others make the trees.
func (c *core) costOfBox(p *plan, n *node, b int32, begin int) int {
	br := &p.branches[b]
	p.refine(begin)
	bounds := p.bounds[begin:]
	rarest := c.rarest(bounds)
	asked := int(c.key(rarest).uses)
	told := bitsOf(asked, int(c.live.n))
	if told >= fewAsk && !n.under(rarest, byPresence) && !c.hasHome(n, bounds) {
		br.filing = filing{way: byPresence, term: p.rangeOf(b, rarest)}
		return c.costOfPresence(&br.filing, n, &p.atoms[br.filing.term])
	}
	br.filing = p.boxed(begin)
	if br.join == leaf {
		br.filing.term = uint16(br.atom)
	}
	if asked <= longList && !n.under(rarest, byPresence) {
		return costRareRange
	}
	return shapeCost(bounds) - int(costBit*told)
}

const fewAsk = 3 // bits that a key tells of which few queries ask for a range

// rangeOf returns the term of a range on a key, b itself or directly below.
func (p *plan) rangeOf(b int32, key uint32) uint16 {
	if p.branches[b].join == leaf {
		return uint16(p.branches[b].atom)
	}
	child := p.branches[b].child
	for !p.isRange(child) || p.atoms[p.branches[child].atom].key != key {
		child = p.branches[child].sibling
	}
	return uint16(p.branches[child].atom)
}

// rarest returns the key of the bounds that the fewest queries ask for.
func (c *core) rarest(bounds []bound) uint32 {
	return slices.MinFunc(bounds, func(a, b bound) int { return cmp.Compare(c.key(a.key).uses, c.key(b.key).uses) }).key
}

func shapeCost(bounds []bound) int {
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
