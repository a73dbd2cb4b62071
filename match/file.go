package match

// place files a query in a node by its plan, in as many entries as its cover
// has, the first of which is e. With no cover, or one larger than limit, it
// goes on the pile.
func (c *core) place(p *plan, n *node, e ref, limit int) {
	if !c.cover(p, n, limit) {
		c.file(p, n, e, filing{way: byNothing})
		return
	}
	filings := p.filings
	for i := 1; i < len(filings); i++ {
		c.file(p, n, c.addEntry(e), filings[i])
	}
	c.file(p, n, e, filings[0])
}

// addEntry gives a query one entry more, next to the one at e.
func (c *core) addEntry(e ref) ref {
	added := c.slab.alloc(entrySize)
	from := c.entry(e)
	*c.entry(added) = entry{query: from.query, next: from.next}
	from.next = added
	c.record(from.query).entries++
	return added
}

// file files one entry in a node.
func (c *core) file(p *plan, n *node, e ref, f filing) {
	c.moves++
	at := c.entry(e)
	at.node, at.way, at.term, at.offset, at.exact = n.number, f.way, f.term, f.offset, p.isBox(f)
	n.count()
	switch f.way {
	case byNothing:
		c.heap(n, e)
	case byRange:
		c.fileInTree(n, e, p.bounds[f.begin:][:f.size], p.point[f.begin:][:f.size])
	default:
		_, t := c.termOf(e)
		n.note(t.key, f.way, int(t.size))
		c.post(n, e, f)
	}
}

// sink moves an entry from the node above n, where it is posted, to n, to be
// filed by what else its query asks for.
func (c *core) sink(n *node, e ref) {
	p := c.borrowPlan()
	defer c.returnPlan(p)
	r := c.record(c.entry(e).query)
	p.branches = p.branches[:0]
	if n.depth < maxDepth {
		c.compile(p, c.live.at(r.position).query)
	}
	c.place(p, n, e, max(1, min(maxCover, maxEntries-int(r.entries))))
	n.parent.discount()
	n.parent.forget(n.key, n.way)
}

// unfile takes an entry out of its node, and nodes that are left empty out of
// the index.
func (c *core) unfile(e ref) {
	from := c.entry(e)
	n := c.nodes[from.node]
	switch from.way {
	case byNothing:
		c.unheap(n, e)
	case byRange:
		c.unfileFromTree(from)
	default:
		c.unpost(n, e)
	}
	n.discount()
	for ; n.total == 0 && n.parent != nil; n = n.parent {
		c.tableOf(n.way).remove(n.hash)
		c.dropNode(n)
	}
}
