package match

// A pile holds the entries of a node that no condition files: an event that
// comes through the node is tried on all of them. It is a chain of blocks of
// the slab, of which only the first may have room:
//
//	node.pile ─▶ │ n │ room │ next │ ref │ ref │     │
//	                            └─▶ │ n │ room │ next │ ref │ ref │ ref │ …
//
// An entry knows its block and place, so it is removed without a search.
type pile struct {
	len, room uint16
	next      ref
	ref       [largePile]ref // of which room are there
}

const (
	smallPile = 6 // room of the last block
	largePile = 62
)

func (c *core) pile(block ref) *pile { return view[pile](&c.slab, block) }

// heap puts an entry on the pile of its node.
func (c *core) heap(n *node, e ref) {
	n.heaped++
	if n.pile == 0 || c.pile(n.pile).len == c.pile(n.pile).room {
		n.pile = c.newPile(n.pile)
	}
	b := c.pile(n.pile)
	b.ref[b.len] = e
	c.entry(e).block, c.entry(e).index = n.pile, b.len
	b.len++
}

func (c *core) newPile(next ref) ref {
	room := largePile
	if next == 0 {
		room = smallPile
	}
	block := c.slab.alloc(8 + 4*room)
	b := c.pile(block)
	b.len, b.room, b.next = 0, uint16(room), next
	return block
}

// unheap fills the place of the entry with the last one of the first block.
func (c *core) unheap(n *node, e ref) {
	n.heaped--
	gone := c.entry(e)
	first := c.pile(n.pile)
	first.len--
	if last := first.ref[first.len]; last != e {
		c.pile(gone.block).ref[gone.index] = last
		c.entry(last).block, c.entry(last).index = gone.block, gone.index
		c.stats.Moved++
	}
	if first.len == 0 {
		empty := n.pile
		n.pile = first.next
		c.slab.release(empty)
	}
}
