package jsonevents

import (
	"slices"
	"strings"

	"github.com/harkbus/pubsub/query"
)

// Keys are those that queries ask for. A Keys belongs to one [Flattener], and
// is for one goroutine at a time, as that is.
//
//	a.b = 1 AND a.c EXISTS       root ─ a ┬ b   asked
//	                                      └ c   asked, typed: c.x, c.y, … are wanted too
type Keys struct {
	root     node
	learning []*node // nodes with some below that no query asks for
	learned  int     // of these, and one more for each 64 bytes of their keys
	call     uint64  // counts documents; what an earlier one left in a node is told by it
	object   uint64  // counts objects in the same way
}

// A node is the place of one key in the tree of all. Names are told apart at
// their dots, so that {"a.b":1} and {"a":{"b":1}} lead to the same one.
type node struct {
	name   string
	parent *node // nil for the root
	size   int   // of the key
	key    string

	few  []*node          // below, up to fewNodes
	many map[string]*node // below, all of them if there are more

	asked   int              // conditions on this key
	types   int              // EXISTS among them, which hold for the type of a key too
	below   int              // conditions on this key and those below it
	learned map[string]*node // met below where there are types

	object  uint64 // the last object that had the name, for StopEarly
	counted uint64 // the last document in which Limits.Keys has counted it
	valued  uint64 // the last document in which it had values
	count   int    // of these
	end     int    // of these in Flattener.values
}

const fewNodes = 8

// KeysOf returns the keys that some queries ask for.
func KeysOf(queries ...*query.Query) *Keys {
	k := &Keys{}
	for _, q := range queries {
		k.Add(q)
	}
	return k
}

// Add adds the keys of a query.
func (k *Keys) Add(q *query.Query) { k.change(q, +1) }

// Remove takes back what Add has added for an equal query.
func (k *Keys) Remove(q *query.Query) { k.change(q, -1) }

func (k *Keys) change(q *query.Query, by int) {
	for _, c := range q.Conditions() {
		n := k.root.descend(c.Key)
		n.asked += by
		if c.Op == query.Exists {
			n.types += by
		}
		for at := n; at != nil; at = at.parent {
			at.below += by
			if at.below == 0 && at.parent != nil {
				at.parent.drop(at.name)
			}
		}
	}
}

// Wants reports whether a query asks for the key, or for its existence as the
// type of others.
func (k *Keys) Wants(key string) bool {
	n := &k.root
	for name := range strings.SplitSeq(key, ".") {
		parent := n
		if n = parent.child([]byte(name)); n == nil {
			return parent.types > 0 && len(key) == parent.size+1+len(name)
		}
	}
	return n.wantsItself()
}

// wantsItself reports whether the values of a node are wanted.
func (n *node) wantsItself() bool { return n.asked > 0 || n.parent.types > 0 }

// wantsBelow reports whether values below a node are wanted.
func (n *node) wantsBelow() bool { return n.types > 0 || n.children() > 0 }

// child returns the node of a name below n, or nil.
func (n *node) child(name []byte) *node {
	if n.many != nil {
		return n.many[string(name)]
	}
	for _, c := range n.few {
		if c.name == string(name) {
			return c
		}
	}
	return nil
}

// find returns the node of a name among few, or nil, or says that the name may
// be dotted: that the part of it before some dot is the name of a node.
func (n *node) find(name []byte) (c *node, dotted bool) {
	for _, c := range n.few {
		size := len(c.name)
		if len(name) < size || len(name) > size && name[size] != '.' || string(name[:size]) != c.name {
			continue
		}
		if len(name) == size {
			return c, false
		}
		dotted = true
	}
	return nil, dotted
}

// descend returns the node of a key below n, a new one if there is none.
func (n *node) descend(key string) *node {
	for name := range strings.SplitSeq(key, ".") {
		c := n.child([]byte(name))
		if c == nil {
			c = n.newChild(strings.Clone(name))
			n.add(c)
		}
		n = c
	}
	return n
}

// newChild returns a node that may be added below n.
func (n *node) newChild(name string) *node {
	size := len(name)
	if n.parent != nil {
		size += n.size + 1
	}
	return &node{name: name, parent: n, size: size}
}

// add adds a node whose name is not there.
func (n *node) add(c *node) {
	switch {
	case n.many != nil:
		n.many[c.name] = c
	case len(n.few) < fewNodes:
		n.few = append(n.few, c)
	default:
		n.many = make(map[string]*node, 2*fewNodes)
		for _, one := range append(n.few, c) {
			n.many[one.name] = one
		}
		n.few = nil
	}
}

// drop takes out the node of a name below n.
func (n *node) drop(name string) {
	delete(n.many, name)
	n.few = slices.DeleteFunc(n.few, func(c *node) bool { return c.name == name })
}

// children returns how many nodes are below n.
func (n *node) children() int { return len(n.few) + len(n.many) }

// text returns the key, which is put together when it first has a value.
func (n *node) text() string {
	if n.key == "" {
		b := make([]byte, n.size)
		end := n.size
		for at := n; at.parent != nil; at = at.parent {
			end -= copy(b[end-len(at.name):], at.name)
			if end > 0 {
				end--
				b[end] = '.'
			}
		}
		n.key = string(b)
	}
	return n.key
}

// learn returns the node of a name below n, where the key of any name is wanted:
// n itself is asked for as a type.
func (k *Keys) learn(n *node, name []byte) *node {
	c := n.learned[string(name)]
	if c == nil {
		if n.learned == nil {
			n.learned = make(map[string]*node)
			k.learning = append(k.learning, n)
		}
		c = n.newChild(string(name))
		n.learned[c.name] = c
		k.learned += 1 + c.size/64
	}
	return c
}

// forget forgets what was learned.
func (k *Keys) forget() {
	for _, n := range k.learning {
		n.learned = nil
	}
	k.learning, k.learned = nil, 0
}
