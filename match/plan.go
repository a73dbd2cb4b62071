package match

import "github.com/harkbus/pubsub/query"

// A plan is a query taken apart: its atoms in the order of its text, which
// become the terms of its record, and the tree above them with each NOT pushed
// down to the atoms.
//
//	a = 1 AND NOT (b = 2 OR c IN (3, 4))
//
//	atoms     a = 1    b = 2 not    c = 3 not    c = 4 not
//	            │          │            └──── all ────┘
//	            │          └───────── all ──────┘
//	            └───────── all ────────┘
type plan struct {
	atoms    []atom
	branches []branch
	limit    int      // of entries in the node in hand
	filings  []filing // a stack: an entry may be filed in a node while others wait for their turn
	bounds   []bound  // of the filings by range, with the points beside them; the same
	point    []end
}

// An atom is a condition with one operand at most.
type atom struct {
	key        uint32
	op         query.Op
	kind       query.Kind
	negated    bool
	yes, no    uint16 // see record
	text       string // of the operand; of a regular expression, what it cannot match without
	coordinate int64
	hash       uint64  // of the operand
	asked      int     // how many queries ask for it, about; see tally
	bits       float64 // what it tells; see bitsOf
}

// A branch is a node of the tree.
type branch struct {
	join    join
	atom    int32 // the first one below
	child   int32 // the first one; -1 in a leaf
	sibling int32 // the next one, or -1

	// What the cover of the query takes of it; see cover.
	choice int32
	filing filing
}

type join uint8

const (
	leaf join = iota
	allOf
	anyOf
)

// fits reports whether the record of the query fits in a block, and its terms
// in the 16 bits of their numbers.
func (p *plan) fits() bool {
	return len(p.atoms) <= maxTerms && recordSize(p.atoms) <= maxBlock
}

// compile makes the plan of q. The root of the tree is branch 0; query.All has
// no tree.
func (c *core) compile(p *plan, q *query.Query) {
	p.atoms, p.branches, p.filings, p.bounds, p.point = p.atoms[:0], p.branches[:0], p.filings[:0], p.bounds[:0], p.point[:0]
	if q.Expr() == nil {
		return
	}
	c.grow(p, q.Expr(), false)
	p.link(0, accept, reject)
}

// grow adds the branch of e to the plan and returns its number.
func (c *core) grow(p *plan, e query.Expr, negated bool) int32 {
	switch e := e.(type) {
	case query.Not:
		return c.grow(p, e.Term, !negated)
	case query.AllOf:
		return c.growJoin(p, allOf, e, negated)
	case query.AnyOf:
		return c.growJoin(p, anyOf, e, negated)
	case *query.Condition:
		return c.growCondition(p, e, negated)
	default:
		panic("match: unknown kind of expression")
	}
}

func (c *core) growJoin(p *plan, j join, terms []query.Expr, negated bool) int32 {
	b := p.branch(j, negated)
	last := int32(-1)
	for _, term := range terms {
		last = p.adopt(b, last, c.grow(p, term, negated))
	}
	return b
}

// growCondition adds a leaf, or for IN one leaf per operand.
func (c *core) growCondition(p *plan, condition *query.Condition, negated bool) int32 {
	key := c.keyOf(condition.Key)
	if condition.Op != query.In {
		return c.leaf(p, key, condition.Op, condition.Operands, negated)
	}
	b := p.branch(anyOf, negated)
	last := int32(-1)
	for i := range condition.Operands {
		last = p.adopt(b, last, c.leaf(p, key, query.Equal, condition.Operands[i:i+1], negated))
	}
	return b
}

// branch adds a join, turned around if it stands below a NOT.
func (p *plan) branch(j join, negated bool) int32 {
	if negated {
		j = allOf + anyOf - j
	}
	p.branches = append(p.branches, branch{join: j, atom: int32(len(p.atoms)), child: -1, sibling: -1})
	return int32(len(p.branches) - 1)
}

// adopt makes child the next child of parent after last and returns it.
func (p *plan) adopt(parent, last, child int32) int32 {
	if last < 0 {
		p.branches[parent].child = child
	} else {
		p.branches[last].sibling = child
	}
	return child
}

func (c *core) leaf(p *plan, key uint32, op query.Op, operands []query.Operand, negated bool) int32 {
	b := p.branch(leaf, false)
	a := atom{key: key, op: op, negated: negated}
	if len(operands) > 0 {
		a.kind, a.text = operands[0].Kind(), operands[0].Text()
	}
	switch {
	case op == query.Matches:
		a.text = operands[0].Literal()
	case a.kind > query.String:
		a.coordinate = coordinate(scaleOf(a.kind), a.text)
	}
	a.hash = c.hashOperand(&a)
	p.atoms = append(p.atoms, a)
	return b
}

// link tells every atom below b where to go on.
func (p *plan) link(b int32, yes, no uint16) {
	br := &p.branches[b]
	if br.join == leaf {
		a := &p.atoms[br.atom]
		a.yes, a.no = yes, no
		if a.negated {
			a.yes, a.no = no, yes
		}
		return
	}
	for child := br.child; child >= 0; {
		next := p.branches[child].sibling
		switch {
		case next < 0:
			p.link(child, yes, no)
		case br.join == allOf:
			p.link(child, uint16(p.branches[next].atom), no)
		default:
			p.link(child, yes, uint16(p.branches[next].atom))
		}
		child = next
	}
}
