package match

import (
	"math"
	"math/bits"
	"slices"
)

// A tree files ranges over the same keys. A range, or the ranges over several
// keys that must all hold, is a point: its ends, with upper ends counted
// downwards. It fits an event if the point is at most the event's in every
// coordinate.
//
//	a > 10 AND a <= 20     (10, -20)
//	event a = [12, 17]     ( 17, -12):  10 ≤ 17 and -20 ≤ -12, so it fits
//
// That is exact for several values, too: a > 10 asks for the highest of them
// and a <= 20 for the lowest, and they need not be one value between.
//
// Points live in an R-tree, blocks of the slab with up to 16 items; blocks on
// one level are equally far from the root, in whatever order points come:
//
//	                 ┌ box │ box │ box ┐
//	      ┌──────────┘     │     └───────────┐
//	 box │ box │ …    box │ box │ …     box │ box │ box
//	  │     │
//	point  point                        a box is the least and the greatest
//	point  point                        coordinates of the points below it
//	…      …
//
// A search needs only the least ones: where they exceed the event's, nothing
// below fits.
//
//	block:  0 size u16 │ 2 level u16 │ 4 parent ref │ 8 tree u32 │ 16 refs, 16 × u32
//	       80 least coordinates, 16 × u64 for each bound; in a leaf, the points
//	          greatest coordinates, the same; not in a leaf
type tree struct {
	number uint32
	node   *node
	field  *field
	bounds []bound
	root   ref
	size   int
	least  [maxBounds]uint64 // of all points there ever were
	most   [maxBounds]uint64
}

const (
	fan       = 16
	underfull = fan / 4     // a block with fewer items joins another
	joinable  = fan * 3 / 4 // if both fit with room to spare
	planeSize = 8 * fan
	blockHead = 16 + 4*fan
)

// A block is a block of a tree in the slab.
type block []byte

func (b block) len() int               { return int(le.Uint16(b)) }
func (b block) setLen(n int)           { le.PutUint16(b, uint16(n)) }
func (b block) level() int             { return int(le.Uint16(b[2:])) }
func (b block) parent() ref            { return ref(le.Uint32(b[4:])) }
func (b block) setParent(r ref)        { le.PutUint32(b[4:], uint32(r)) }
func (b block) tree() uint32           { return le.Uint32(b[8:]) }
func (b block) ref(i int) ref          { return ref(le.Uint32(b[16+4*i:])) }
func (b block) plane(k int) []byte     { return b[blockHead+planeSize*k:][:planeSize] }
func (b block) at(k, i int) uint64     { return le.Uint64(b[blockHead+planeSize*k+8*i:]) }
func (b block) put(k, i int, x uint64) { le.PutUint64(b[blockHead+planeSize*k+8*i:], x) }

// An item is a point with its entry, or the box of a block.
type item struct {
	ref         ref
	least, most [maxBounds]uint64
}

func (t *tree) block(c *core, r ref) block { return block(c.slab.at(r)) }

func (t *tree) newBlock(c *core, level int) ref {
	planes := len(t.bounds)
	if level > 0 {
		planes *= 2
	}
	r := c.slab.alloc(blockHead + planeSize*planes)
	b := t.block(c, r)
	clear(b[:16])
	le.PutUint16(b[2:], uint16(level))
	le.PutUint32(b[8:], t.number)
	return r
}

func (t *tree) get(b block, i int) item {
	it := item{ref: b.ref(i)}
	for k := range t.bounds {
		it.least[k] = b.at(k, i)
		it.most[k] = it.least[k]
		if b.level() > 0 {
			it.most[k] = b.at(len(t.bounds)+k, i)
		}
	}
	return it
}

// set writes an item into block r and tells what it refers to where it is.
func (t *tree) set(c *core, r ref, i int, it *item) {
	b := t.block(c, r)
	le.PutUint32(b[16+4*i:], uint32(it.ref))
	for k := range t.bounds {
		b.put(k, i, it.least[k])
		if b.level() > 0 {
			b.put(len(t.bounds)+k, i, it.most[k])
		}
	}
	if b.level() > 0 {
		t.block(c, it.ref).setParent(r)
	} else {
		entry(c.slab.at(it.ref)).setPlace(r, i)
	}
}

// hull returns the box of a block.
func (t *tree) hull(c *core, r ref) item {
	b := t.block(c, r)
	h := t.get(b, 0)
	h.ref = r
	for i := 1; i < b.len(); i++ {
		it := t.get(b, i)
		t.extend(&h, &it)
	}
	return h
}

func (t *tree) extend(box, it *item) {
	for k := range t.bounds {
		box.least[k] = min(box.least[k], it.least[k])
		box.most[k] = max(box.most[k], it.most[k])
	}
}

// insert adds the point of an entry.
func (t *tree) insert(c *core, e ref, point []uint64) {
	it := item{ref: e}
	copy(it.least[:], point)
	it.most = it.least
	if t.size == 0 {
		t.root = t.newBlock(c, 0)
		t.least, t.most = it.least, it.most
	}
	t.size++
	all := item{least: t.least, most: t.most}
	t.extend(&all, &it)
	t.least, t.most = all.least, all.most

	r := t.root
	for b := t.block(c, r); b.level() > 0; b = t.block(c, r) {
		i := t.choose(b, &it)
		box := t.get(b, i)
		t.extend(&box, &it)
		t.set(c, r, i, &box)
		r = box.ref
	}
	t.add(c, r, &it)
}

// choose returns the item of b whose box grows least by taking in a point.
func (t *tree) choose(b block, it *item) (best int) {
	bestGrowth, bestMargin := math.Inf(+1), math.Inf(+1)
	for i := range b.len() {
		growth, margin := 0.0, 0.0
		for k := range t.bounds {
			least, most, x := b.at(k, i), b.at(len(t.bounds)+k, i), it.least[k]
			scale := t.scale(k)
			margin += scale * float64(most-least)
			switch {
			case x < least:
				growth += scale * float64(least-x)
			case x > most:
				growth += scale * float64(x-most)
			}
		}
		if growth < bestGrowth || growth == bestGrowth && margin < bestMargin {
			best, bestGrowth, bestMargin = i, growth, margin
		}
	}
	return best
}

// scale makes lengths along the coordinates comparable.
func (t *tree) scale(k int) float64 {
	if width := t.most[k] - t.least[k]; width > 0 {
		return 1 / float64(width)
	}
	return 0
}

// add puts an item into a block, and splits it if it is full.
func (t *tree) add(c *core, r ref, it *item) {
	b := t.block(c, r)
	if n := b.len(); n < fan {
		b.setLen(n + 1)
		t.set(c, r, n, it)
		return
	}
	var items [fan + 1]item
	for i := range fan {
		items[i] = t.get(b, i)
	}
	items[fan] = *it
	t.sortForSplit(items[:])
	sibling := t.newBlock(c, b.level())
	t.fill(c, r, items[:len(items)/2])
	t.fill(c, sibling, items[len(items)/2:])
	c.stats.Moved += fan
	t.raise(c, r, sibling)
}

func (t *tree) fill(c *core, r ref, items []item) {
	t.block(c, r).setLen(len(items))
	for i := range items {
		t.set(c, r, i, &items[i])
	}
}

// raise puts the two halves of a split block into their parent.
func (t *tree) raise(c *core, r, sibling ref) {
	left, right := t.hull(c, r), t.hull(c, sibling)
	parent := t.block(c, r).parent()
	if parent == 0 {
		t.root = t.newBlock(c, t.block(c, r).level()+1)
		t.fill(c, t.root, []item{left, right})
		return
	}
	t.set(c, parent, t.indexIn(c, parent, r), &left)
	t.add(c, parent, &right)
}

// sortForSplit sorts items along the coordinate in which they spread most.
func (t *tree) sortForSplit(items []item) {
	best, widest := 0, -1.0
	for k := range t.bounds {
		low, high := middle(&items[0], k), middle(&items[0], k)
		for i := range items {
			low, high = min(low, middle(&items[i], k)), max(high, middle(&items[i], k))
		}
		if width := t.scale(k) * float64(high-low); width > widest {
			best, widest = k, width
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		x, y := middle(&a, best), middle(&b, best)
		switch {
		case x < y:
			return -1
		case x > y:
			return +1
		}
		return 0
	})
}

func middle(it *item, k int) uint64 { return it.least[k] + (it.most[k]-it.least[k])/2 }

func (t *tree) indexIn(c *core, parent, r ref) int {
	b := t.block(c, parent)
	for i := range b.len() {
		if b.ref(i) == r {
			return i
		}
	}
	panic("match: block is not in its parent")
}

// remove takes out the item at a place of a block.
func (t *tree) remove(c *core, r ref, i int) {
	b := t.block(c, r)
	last := b.len() - 1
	if i != last {
		it := t.get(b, last)
		t.set(c, r, i, &it)
		c.stats.Moved++
	}
	b.setLen(last)
	parent := b.parent()
	switch {
	case parent == 0:
		t.lower(c)
	case last == 0:
		t.dissolve(c, parent, r)
	case last < underfull && t.join(c, parent, r):
	default:
		t.tighten(c, r)
	}
}

// lower makes the only child of the root the root.
func (t *tree) lower(c *core) {
	for b := t.block(c, t.root); b.len() <= 1; b = t.block(c, t.root) {
		if b.level() == 0 {
			return
		}
		child := b.ref(0)
		c.slab.release(t.root)
		t.root = child
		t.block(c, child).setParent(0)
	}
}

// dissolve gives back a block without items.
func (t *tree) dissolve(c *core, parent, r ref) {
	i := t.indexIn(c, parent, r)
	c.slab.release(r)
	t.remove(c, parent, i)
}

// join moves the items of a block into a neighbour that has room, if there is
// one.
func (t *tree) join(c *core, parent, r ref) bool {
	p, b := t.block(c, parent), t.block(c, r)
	for i := range p.len() {
		other := p.ref(i)
		if n := t.block(c, other).len(); other == r || n+b.len() > joinable {
			continue
		}
		for j := range b.len() {
			it := t.get(b, j)
			t.add(c, other, &it)
		}
		c.stats.Moved += uint64(b.len())
		box := t.hull(c, other)
		t.set(c, parent, i, &box)
		t.dissolve(c, parent, r)
		return true
	}
	return false
}

// tighten shrinks the boxes above a block to what is left below them.
func (t *tree) tighten(c *core, r ref) {
	for parent := t.block(c, r).parent(); parent != 0; r, parent = parent, t.block(c, parent).parent() {
		i := t.indexIn(c, parent, r)
		box := t.hull(c, r)
		if box == t.get(t.block(c, parent), i) {
			return
		}
		t.set(c, parent, i, &box)
	}
}

// search appends to found the entries whose points fit q.
func (t *tree) search(c *core, q *[maxBounds]uint64, found []ref) []ref {
	stack := append(c.stack[:0], t.root)
	for len(stack) > 0 {
		b := t.block(c, stack[len(stack)-1])
		stack = stack[:len(stack)-1]
		c.stats.Visited++
		fits := t.fitting(b, q)
		if b.level() > 0 {
			stack = appendRefs(stack, b, fits)
		} else {
			found = appendRefs(found, b, fits)
		}
	}
	c.stack = stack
	return found
}

// fitting returns a bit for each item that fits q.
func (t *tree) fitting(b block, q *[maxBounds]uint64) uint32 {
	fits := uint32(1)<<b.len() - 1
	for k := range t.bounds {
		plane, x := b.plane(k), q[k]
		var exceeds uint32
		for i := 0; i < fan; i++ {
			_, borrow := bits.Sub64(x, le.Uint64(plane[8*i:]), 0)
			exceeds |= uint32(borrow) << i
		}
		if fits &^= exceeds; fits == 0 {
			break
		}
	}
	return fits
}

func appendRefs(refs []ref, b block, which uint32) []ref {
	for ; which != 0; which &= which - 1 {
		refs = append(refs, b.ref(bits.TrailingZeros32(which)))
	}
	return refs
}

// fileInTree files an entry in the tree of its bounds.
func (c *core) fileInTree(n *node, e ref, bounds []bound, point []uint64) {
	f := n.field(bounds[0].key)
	t := f.tree(bounds)
	if t == nil && len(f.trees) >= enoughTrees {
		bounds = ownBounds(bounds) // events pass through few trees per key
		t = f.tree(bounds)
	}
	if t == nil {
		t = c.newTree(n, f, bounds)
	}
	t.insert(c, e, point[:len(bounds)])
}

// ownBounds returns those of the first key.
func ownBounds(bounds []bound) []bound {
	i := slices.IndexFunc(bounds, func(b bound) bool { return b.key != bounds[0].key })
	if i < 0 {
		return bounds
	}
	return bounds[:i]
}

func (f *field) tree(bounds []bound) *tree {
	for _, t := range f.trees {
		if slices.Equal(t.bounds, bounds) {
			return t
		}
	}
	return nil
}

func (c *core) newTree(n *node, f *field, bounds []bound) *tree {
	t := &tree{node: n, field: f, bounds: slices.Clone(bounds)}
	if last := len(c.freeTrees) - 1; last >= 0 {
		t.number = c.freeTrees[last]
		c.freeTrees = c.freeTrees[:last]
		c.trees[t.number] = t
	} else {
		t.number = uint32(len(c.trees))
		c.trees = append(c.trees, t)
	}
	f.trees = append(f.trees, t)
	return t
}

// unfileFromTree takes an entry out of its tree.
func (c *core) unfileFromTree(e entry) {
	r := e.block()
	t := c.trees[block(c.slab.at(r)).tree()]
	t.remove(c, r, e.index())
	if t.size--; t.size > 0 {
		return
	}
	c.slab.release(t.root)
	c.trees[t.number] = nil
	c.freeTrees = append(c.freeTrees, t.number)
	t.field.trees = slices.DeleteFunc(t.field.trees, func(other *tree) bool { return other == t })
	t.node.dropIfEmpty(t.field)
}
