package match

// A node files entries. The root files every query; when many entries share
// one condition, they move to a node of their own below it, where they are
// filed by their other conditions:
//
//	root
//	├─ tm.event = 'Tx'     ─▶ node          more than a list is good for
//	│                         ├─ transfer.sender = 'a' ─▶ entry
//	│                         ├─ transfer.sender = 'b' ─▶ entry, entry, entry
//	│                         ├─ tx.height             ─▶ range tree
//	│                         └─ pile                     nothing else to file them by
//	├─ tm.event = 'Vote'   ─▶ entry
//	├─ memo CONTAINS 'gift'─▶ entry
//	└─ pile                                               NOT …, query.All
type node struct {
	parent *node
	number uint32
	depth  int
	key    uint32 // what the entries of the node have in common: the condition
	way    way    // of the parent that leads here
	hash   uint64
	span   span // of byPrefix and bySuffix

	salt    uint64
	visited uint64 // the last event that came through
	total   int    // entries here and below
	pile    pile   // entries not filed by a condition, since there is none
	backlog pile   // entries that are still to be filed
	posted  pile   // entries filed by the tables, for passThrough
	below   *node  // the first of the nodes whose parent this is
	before  *node  // among those of the parent
	next    *node
	fields  int    // how many
	first   *field // of the fields
	wide    bool   // its fields are in the table of all fields
	slow    int    // entries by grams, and trees: what searchSlow is for
}

// A field is what a node files under one key.
type field struct {
	key      uint32
	number   uint32
	same     uint32 // 1 + the next field whose node and key have the same tag
	node     *node
	before   *field // in its node
	next     *field
	salt     uint64
	entries  [ways]int32 // filed by the field, here or in nodes below; not byRange
	prefixes affixes
	suffixes affixes
	grams    uint8
	trees    []*tree
}

// The fields of all nodes. Those of nodes with many are in a table, under the
// hash of node and key.
type fields struct {
	table table // see chain
	all   roster[*field]
}

// A way is how an entry is filed.
type way uint8

const (
	byNothing  way = iota // on the pile of its node
	byTurn                // on its backlog
	byText                // = 'text'
	byNumber              // = number
	byInstant             // = DATE, TIME
	byPrefix              // STARTSWITH
	bySuffix              // ENDSWITH
	byGram                // CONTAINS, MATCHES
	byPresence            // EXISTS, and others that need a value
	byRange               // < <= > >=
	ways
)

const (
	maxDepth    = 24 // of nodes
	manyFields  = 16 // beyond which a node is wide
	maxEntries  = 64 // of one query, beyond what the root needs
	maxCover    = 8  // of one query in one node below the root
	enoughTrees = 64 // of one field
)

func (c *core) newNode(parent *node, key uint32, f filing) *node {
	n := &node{parent: parent, hash: f.hash, way: f.way, key: key}
	if parent != nil {
		n.depth = parent.depth + 1
		n.hang()
	}
	n.number = c.nodes.add(n)
	c.salts++
	n.salt = mixed(c.secret, c.salts)
	return n
}

func (c *core) dropNode(n *node) {
	n.unhang()
	c.nodes.drop(n.number)
}

// hang puts a node among those below its parent.
func (n *node) hang() {
	if n.next = n.parent.below; n.next != nil {
		n.next.before = n
	}
	n.parent.below = n
}

// unhang is the reverse of hang.
func (n *node) unhang() {
	if n.before == nil {
		n.parent.below = n.next
	} else {
		n.before.next = n.next
	}
	if n.next != nil {
		n.next.before = n.before
	}
}

// knows reports whether an atom tells no more than the conditions that lead to
// n. Of grams it does not know; see chooseGram.
func (n *node) knows(a *atom, w way) bool {
	switch w {
	case byPrefix, bySuffix:
		_, more := n.spanOf(a.key, w).class(len(a.text))
		return !more
	case byGram:
		return false
	default:
		return n.under(a.key, w)
	}
}

// under reports whether n is below a condition of that key and way, so that
// there is no use in filing by another one. Any condition of a key implies that
// there is a value.
func (n *node) under(key uint32, w way) bool {
	for ; n.parent != nil; n = n.parent {
		if n.key == key && (n.way == w || w == byPresence) {
			return true
		}
	}
	return false
}

// saltOf returns what the hashes of a node's conditions on a key are mixed
// with.
func (n *node) saltOf(key uint32) uint64 { return mixed(n.salt, uint64(key)) }

// fieldOf returns the field of a key, nil if there is none.
func (c *core) fieldOf(n *node, key uint32) *field {
	if n.wide {
		return c.lookUpField(n, key)
	}
	f := n.first
	for f != nil && f.key != key {
		f = f.next
	}
	return f
}

func (c *core) lookUpField(n *node, key uint32) *field {
	for at := uint32(c.fields.table.find(n.saltOf(key))); at != 0; {
		f := *c.fields.all.at(at - 1)
		if f.node == n && f.key == key {
			return f
		}
		at = f.same
	}
	return nil
}

// makeField returns the field of a key, and makes it if there is none.
func (c *core) makeField(n *node, key uint32) *field {
	f := c.fieldOf(n, key)
	if f != nil {
		return f
	}
	f = &field{key: key, node: n, salt: n.saltOf(key), next: n.first}
	f.prefixes.span, f.suffixes.span = n.spanOf(key, byPrefix), n.spanOf(key, bySuffix)
	f.number = c.fields.all.add(f)
	if n.first != nil {
		n.first.before = f
	}
	n.first = f
	n.fields++
	if n.wide {
		c.listField(f)
	} else if n.fields > manyFields {
		n.wide = true
		for f := n.first; f != nil; f = f.next {
			c.listField(f)
		}
	}
	return f
}

func (c *core) listField(f *field) { f.same = c.fields.table.chain(f.salt, f.number) }

// dropIfEmpty removes a field under which nothing is filed.
func (c *core) dropIfEmpty(f *field) {
	if len(f.trees) > 0 || f.entries != [ways]int32{} {
		return
	}
	n := f.node
	if f.before == nil {
		n.first = f.next
	} else {
		f.before.next = f.next
	}
	if f.next != nil {
		f.next.before = f.before
	}
	if n.wide {
		c.fields.table.unchain(f.salt, f.number, func(number uint32) *uint32 { return &(*c.fields.all.at(number)).same })
	}
	c.fields.all.drop(f.number)
	if n.fields--; n.fields == 0 {
		n.wide = false
	}
}

// remember counts an entry that is filed by a field of n, and remembers what
// lengths events are to be looked up by.
func (c *core) remember(n *node, key uint32, w way, size int) {
	f := c.makeField(n, key)
	n.tally(f, w, +1)
	switch w {
	case byPrefix:
		f.prefixes.use(size)
	case bySuffix:
		f.suffixes.use(size)
	case byGram:
		f.grams |= 1 << gramClass(size)
	}
}

// forget is the reverse of remember. Lengths are forgotten with the last entry;
// until then, one too many costs a look-up in vain.
func (c *core) forget(n *node, key uint32, w way) {
	f := c.fieldOf(n, key)
	if n.tally(f, w, -1); f.entries[w] > 0 {
		return
	}
	switch w {
	case byPrefix:
		f.prefixes.classes = 0
	case bySuffix:
		f.suffixes.classes = 0
	case byGram:
		f.grams = 0
	}
	c.dropIfEmpty(f)
}

func (n *node) tally(f *field, w way, by int) {
	f.entries[w] += int32(by)
	if w == byGram {
		n.slow += by
	}
}

// include counts an entry in n and all nodes above.
func (c *core) include(n *node) {
	for ; n.parent != nil; n = n.parent {
		n.total++
		n.parent.tally(c.fieldOf(n.parent, n.key), n.way, +1)
	}
	n.total++
}

// exclude is the reverse of include.
func (c *core) exclude(n *node) {
	for ; n.parent != nil; n = n.parent {
		n.total--
		c.forget(n.parent, n.key, n.way)
	}
	n.total--
}
