package match

import (
	"hash/maphash"
	"strings"

	"github.com/harkbus/pubsub/query"
)

// A cue is what an event is looked up by: one value, under one key, read one
// way. It has no pointers, so that making many costs little.
type cue struct {
	hash    uint64
	key     uint32
	value   uint32  // which of the key's
	at      int     // byGram: where in the value
	posting posting // what the table has under the hash, once settled
	way     way
}

// hash returns what a condition is filed under in the table. Where it is a
// gram, offset tells which of the text.
func (c *core) hash(n *node, w way, key uint32, text string, coordinate int64, offset int) uint64 {
	salt := n.saltOf(key)
	switch w {
	case byText:
		return slotHash(salt, w, c.hashText(text))
	case byNumber:
		return slotHash(salt, w, c.hashPoint(numbers, text, coordinate))
	case byInstant:
		return slotHash(salt, w, c.hashPoint(instants, text, coordinate))
	case byPrefix, bySuffix:
		within := n.spanOf(key, w)
		class, _ := within.class(len(text))
		return c.hashAffix(salt, w, text, min(within.size(class), len(text)))
	case byGram:
		class := gramClass(len(text))
		return gramHash(gramSalt(salt, class), gramAt(text, offset, gramSizes[class]))
	default: // byPresence
		return slotHash(salt, w, 0)
	}
}

func slotHash(salt uint64, w way, value uint64) uint64 {
	return mixed(salt^uint64(w)<<56, value)
}

// hashText hashes with a seed that nobody can know who chooses the text.
func (c *core) hashText(s string) uint64 {
	if c.fixed != nil {
		return c.fixed(s)
	}
	return maphash.String(c.seed, s)
}

func (c *core) tableOf(w way) *table {
	if w == byGram {
		return &c.grams
	}
	return &c.table
}

// visit finds the matches in a node and below.
//
//	visit ─┬─▶ pile ───────────────────────────────▶ try ──▶ decide
//	       ├─▶ gather: cues of all fields ─▶ look ─▶ tryBy ─▶ decide
//	       │                                  └────▶ visit the node below
//	       ├─▶ searchSlow ┬─▶ searchGrams ─▶ look ─▶ …
//	       │              └─▶ searchTree ──────────▶ try ──▶ decide
//	       └─▶ passThrough, in place of the last two: all entries ─▶ try
//	                                                   └────▶ visit all nodes below
func (c *core) visit(n *node) {
	if n.visited == c.event.number {
		return // by another value
	}
	begin := len(c.cues)
	if !c.gather(n) {
		c.cues = c.cues[:begin]
		c.passThrough(n)
		return
	}
	c.touchSlots(&c.table, begin)
	c.settle(&c.table, begin)
	c.visitBy(n, begin, len(c.cues))
	c.cues = c.cues[:begin]
}

// visitBy is visit after the cues have been settled.
func (c *core) visitBy(n *node, begin, end int) {
	n.visited = c.event.number
	c.stats.Visited++
	c.tryPile(n.pile)
	c.tryPile(n.backlog)
	for i := begin; i < end; i++ {
		c.look(&c.cues[i]) // looks at the cue no more once it visits a node
	}
	if n.slow == 0 {
		return
	}
	if c.fewFields(n) {
		for f := n.first; f != nil; f = f.next {
			c.searchSlow(f)
		}
		return
	}
	for _, key := range c.presentKeys() {
		if f := c.fieldOf(n, key); f != nil {
			c.searchSlow(f)
		}
	}
}

// fewFields tells whether to go through the fields of a node, or through the
// keys of the event.
func (c *core) fewFields(n *node) bool { return n.fields <= 2*len(c.event.keys)+few }

// gather appends the cues for a node to c.cues. All of them are hashed before
// the first is looked up, and the processor loads what they will lead to
// meanwhile. It stops and reports false if the event cannot afford to be looked
// up.
func (c *core) gather(n *node) (affordable bool) {
	c.event.due = 0
	if c.fewFields(n) {
		for f := n.first; f != nil; f = f.next {
			if !c.gatherFrom(f) {
				return false
			}
		}
		return true
	}
	for _, key := range c.presentKeys() {
		if f := c.fieldOf(n, key); f != nil && !c.gatherFrom(f) {
			return false
		}
	}
	return true
}

func (c *core) gatherFrom(f *field) (affordable bool) {
	a := c.attribute(f.key)
	if a.weight() > light && !c.affords(f, a) {
		return false
	}
	if f.entries[byPresence] > 0 && (len(a.values) > 0 || c.isType(f.key)) {
		c.cue(cue{hash: slotHash(f.salt, byPresence, 0), key: f.key, way: byPresence})
	}
	if f.entries[byText] > 0 {
		for i, v := range a.values {
			c.cue(cue{hash: slotHash(f.salt, byText, c.hashText(v)), key: f.key, way: byText, value: uint32(i)})
		}
	}
	if f.entries[byNumber] > 0 {
		c.gatherPoints(f, a, byNumber, numbers)
	}
	if f.entries[byInstant] > 0 {
		c.gatherPoints(f, a, byInstant, instants)
	}
	if f.prefixes.classes != 0 {
		c.gatherAffixes(f, a, byPrefix, f.prefixes)
	}
	if f.suffixes.classes != 0 {
		c.gatherAffixes(f, a, bySuffix, f.suffixes)
	}
	return true
}

func (c *core) cue(q cue) { c.cues = append(c.cues, q) }

// touchSlots makes the processor load the slots of the cues from begin on. It
// is a loop so tight that many loads are under way at a time.
func (c *core) touchSlots(t *table, begin int) {
	var sum uint64
	for i := begin; i < len(c.cues); i++ {
		sum += t.touch(c.cues[i].hash)
	}
	c.touched += sum
}

// settle finds what the cues from begin on lead to, and makes the processor
// load these records and lists.
func (c *core) settle(t *table, begin int) {
	cues := c.cues[begin:]
	c.stats.Probes += uint64(len(cues))
	for i := range cues {
		cues[i].posting = t.find(cues[i].hash)
	}
	var sum uint64
	for i := range cues {
		switch p := cues[i].posting; p.form() {
		case oneEntry:
			sum += touchBlock(&c.slab, ref(p.value())) + c.beside.touch(ref(p.value()))
		case listed:
			sum += uint64(c.list(p).len)
		}
	}
	c.touched += sum
}

// touchRecords makes the processor load the records that begin with entries.
func (c *core) touchRecords(entries []ref) {
	var sum uint64
	for _, e := range entries {
		sum += touchBlock(&c.slab, e)
	}
	c.touched += sum
}

// touchBlock makes the processor load the first lines of a block.
func touchBlock(s *slab, r ref) uint64 {
	lines := view[[3 * cacheLine / 8]uint64](s, r)
	return lines[0] + lines[cacheLine/8] + lines[2*cacheLine/8]
}

const cacheLine = 64

// gatherPoints looks up the values that are on a scale.
func (c *core) gatherPoints(f *field, a *attribute, w way, s scale) {
	first := c.event.project(a, s).first
	for i, v := range a.values {
		if at := c.event.coordinates[first+i]; at != none {
			c.cue(cue{hash: slotHash(f.salt, w, c.hashPoint(s, v, at)), key: f.key, way: w, value: uint32(i)})
		}
	}
}

// searchSlow finds the matches of a field that take more than a look-up.
func (c *core) searchSlow(f *field) {
	if f.grams != 0 {
		for i, v := range c.attribute(f.key).values {
			c.searchGrams(f, v, cue{key: f.key, way: byGram, value: uint32(i)})
		}
	}
	for _, t := range f.trees {
		c.searchTree(t)
	}
}

// searchTree tries the event on the entries of a tree that it may fit.
func (c *core) searchTree(t *tree) {
	var q [maxBounds]uint64
	for k, b := range t.bounds {
		a := c.attribute(b.key)
		p := c.event.project(a, b.scale)
		if p.low > p.high {
			return
		}
		if r := t.rest[k]; r > 0 {
			q[r] = c.event.remainder(a, b)
		}
		q[k] = upwards(p.high)
		if b.upper {
			q[k] = ^upwards(p.low)
		}
	}
	c.inside, c.fitting = c.inside[:0], c.fitting[:0]
	t.search(c, &q)
	c.touchRecords(c.inside)
	c.touchRecords(c.fitting)
	for _, e := range c.inside {
		c.tryInside(e)
	}
	for _, e := range c.fitting {
		c.try(e)
	}
}

// tryInside is try for an entry whose ranges hold.
func (c *core) tryInside(e ref) {
	at := c.entry(e)
	if !at.exact {
		c.try(e)
		return
	}
	if r := c.recordOf(e, at); r.tried != c.event.number {
		c.stats.Candidates++
		r.tried = c.event.number
		c.found = append(c.found, at.query)
	}
}

// look tries the event on what a settled cue leads to, and reports whether
// there is no use in doing so again for the same event.
func (c *core) look(q *cue) (done bool) {
	p := q.posting
	switch p.form() {
	case noEntry:
		return true
	case oneEntry:
		return c.tryBy(ref(p.value()), q)
	case listed:
		return c.tryList(c.list(p), q)
	default:
		c.visit(*c.nodes.at(p.value()))
		return true
	}
}

func (c *core) tryList(l *list, q *cue) (done bool) {
	done = true
	c.touchRecords(l.ref[:l.len])
	for _, e := range l.ref[:l.len] {
		if !c.tryBy(e, q) {
			done = false
		}
	}
	return done
}

// tryBy tries the event on a query that a cue led to, if it satisfies the
// condition that it is filed by. It reports whether the query has been tried.
func (c *core) tryBy(e ref, q *cue) bool {
	from := c.entry(e)
	r := c.recordOf(e, from)
	if r.tried == c.event.number {
		return true
	}
	t := r.term(int(from.term))
	if from.way != q.way || t.key != q.key || !c.satisfies(q, r, t, int(from.offset)) {
		c.stats.Candidates++
		return c.giveUp(r, t)
	}
	known := int(from.term)
	if t.op == query.Matches || q.way == byPresence && t.op != query.Exists {
		known = accept // the cue is less than the condition
	}
	c.decide(r, known)
	return true
}

// try tries the event on the query of an entry.
func (c *core) try(e ref) {
	if r := c.recordOf(e, c.entry(e)); r.tried != c.event.number {
		c.decide(r, accept)
	}
}

// decide runs the terms of a record, of which one is known to hold.
func (c *core) decide(r *record, known int) {
	c.stats.Candidates++
	r.tried = c.event.number
	c.note(c.verdict(r, known), r.query)
}

// satisfies reports whether the value of the cue satisfies a term; if the cue
// is a gram, at the place of the gram.
func (c *core) satisfies(q *cue, r *record, t *term, offset int) bool {
	if q.way == byPresence {
		return true
	}
	a, text := c.attribute(q.key), r.textOf(t)
	value := a.values[q.value]
	switch q.way {
	case byText:
		return value == text
	case byNumber:
		return c.coincides(a, q, r, t, numbers)
	case byInstant:
		return c.coincides(a, q, r, t, instants)
	case byPrefix:
		return strings.HasPrefix(value, text)
	case bySuffix:
		return strings.HasSuffix(value, text)
	default: // byGram
		begin := q.at - offset
		return begin >= 0 && strings.HasPrefix(value[begin:], text)
	}
}

// coincides reports whether the value of the cue is the point of a term, or, if
// it is long, whether some value of the key is.
func (c *core) coincides(a *attribute, q *cue, r *record, t *term, s scale) bool {
	at := c.event.project(a, s).first + int(q.value)
	switch value := a.values[q.value]; {
	case c.event.coordinates[at] != r.coordinateOf(t):
		return false
	case len(value) > light:
		return c.summarySatisfies(a, query.Equal, s, r.textOf(t))
	default:
		return compareExactly(s, value, r.textOf(t)) == 0
	}
}
