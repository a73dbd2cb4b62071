package match

// A pile holds entries of a node that are gone through one by one: those that no
// condition files, on all of which an event that comes through the node is tried,
// and those that the tables file, for events that it would cost too much to look
// up (heavy.go). It is a chain of blocks of the slab, of which only the first may
// have room:
//
//	pile.first ─▶ │ n │ room │ next │ ref │ ref │     │
//	                             └─▶ │ n │ room │ next │ ref │ ref │ ref │ …
//
// An entry knows its block and place, so it is removed without a search.
type pile struct {
	first ref
	len   int
}

type pileBlock struct {
	len, room uint16
	next      ref
	ref       [largePile]ref // of which room are there
}

const (
	smallPile = 6 // room of the last block
	largePile = 62
)

func (c *core) pile(block ref) *pileBlock { return view[pileBlock](&c.slab, block) }

// heap puts an entry on a pile.
func (c *core) heap(p *pile, e ref) {
	if p.first == 0 || c.pile(p.first).len == c.pile(p.first).room {
		p.first = c.newPile(p.first)
	}
	b := c.pile(p.first)
	b.ref[b.len] = e
	c.entry(e).block, c.entry(e).index = p.first, b.len
	b.len++
	p.len++
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

// lastOf returns the entry of a pile that is the cheapest to take off.
func (c *core) lastOf(p pile) ref {
	b := c.pile(p.first)
	return b.ref[b.len-1]
}

// unheap fills the place of the entry with the last one of the first block.
func (c *core) unheap(p *pile, e ref) {
	p.len--
	gone := c.entry(e)
	first := c.pile(p.first)
	first.len--
	if last := first.ref[first.len]; last != e {
		c.pile(gone.block).ref[gone.index] = last
		c.entry(last).block, c.entry(last).index = gone.block, gone.index
		c.stats.Moved++
	}
	if first.len == 0 {
		empty := p.first
		p.first = first.next
		c.slab.release(empty)
	}
}

// tryPile tries the event on all of a pile.
func (c *core) tryPile(p pile) {
	for block := p.first; block != 0; {
		b := c.pile(block)
		for _, e := range b.ref[:b.len] {
			c.try(e)
		}
		block = b.next
	}
}
