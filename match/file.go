package match

// place files a query in a node by its plan, in as many entries as its cover
// has, the first of which is e. With no cover, or one larger than limit, it
// goes on the pile.
func (c *core) place(p *plan, n *node, e ref, limit int) {
	filings, bounds := len(p.filings), len(p.bounds)
	if c.cover(p, n, limit) {
		for i := filings + 1; i < len(p.filings); i++ {
			c.file(p, n, c.addEntry(e), p.filings[i])
		}
		c.file(p, n, e, p.filings[filings])
	} else {
		c.file(p, n, e, filing{way: byNothing})
	}
	p.filings, p.bounds, p.point = p.filings[:filings], p.bounds[:bounds], p.point[:bounds]
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
	at := c.entry(e)
	if at.query != c.adding {
		c.moves++
	}
	at.node, at.way, at.term, at.offset, at.exact = n.number, f.way, f.term, f.offset, p.isBox(f)
	c.include(n)
	switch f.way {
	case byNothing:
		c.heap(&n.pile, e)
	case byTurn:
		c.heap(&n.backlog, e)
	case byRange:
		c.fileInTree(n, e, p.bounds[f.begin:][:f.size], p.point[f.begin:][:f.size])
	default:
		_, t := c.termOf(e)
		c.remember(n, t.key, f.way, int(t.size))
		c.heap(&n.posted, e)
		c.post(p, n, e, f)
	}
}

// sink moves an entry from the node above n, where it is posted, to n, to be
// filed by what else its query asks for. If the Add in progress has done enough
// it goes on the backlog, which later ones work off.
func (c *core) sink(p *plan, n *node, e ref) {
	if c.isTired() {
		c.file(p, n, e, filing{way: byTurn})
	} else {
		c.settleIn(p, n, e)
		for !c.isTired() && n.backlog.len > 0 {
			c.takeTurn(n)
		}
	}
	c.exclude(n.parent)
	c.forget(n.parent, n.key, n.way)
}

// isTired reports whether the Add in progress has moved as much as one may.
func (c *core) isTired() bool { return c.moves+maxCover > maxMoves || c.steps > maxSteps }

// settleIn files an entry in a node by what its query asks for beside the
// conditions that lead there.
func (c *core) settleIn(p *plan, n *node, e ref) {
	if n.depth == maxDepth {
		c.file(p, n, e, filing{way: byNothing})
		return
	}
	c.steps += len(p.atoms)
	entries := int(c.record(c.entry(e).query).entries)
	c.place(p, n, e, max(1, min(maxCover, maxEntries-entries)))
}

// takeTurn files the last entry on the backlog of a node.
func (c *core) takeTurn(n *node) {
	e := c.lastOf(n.backlog)
	c.unheap(&n.backlog, e)
	p := c.planOf(e)
	c.settleIn(p, n, e)
	c.returnPlan(p)
	c.exclude(n)
}

// planOf makes the plan of the query of an entry again.
func (c *core) planOf(e ref) *plan {
	p := c.borrowPlan()
	c.compile(p, c.live.at(c.record(c.entry(e).query).position).query)
	c.weigh(p)
	return p
}

// unfile takes an entry out of its node, and nodes that are left empty out of
// the index.
func (c *core) unfile(e ref) {
	from := c.entry(e)
	n := *c.nodes.at(from.node)
	switch from.way {
	case byNothing:
		c.unheap(&n.pile, e)
	case byTurn:
		c.unheap(&n.backlog, e)
	case byRange:
		c.unfileFromTree(from)
	default:
		c.unpost(n, e)
	}
	c.exclude(n)
	for ; n.total == 0 && n.parent != nil; n = n.parent {
		c.tableOf(n.way).remove(n.hash)
		c.dropNode(n)
	}
}
