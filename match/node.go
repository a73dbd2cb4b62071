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

	salt    uint64
	visited uint64 // the last event that came through
	total   int    // entries here and below
	pile    pile   // entries not filed by a condition, since there is none
	backlog pile   // entries that are still to be filed
	fields  []*field
	slow    int               // entries by grams, and trees: what searchSlow is for
	byKey   map[uint32]*field // made for a node with many keys
}

// A field is what a node files under one key.
type field struct {
	key      uint32
	at       int // in node.fields
	salt     uint64
	entries  [ways]int32 // filed by the field, here or in nodes below; not byRange
	prefixes uint64      // which lengths there may be; see affix.go
	suffixes uint64
	grams    uint8
	trees    []*tree
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
	manyFields  = 16 // from which on a node has byKey
	maxEntries  = 64 // of one query, beyond what the root needs
	maxCover    = 8  // of one query in one node below the root
	enoughTrees = 64 // of one field
)

func (c *core) newNode(parent *node, key uint32, f filing) *node {
	n := &node{parent: parent, hash: f.hash, way: f.way, key: key}
	if parent != nil {
		n.depth = parent.depth + 1
	}
	if last := len(c.freeNodes) - 1; last >= 0 {
		n.number = c.freeNodes[last]
		c.freeNodes = c.freeNodes[:last]
		c.nodes[n.number] = n
	} else {
		n.number = uint32(len(c.nodes))
		c.nodes = append(c.nodes, n)
	}
	c.salts++
	n.salt = mixed(c.secret, c.salts)
	return n
}

func (c *core) dropNode(n *node) {
	c.nodes[n.number] = nil
	c.freeNodes = append(c.freeNodes, n.number)
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

// find returns the field of a key, nil if there is none.
func (n *node) find(key uint32) *field {
	if n.byKey != nil {
		return n.byKey[key]
	}
	for _, f := range n.fields {
		if f.key == key {
			return f
		}
	}
	return nil
}

// field returns the field of a key, and makes it if there is none.
func (n *node) field(key uint32) *field {
	f := n.find(key)
	if f != nil {
		return f
	}
	f = &field{key: key, at: len(n.fields), salt: n.saltOf(key)}
	n.fields = append(n.fields, f)
	switch {
	case n.byKey != nil:
		n.byKey[key] = f
	case len(n.fields) > manyFields:
		n.byKey = make(map[uint32]*field, 2*manyFields)
		for _, f := range n.fields {
			n.byKey[f.key] = f
		}
	}
	return f
}

// dropIfEmpty removes a field under which nothing is filed.
func (n *node) dropIfEmpty(f *field) {
	if len(f.trees) > 0 || f.entries != [ways]int32{} {
		return
	}
	last := n.fields[len(n.fields)-1]
	n.fields[f.at], last.at = last, f.at
	n.fields[len(n.fields)-1] = nil
	n.fields = n.fields[:len(n.fields)-1]
	delete(n.byKey, f.key)
	if len(n.fields) == 0 {
		n.fields, n.byKey = nil, nil
	}
}

// note counts an entry that is filed by a field of n, and remembers what
// lengths events are to be looked up by.
func (n *node) note(key uint32, w way, size int) {
	f := n.field(key)
	n.tally(f, w, +1)
	switch w {
	case byPrefix:
		f.prefixes |= 1 << affixClass(size)
	case bySuffix:
		f.suffixes |= 1 << affixClass(size)
	case byGram:
		f.grams |= 1 << gramClass(size)
	}
}

// forget is the reverse of note. Lengths are forgotten with the last entry;
// until then, one too many costs a look-up in vain.
func (n *node) forget(key uint32, w way) {
	f := n.find(key)
	if n.tally(f, w, -1); f.entries[w] > 0 {
		return
	}
	switch w {
	case byPrefix:
		f.prefixes = 0
	case bySuffix:
		f.suffixes = 0
	case byGram:
		f.grams = 0
	}
	n.dropIfEmpty(f)
}

func (n *node) tally(f *field, w way, by int) {
	f.entries[w] += int32(by)
	if w == byGram {
		n.slow += by
	}
}

// count adds an entry to n and all nodes above.
func (n *node) count() {
	for ; n.parent != nil; n = n.parent {
		n.total++
		n.parent.tally(n.parent.find(n.key), n.way, +1)
	}
	n.total++
}

// discount is the reverse of count.
func (n *node) discount() {
	for ; n.parent != nil; n = n.parent {
		n.total--
		n.parent.forget(n.key, n.way)
	}
	n.total--
}
