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
	longList    = 15  // in one cache line with its length
	longestList = 63  // where a split has to wait for the next Add
	maxMoves    = 512 // entries that one Add may move to other nodes before splits wait
)

func newPosting(f form, value uint32) posting { return posting(uint32(f)<<30 | value) }

func (p posting) form() form    { return form(p >> 30) }
func (p posting) value() uint32 { return uint32(p) & (1<<30 - 1) }

// A list is the block of a posting.
type list []byte

func (l list) len() int               { return int(le.Uint32(l)) }
func (l list) setLen(n int)           { le.PutUint32(l, uint32(n)) }
func (l list) at(i int) ref           { return ref(le.Uint32(l[4+4*i:])) }
func (l list) set(i int, r ref)       { le.PutUint32(l[4+4*i:], uint32(r)) }
func listSize(n int) int              { return 4 + 4*n }
func (c *core) list(p posting) list   { return list(c.slab.at(ref(p.value()))) }
func (c *core) listLen(p posting) int { return c.list(p).len() }

// post files an entry under the hash of its condition in node n.
func (c *core) post(n *node, e ref, f filing) {
	t := c.tableOf(f.way)
	switch p := t.find(f.hash); p.form() {
	case noEntry:
		t.set(f.hash, newPosting(oneEntry, uint32(e)))
	case oneEntry:
		block := c.slab.alloc(listSize(2))
		l := list(c.slab.at(block))
		l.setLen(2)
		l.set(0, ref(p.value()))
		l.set(1, e)
		t.set(f.hash, newPosting(listed, uint32(block)))
	case listed:
		c.postToList(n, e, f, p)
	case noded:
		c.sinkOrHeap(n, c.nodes[p.value()], e)
	}
}

func (c *core) postToList(n *node, e ref, f filing, p posting) {
	l := c.list(p)
	size := l.len()
	if size >= longList && (c.moves+size <= maxMoves || size == longestList) {
		c.split(n, e, f, p)
		return
	}
	block := ref(p.value())
	if c.slab.size(block) < listSize(size+1) {
		block = c.slab.alloc(listSize(2*size + 1))
		copy(c.slab.at(block), l[:listSize(size)])
		c.slab.release(ref(p.value()))
		c.tableOf(f.way).set(f.hash, newPosting(listed, uint32(block)))
		l = list(c.slab.at(block))
	}
	l.set(size, e)
	l.setLen(size + 1)
}

// split turns a list into a node.
func (c *core) split(n *node, e ref, f filing, p posting) {
	before := c.moves
	child := c.newNode(n, c.termOf(e).key, f)
	c.tableOf(f.way).set(f.hash, newPosting(noded, child.number))
	l := c.list(p)
	for i := range l.len() {
		c.sinkOrHeap(n, child, l.at(i))
	}
	c.slab.release(ref(p.value()))
	c.stats.Moved += uint64(c.moves - before)
	c.sinkOrHeap(n, child, e)
}

// sinkOrHeap files an entry, posted in n, in a node below. An entry that is
// there only because two conditions share a tag goes on the pile: events find
// the node by the other condition.
func (c *core) sinkOrHeap(n, child *node, e ref) {
	from := entry(c.slab.at(e))
	if key, w := c.termOf(e).key, from.way(); key != child.key || w != child.way {
		n.forget(key, w)
		from.setFiled(n.number, filing{way: byNothing, term: uint16(from.term())})
		c.heap(n, e)
		return
	}
	c.sink(child, e)
}

// unpost takes an entry out of the posting it is in.
func (c *core) unpost(n *node, e ref) {
	from, term := entry(c.slab.at(e)), c.termOf(e)
	w := from.way()
	hash := c.hash(n, w, term.key, term.text, term.coordinate, from.offset())
	t := c.tableOf(w)
	if p := t.find(hash); p.form() == listed {
		c.unlist(t, hash, p, e)
	} else {
		t.remove(hash)
	}
	n.forget(term.key, w)
}

func (c *core) unlist(t *table, hash uint64, p posting, e ref) {
	l := c.list(p)
	last := l.len() - 1
	for i := range last {
		if l.at(i) == e {
			l.set(i, l.at(last))
		}
	}
	l.setLen(last)
	if last == 1 {
		t.set(hash, newPosting(oneEntry, uint32(l.at(0))))
		c.slab.release(ref(p.value()))
	}
}
