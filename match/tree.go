package match

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"unsafe"
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
//	block │ head │ 16 refs │ least coordinates, 16 for each bound │ greatest …
//
// In a leaf, the least coordinates are the points and there are no greatest.
//
// What coordinates leave out of long numbers and texts is one coordinate more.
// It counts where the first ones are equal.
type tree struct {
	number uint32
	node   *node
	field  *field
	bounds []bound
	planes int              // how many: one for each bound, and then those of remainders
	rest   [maxBounds]uint8 // of a bound: the plane of its remainder, or 0
	root   ref
	size   int
	least  [maxBounds]uint64 // of all points there ever were
	most   [maxBounds]uint64
}

const (
	fan       = 16
	underfull = fan / 4     // a block with fewer items joins another
	joinable  = fan * 3 / 4 // if both fit with room to spare
)

// A block is a block of a tree in the slab.
type block struct {
	len, level uint16
	parent     ref
	tree       uint32 // number of the tree
	_          uint32
	ref        [fan]ref
	planes     [2 * maxBounds]plane // of which the first ones are there
}

// A plane is one coordinate of all items of a block.
type plane [fan]uint64

func blockSize(planes int) int {
	return int(unsafe.Offsetof(block{}.planes)) + planes*int(unsafe.Sizeof(plane{}))
}

// An item is a point with its entry, or the box of a block.
type item struct {
	ref         ref
	least, most [maxBounds]uint64
}

func (c *core) block(r ref) *block { return view[block](&c.slab, r) }

func (t *tree) newBlock(c *core, level uint16) ref {
	planes := t.planes
	if level > 0 {
		planes *= 2
	}
	r := c.slab.alloc(blockSize(planes))
	b := c.block(r)
	b.len, b.level, b.parent, b.tree = 0, level, 0, t.number
	return r
}

func (t *tree) get(b *block, i int) item {
	it := item{ref: b.ref[i]}
	for k := range t.planes {
		it.least[k] = b.planes[k][i]
		it.most[k] = it.least[k]
		if b.level > 0 {
			it.most[k] = b.planes[t.planes+k][i]
		}
	}
	return it
}

// set writes an item into block r and tells what it refers to where it is.
func (t *tree) set(c *core, r ref, i int, it *item) {
	b := c.block(r)
	b.ref[i] = it.ref
	for k := range t.planes {
		b.planes[k][i] = it.least[k]
		if b.level > 0 {
			b.planes[t.planes+k][i] = it.most[k]
		}
	}
	if b.level > 0 {
		c.block(it.ref).parent = r
	} else {
		c.entry(it.ref).block, c.entry(it.ref).index = r, uint16(i)
	}
}

// hull returns the box of a block.
func (t *tree) hull(c *core, r ref) item {
	b := c.block(r)
	h := t.get(b, 0)
	h.ref = r
	for i := 1; i < int(b.len); i++ {
		it := t.get(b, i)
		t.extend(&h, &it)
	}
	return h
}

func (t *tree) extend(box, it *item) {
	for k := range t.planes {
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
	for b := c.block(r); b.level > 0; b = c.block(r) {
		i := t.choose(b, &it)
		box := t.get(b, i)
		t.extend(&box, &it)
		t.set(c, r, i, &box)
		r = box.ref
	}
	t.add(c, r, &it)
}

// choose returns the item of b whose box grows least by taking in a point.
func (t *tree) choose(b *block, it *item) (best int) {
	bestGrowth, bestMargin := math.Inf(+1), math.Inf(+1)
	for i := range int(b.len) {
		growth, margin := 0.0, 0.0
		for k := range t.bounds {
			if r := t.rest[k]; r > 0 && b.planes[k][i] == it.least[k] && b.planes[t.planes+k][i] == it.least[k] {
				k = int(r)
			}
			least, most, x := b.planes[k][i], b.planes[t.planes+k][i], it.least[k]
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
	b := c.block(r)
	if b.len < fan {
		t.set(c, r, int(b.len), it)
		b.len++
		return
	}
	var items [fan + 1]item
	for i := range fan {
		items[i] = t.get(b, i)
	}
	items[fan] = *it
	t.sortForSplit(items[:])
	sibling := t.newBlock(c, b.level)
	t.fill(c, r, items[:len(items)/2])
	t.fill(c, sibling, items[len(items)/2:])
	c.stats.Moved += fan
	t.raise(c, r, sibling)
}

func (t *tree) fill(c *core, r ref, items []item) {
	c.block(r).len = uint16(len(items))
	for i := range items {
		t.set(c, r, i, &items[i])
	}
}

// raise puts the two halves of a split block into their parent.
func (t *tree) raise(c *core, r, sibling ref) {
	left, right := t.hull(c, r), t.hull(c, sibling)
	parent := c.block(r).parent
	if parent == 0 {
		t.root = t.newBlock(c, c.block(r).level+1)
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
		low, high := spread(items, k)
		if r := int(t.rest[k]); r > 0 && low == high {
			k = r
			low, high = spread(items, k)
		}
		if width := t.scale(k) * float64(high-low); width > widest {
			best, widest = k, width
		}
	}
	rest := best
	if best < len(t.bounds) && t.rest[best] > 0 {
		rest = int(t.rest[best])
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(
			cmp.Compare(middle(&a, best), middle(&b, best)),
			cmp.Compare(middle(&a, rest), middle(&b, rest)),
		)
	})
}

// spread returns how far items reach along a coordinate.
func spread(items []item, k int) (low, high uint64) {
	low, high = middle(&items[0], k), middle(&items[0], k)
	for i := range items {
		low, high = min(low, middle(&items[i], k)), max(high, middle(&items[i], k))
	}
	return low, high
}

func middle(it *item, k int) uint64 { return it.least[k] + (it.most[k]-it.least[k])/2 }

func (t *tree) indexIn(c *core, parent, r ref) int {
	b := c.block(parent)
	for i := range int(b.len) {
		if b.ref[i] == r {
			return i
		}
	}
	panic("match: block is not in its parent")
}

// remove takes out the item at a place of a block.
func (t *tree) remove(c *core, r ref, i int) {
	b := c.block(r)
	last := int(b.len) - 1
	if i != last {
		it := t.get(b, last)
		t.set(c, r, i, &it)
		c.stats.Moved++
	}
	b.len--
	parent := b.parent
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
	for b := c.block(t.root); b.len <= 1; b = c.block(t.root) {
		if b.level == 0 {
			return
		}
		child := b.ref[0]
		c.slab.release(t.root)
		t.root = child
		c.block(child).parent = 0
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
	p, b := c.block(parent), c.block(r)
	for i := range int(p.len) {
		other := p.ref[i]
		if n := c.block(other).len; other == r || n+b.len > joinable {
			continue
		}
		for j := range int(b.len) {
			it := t.get(b, j)
			t.add(c, other, &it)
		}
		c.stats.Moved += uint64(b.len)
		box := t.hull(c, other)
		t.set(c, parent, i, &box)
		t.dissolve(c, parent, r)
		return true
	}
	return false
}

// tighten shrinks the boxes above a block to what is left below them.
func (t *tree) tighten(c *core, r ref) {
	for parent := c.block(r).parent; parent != 0; r, parent = parent, c.block(parent).parent {
		i := t.indexIn(c, parent, r)
		box := t.hull(c, r)
		if box == t.get(c.block(parent), i) {
			return
		}
		t.set(c, parent, i, &box)
	}
}

// search appends the entries whose points fit q: to c.inside those that are
// less than q in every coordinate, to c.fitting those that are equal in one, so
// that only their conditions can tell.
func (t *tree) search(c *core, q *[maxBounds]uint64) {
	stack := append(c.stack[:0], t.root)
	for len(stack) > 0 {
		b := c.block(stack[len(stack)-1])
		stack = stack[:len(stack)-1]
		c.stats.Visited++
		fits := t.fitting(b, q)
		if b.level > 0 {
			stack = appendRefs(stack, b, fits)
			continue
		}
		inside := t.inside(b, q, fits)
		c.inside = appendRefs(c.inside, b, inside)
		c.fitting = appendRefs(c.fitting, b, fits&^inside)
	}
	c.stack = stack
}

// fitting returns a bit for each item that fits q.
func (t *tree) fitting(b *block, q *[maxBounds]uint64) uint32 {
	fits := uint32(1)<<b.len - 1
	for k := range t.bounds {
		if r := t.rest[k]; r > 0 {
			fits &^= b.planes[k].exceedingWith(&b.planes[r], q[k], q[r], int(b.len))
		} else {
			fits &^= b.planes[k].exceeding(q[k], int(b.len))
		}
		if fits == 0 {
			break
		}
	}
	return fits
}

// exceeding returns a bit for each of the first n coordinates that is above x.
func (p *plane) exceeding(x uint64, n int) uint32 {
	bit := uint64(0)
	for i := min(n, fan) - 1; i >= 0; i-- {
		_, borrow := bits.Sub64(x, p[i], 0)
		bit, _ = bits.Add64(bit, bit, borrow)
	}
	return uint32(bit)
}

// exceedingWith is exceeding for coordinates with remainders.
func (p *plane) exceedingWith(rest *plane, x, r uint64, n int) (exceeding uint32) {
	for i := range min(n, fan) {
		_, borrow := bits.Sub64(r, rest[i], 0)
		_, borrow = bits.Sub64(x, p[i], borrow)
		exceeding |= uint32(borrow) << i
	}
	return exceeding
}

// inside returns those of the items which that are less than q.
func (t *tree) inside(b *block, q *[maxBounds]uint64, which uint32) (inside uint32) {
	for ; which != 0; which &= which - 1 {
		i := bits.TrailingZeros32(which)
		less := uint64(1)
		for k := range t.bounds {
			borrow := uint64(0)
			if r := t.rest[k]; r > 0 {
				_, borrow = bits.Sub64(b.planes[r][i], q[r], 0)
			}
			_, borrow = bits.Sub64(b.planes[k][i], q[k], borrow)
			less &= borrow
		}
		inside |= uint32(less) << i
	}
	return inside
}

func appendRefs(refs []ref, b *block, which uint32) []ref {
	for ; which != 0; which &= which - 1 {
		refs = append(refs, b.ref[bits.TrailingZeros32(which)])
	}
	return refs
}

// fileInTree files an entry in the tree of its bounds. It stands under the
// key with the fewest trees, so that an event with keys that many queries ask
// for does not pass through the trees of all the rare keys beside them:
//
//	height > 5 AND k1 > 7       k1 ─▶ tree of (height, k1)
//	height > 5 AND k2 > 7       k2 ─▶ tree of (height, k2)
//
// Where all keys have too many, the entry goes to a tree with fewer bounds.
func (c *core) fileInTree(n *node, e ref, bounds []bound, point []end) {
	t := c.treeOf(n, bounds)
	if t == nil && c.hasHome(n, bounds) {
		t = c.newTree(n, c.makeField(n, c.homeOf(n, bounds)), bounds)
	}
	if t == nil {
		t = c.nextBest(n, bounds)
		c.entry(e).exact = false
	}
	var at [maxBounds]uint64
	for k, b := range t.bounds {
		x := point[slices.Index(bounds, b)]
		at[k] = x.at
		if r := t.rest[k]; r > 0 {
			at[r] = x.rest
		}
	}
	t.insert(c, e, at[:t.planes])
}

// hasHome reports whether there is a tree of exactly these bounds, or may be.
func (c *core) hasHome(n *node, bounds []bound) bool {
	return c.treesOf(n, c.homeOf(n, bounds)) < enoughTrees || c.treeOf(n, bounds) != nil
}

// homeOf returns the key under which a tree of the bounds would stand.
func (c *core) homeOf(n *node, bounds []bound) uint32 {
	return slices.MinFunc(bounds, func(a, b bound) int {
		return cmp.Or(
			cmp.Compare(c.treesOf(n, a.key), c.treesOf(n, b.key)),
			cmp.Compare(c.key(a.key).uses, c.key(b.key).uses),
		)
	}).key
}

// treesOf returns how many trees there are under a key.
func (c *core) treesOf(n *node, key uint32) int {
	if f := c.fieldOf(n, key); f != nil {
		return len(f.trees)
	}
	return 0
}

// treeOf returns the tree of exactly these bounds, under whichever of its keys
// it stands.
func (c *core) treeOf(n *node, bounds []bound) *tree {
	for i, b := range bounds {
		if i > 0 && b.key == bounds[i-1].key {
			continue
		}
		if f := c.fieldOf(n, b.key); f != nil {
			if t := f.tree(bounds); t != nil {
				return t
			}
		}
	}
	return nil
}

// nextBest returns the tree with most of the bounds and no others, or makes one
// of the ends on the rarest key, of which there are few kinds.
func (c *core) nextBest(n *node, bounds []bound) (best *tree) {
	for _, b := range bounds {
		f := c.fieldOf(n, b.key)
		for _, t := range f.trees {
			if (best == nil || len(t.bounds) > len(best.bounds)) && t.isWithin(bounds) {
				best = t
			}
		}
	}
	rarest := c.rarest(bounds)
	own := boundsOn(rarest, bounds)
	if best != nil && len(best.bounds) >= len(own) {
		return best
	}
	return c.newTree(n, c.makeField(n, rarest), own)
}

// isWithin reports whether all bounds of a tree are among these.
func (t *tree) isWithin(bounds []bound) bool {
	for _, b := range t.bounds {
		if !slices.Contains(bounds, b) {
			return false
		}
	}
	return true
}

// boundsOn returns those of the bounds that are on a key.
func boundsOn(key uint32, bounds []bound) []bound {
	begin := slices.IndexFunc(bounds, func(b bound) bool { return b.key == key })
	end := begin
	for end < len(bounds) && bounds[end].key == key {
		end++
	}
	return bounds[begin:end]
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
	t := &tree{node: n, field: f, bounds: slices.Clone(bounds), planes: len(bounds)}
	for k, b := range bounds {
		if b.fine {
			t.rest[k] = uint8(t.planes)
			t.planes++
		}
	}
	t.number = c.trees.add(t)
	f.trees = append(f.trees, t)
	n.slow++
	return t
}

// unfileFromTree takes an entry out of its tree.
func (c *core) unfileFromTree(e *entry) {
	t := *c.trees.at(c.block(e.block).tree)
	t.remove(c, e.block, int(e.index))
	if t.size--; t.size > 0 {
		return
	}
	c.slab.release(t.root)
	c.trees.drop(t.number)
	t.node.slow--
	t.field.trees = slices.DeleteFunc(t.field.trees, func(other *tree) bool { return other == t })
	c.dropIfEmpty(t.field)
}
