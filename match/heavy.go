package match

import "math/bits"

// To look an event up in a node costs as much as its values are many or long.
// That is no more than the event itself has cost to send, unless it comes through
// thousands of nodes with the same values:
//
//	root ─ x = 'n1' ─▶ node: k CONTAINS …   17 entries
//	     ─ x = 'n2' ─▶ node: k CONTAINS …   17 entries      an event with all x,
//	     ─ x = 'n3' ─▶ node: …                              and 1 MB under k
//
// So what looking up heavy values costs is counted, and when an event has used up
// what it may, a node with few entries is passed through in place of searched:
// each entry is tried, and each node below visited. What a node takes is then the
// lesser of both costs, and their sum follows the number of queries:
//
//	entry ─┬─ by a gram: is its text in the digest of the values?   no ─▶ no match
//	       └─▶ decide ─┬─ comparisons: by the summary of the values
//	                   └─ CONTAINS …: within event.spare, or undecided
//
// Summaries and digests are made once for an event and key, whatever the number
// of nodes.

const (
	perLookup = 16 // steps to look one value up: a hash, a slot, a list
	perEntry  = 64 // steps to try an entry that nothing has led to
	perMiss   = 8  // steps to try an entry by a condition that does not hold, beside the text
)

// affords reports whether the event in hand is to be looked up in a field under
// which it has heavy values, and takes what that costs from what it may spend.
func (c *core) affords(f *field, a *attribute) bool {
	ev := &c.event
	cost, free := a.costIn(f)
	ev.due += cost
	if ev.due > ev.spare && ev.due > perEntry*int64(f.node.total) {
		return false
	}
	if cost <= ev.spare {
		ev.spare -= cost
	}
	c.read += cost + free
	return true
}

// costIn returns the steps that it takes to look the values up in a field. What
// is done for the first time is free: so much the event has cost to send.
func (a *attribute) costIn(f *field) (steps, free int64) {
	lookups, bytes := int64(len(a.values))*perLookup, a.weight()
	add := func(times, cost int64, bit int) {
		if times > 0 && a.searched&(1<<bit) == 0 {
			a.searched |= 1 << bit
			times--
			free += cost
		}
		steps += times * cost
	}
	for _, w := range []way{byText, byNumber, byInstant} {
		if f.entries[w] > 0 {
			add(1, lookups+bytes, int(w))
		}
	}
	add(int64(bits.OnesCount64(f.prefixes.classes)), lookups+bytes, int(byPrefix))
	add(int64(bits.OnesCount64(f.suffixes.classes)), lookups+bytes, int(bySuffix))
	for classes := f.grams; classes != 0; classes &= classes - 1 {
		add(1, lookups+bytes, int(ways)+bits.TrailingZeros8(classes))
	}
	return steps, free
}

// passThrough finds the matches in a node and below without looking values up.
func (c *core) passThrough(n *node) {
	n.visited = c.event.number
	c.stats.Visited++
	c.tryPile(n.pile)
	c.tryPile(n.backlog)
	c.tryPosted(n)
	for f := n.first; f != nil; f = f.next {
		for _, t := range f.trees {
			c.searchTree(t)
		}
	}
	for below := n.below; below != nil; below = below.next {
		c.visit(below)
	}
}

// tryPosted tries the event on all that the tables file for a node.
func (c *core) tryPosted(n *node) {
	for block := n.posted.first; block != 0; {
		b := c.pile(block)
		c.touchRecords(b.ref[:b.len])
		for _, e := range b.ref[:b.len] {
			at := c.entry(e)
			if r := c.recordOf(e, at); at.way != byGram || c.mayContain(r.term(int(at.term)), r) {
				c.try(e)
			}
		}
		block = b.next
	}
}

// giveUp takes note that a cue led to a query in vain, and decides the query
// without cues if that has happened too often: a gram may be all over a value, a
// prefix common to all of many. It reports whether the query has been tried.
func (c *core) giveUp(r *record, t *term) bool {
	c.event.spare -= perMiss + int64(t.size)/16
	if c.event.spare > 0 {
		return false
	}
	c.stats.Candidates-- // which decide counts
	c.decide(r, accept)
	return true
}

// A digest tells of most runs of 1, 2, 4 or 8 bytes that no value of a key has
// them.
type digest struct {
	bloom
	made bool // if without words, it tells nothing
}

// digests are those of the event in hand, digestSizes for each key that has any.
type digests struct {
	all   []digest
	words int // of all
}

const (
	digestSizes  = 4
	mostRuns     = 1 << 18 // that a digest is made for; with four times as many it lets 1 in 25 pass
	mostDigested = 1 << 20 // words that the digests of one event take, and one digest more: 8 to 9 MiB
)

// of returns the digests of an attribute.
func (d *digests) of(a *attribute) []digest {
	if a.digests == 0 {
		a.digests = uint32(len(d.all) + 1)
		d.all = append(d.all, make([]digest, digestSizes)...)
	}
	return d.all[a.digests-1:][:digestSizes]
}

// clear lets go of the event.
func (d *digests) clear() {
	if d.all != nil {
		*d = digests{}
	}
}

// mayContain reports whether some value may contain the text of a term. It looks
// for four runs of the text.
func (c *core) mayContain(t *term, r *record) bool {
	a := c.attribute(t.key)
	if len(a.values) == 0 || a.weight() <= light || t.size == 0 {
		return len(a.values) > 0
	}
	text := r.textOf(t)
	class := bits.Len(uint(min(len(text), 8))) - 1
	d := c.digest(a, class)
	if d.words == nil {
		return true
	}
	size := 1 << class
	last := len(text) - size
	for _, at := range [...]int{0, last / 3, last * 2 / 3, last} {
		if !d.has(c.runTag(gramAt(text, at, size))) {
			return false
		}
	}
	return true
}

func (c *core) runTag(run uint64) uint32 { return uint32(gramHash(c.secret|1, run) >> 32) }

// digest returns the digest of the runs of 1 << class bytes in the values of an
// attribute, without words if those of the event have taken too much memory.
func (c *core) digest(a *attribute, class int) *digest {
	d := &c.event.digests.of(a)[class]
	if d.made {
		return d
	}
	d.made = true
	if c.event.digests.words >= mostDigested {
		return d
	}
	d.bloom = newBloom(int(min(a.weight(), mostRuns, 1<<min(8<<class, 32))))
	c.event.digests.words += len(d.words)
	c.read += a.weight()
	for _, v := range a.values {
		c.addRuns(d, v, 1<<class)
	}
	return d
}

// addRuns adds all runs of size bytes of a value.
func (c *core) addRuns(d *digest, value string, size int) {
	words, lower, mask := d.words, uint32(len(d.words)-1), gramMask(size)
	whole := max(0, len(value)-7) // places with 8 bytes
	for i := range whole {
		tag := c.runTag(wordAt(value, i) & mask)
		words[tag&lower] = with(words[tag&lower], tag)
	}
	for i := whole; i+size <= len(value); i++ {
		d.add(c.runTag(gramAt(value, i, size)))
	}
}
