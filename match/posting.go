package match

// A posting is what the table has under a hash: the entries filed by one
// condition. As their number grows it takes another form:
//
//	1        the entry itself
//	2 … 15   a list, a block of the slab:   n │ ref │ ref │ ref …
//	more     a node, in which they are filed by what else they ask for
//
// The upper two bits tell the form.
type posting uint32

type form uint8

const (
	noEntry form = iota
	oneEntry
	listed
	noded
)

const (
	longList = 15      // in one cache line with its length
	maxMoves = 192     // entries that one Add may move to other nodes
	maxSteps = 1 << 16 // atoms that it may look at to file entries below the root
)

func newPosting(f form, value uint32) posting { return posting(uint32(f)<<30 | value) }

func (p posting) form() form    { return form(p >> 30) }
func (p posting) value() uint32 { return uint32(p) & (1<<30 - 1) }

// A list is the block of a posting. Its refs begin behind its length.
type list struct {
	len uint32
	ref [longList]ref // as many as the block has room for
}

func listSize(n int) int { return 4 + 4*n }

func (c *core) list(p posting) *list { return view[list](&c.slab, ref(p.value())) }

// post files an entry under the hash of its condition in node n.
func (c *core) post(p *plan, n *node, e ref, f filing) {
	t := c.tableOf(f.way)
	switch at := t.find(f.hash); at.form() {
	case noEntry:
		t.set(f.hash, newPosting(oneEntry, uint32(e)))
	case oneEntry:
		pair := newPosting(listed, uint32(c.slab.alloc(listSize(2))))
		l := c.list(pair)
		l.len, l.ref[0], l.ref[1] = 2, ref(at.value()), e
		t.set(f.hash, pair)
	case listed:
		c.postToList(p, n, e, f, at)
	case noded:
		c.sinkOrHeap(p, *c.nodes.at(at.value()), e)
	}
}

func (c *core) postToList(p *plan, n *node, e ref, f filing, at posting) {
	l := c.list(at)
	size := int(l.len)
	if size == longList {
		c.split(p, n, e, f, at)
		return
	}
	if c.slab.size(ref(at.value())) < listSize(size+1) {
		larger := newPosting(listed, uint32(c.slab.alloc(listSize(min(2*size+1, longList)))))
		from := l
		l = c.list(larger)
		l.len = from.len
		copy(l.ref[:size], from.ref[:size])
		c.slab.release(ref(at.value()))
		c.tableOf(f.way).set(f.hash, larger)
	}
	l.ref[size] = e
	l.len++
}

// split turns a list into a node.
func (c *core) split(p *plan, n *node, e ref, f filing, at posting) {
	_, t := c.termOf(e)
	child := c.newNode(n, t.key, f)
	if f.way == byPrefix || f.way == bySuffix {
		within := n.spanOf(t.key, f.way)
		class, _ := within.class(int(t.size))
		child.span = within.of(class)
	}
	c.tableOf(f.way).set(f.hash, newPosting(noded, child.number))
	l := c.list(at)
	for _, other := range l.ref[:l.len] {
		q := c.planOf(other)
		c.sinkOrHeap(q, child, other)
		c.returnPlan(q)
	}
	c.slab.release(ref(at.value()))
	c.sinkOrHeap(p, child, e)
}

// sinkOrHeap files an entry, posted where child hangs, in child. An entry that
// is there only because two conditions share a tag, of one node or of two, goes
// on the pile of its own node, which events find by the conditions above it.
func (c *core) sinkOrHeap(p *plan, child *node, e ref) {
	n := *c.nodes.at(c.entry(e).node)
	c.unheap(&n.posted, e)
	if _, t := c.termOf(e); n == child.parent && t.key == child.key && c.entry(e).way == child.way {
		c.sink(p, child, e)
		return
	}
	c.heapPosted(n, e)
}

// heapPosted puts an entry on the pile of n that was to be posted there.
func (c *core) heapPosted(n *node, e ref) {
	at := c.entry(e)
	_, t := c.termOf(e)
	c.forget(n, t.key, at.way)
	at.node, at.way = n.number, byNothing
	c.heap(&n.pile, e)
}

// unpost takes an entry out of the posting it is in.
func (c *core) unpost(n *node, e ref) {
	from := c.entry(e)
	r, term := c.termOf(e)
	hash := c.hash(n, from.way, term.key, r.textOf(term), r.coordinateOf(term), int(from.offset))
	t := c.tableOf(from.way)
	if p := t.find(hash); p.form() == listed {
		c.unlist(t, hash, p, e)
	} else {
		t.remove(hash)
	}
	c.unheap(&n.posted, e)
	c.forget(n, term.key, from.way)
}

func (c *core) unlist(t *table, hash uint64, p posting, e ref) {
	l := c.list(p)
	l.len--
	for i, other := range l.ref[:l.len] {
		if other == e {
			l.ref[i] = l.ref[l.len]
		}
	}
	if l.len == 1 {
		t.set(hash, newPosting(oneEntry, uint32(l.ref[0])))
		c.slab.release(ref(p.value()))
	}
}
