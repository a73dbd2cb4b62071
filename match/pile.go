package match

// A pile holds the entries of a node that no condition files: an event that
// comes through the node is tried on all of them. It is a chain of blocks of
// the slab, of which only the first may have room:
//
//	node.pile ─▶ │ n │ room │ next │ ref │ ref │     │
//	                            └─▶ │ n │ room │ next │ ref │ ref │ ref │ …
//
// An entry knows its block and place, so it is removed without a search.
type pile []byte

const (
	pileHead  = 8
	smallPile = 6
	largePile = 62
)

func (b pile) len() int         { return int(le.Uint16(b)) }
func (b pile) setLen(n int)     { le.PutUint16(b, uint16(n)) }
func (b pile) room() int        { return int(le.Uint16(b[2:])) }
func (b pile) next() ref        { return ref(le.Uint32(b[4:])) }
func (b pile) at(i int) ref     { return ref(le.Uint32(b[pileHead+4*i:])) }
func (b pile) set(i int, e ref) { le.PutUint32(b[pileHead+4*i:], uint32(e)) }

func (c *core) heap(n *node, e ref) {
	n.heaped++
	if n.pile == 0 || pile(c.slab.at(n.pile)).len() == pile(c.slab.at(n.pile)).room() {
		n.pile = c.newPile(n.pile)
	}
	b := pile(c.slab.at(n.pile))
	size := b.len()
	b.set(size, e)
	b.setLen(size + 1)
	entry(c.slab.at(e)).setPlace(n.pile, size)
}

func (c *core) newPile(next ref) ref {
	room := largePile
	if next == 0 {
		room = smallPile
	}
	block := c.slab.alloc(pileHead + 4*room)
	b := c.slab.at(block)
	le.PutUint16(b, 0)
	le.PutUint16(b[2:], uint16(room))
	le.PutUint32(b[4:], uint32(next))
	return block
}

// unheap fills the place of the entry with the last one of the first block.
func (c *core) unheap(n *node, e ref) {
	n.heaped--
	gone := entry(c.slab.at(e))
	first := pile(c.slab.at(n.pile))
	last := first.len() - 1
	moved := first.at(last)
	first.setLen(last)
	if moved != e {
		pile(c.slab.at(gone.block())).set(gone.index(), moved)
		entry(c.slab.at(moved)).setPlace(gone.block(), gone.index())
		c.stats.Moved++
	}
	if last == 0 {
		empty := n.pile
		n.pile = first.next()
		c.slab.release(empty)
	}
}
