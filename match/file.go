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
	from, to := entry(c.slab.at(e)), entry(c.slab.at(added))
	to.setQuery(from.query())
	to.setNext(from.next())
	from.setNext(added)
	r := record(c.slab.at(from.query()))
	r.setEntries(r.entries() + 1)
	return added
}

// file files one entry in a node.
func (c *core) file(p *plan, n *node, e ref, f filing) {
	c.moves++
	entry(c.slab.at(e)).setFiled(n.number, f)
	n.count()
	switch f.way {
	case byNothing:
		c.heap(n, e)
	case byRange:
		c.fileInTree(n, e, p.bounds[f.begin:][:f.size], p.point[f.begin:][:f.size])
	default:
		t := c.termOf(e)
		n.note(t.key, f.way, len(t.text))
		c.post(n, e, f)
	}
}

// sink moves an entry from the node above n, where it is posted, to n, to be
// filed by what else its query asks for.
func (c *core) sink(n *node, e ref) {
	p := c.borrowPlan()
	defer c.returnPlan(p)
	r := record(c.slab.at(entry(c.slab.at(e)).query()))
	p.branches = p.branches[:0]
	if n.depth < maxDepth {
		c.compile(p, c.live.at(r.position()).query)
	}
	c.place(p, n, e, max(1, min(maxCover, maxEntries-r.entries())))
	n.parent.discount()
	n.parent.forget(n.key, n.way)
}

// unfile takes an entry out of its node, and nodes that are left empty out of
// the index.
func (c *core) unfile(e ref) {
	from := entry(c.slab.at(e))
	n := c.nodes[from.node()]
	switch from.way() {
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

// termOf returns the condition that an entry is filed by.
func (c *core) termOf(e ref) term {
	from := entry(c.slab.at(e))
	return c.recordOf(e, from).term(from.term())
}
