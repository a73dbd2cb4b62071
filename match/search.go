package match

import (
	"hash/maphash"
	"strings"

	"github.com/harkbus/pubsub/query"
)

// A cue is what an event is looked up by: one value, under one key, read one
// way.
type cue struct {
	key        uint32
	way        way
	value      string
	coordinate int64 // byNumber, byInstant
	at         int   // byGram: where in the value
}

// hash returns what a condition is filed under in the table. Where it is a
// gram, offset tells which of the text.
func (c *core) hash(n *node, w way, key uint32, text string, coordinate int64, offset int) uint64 {
	salt := n.saltOf(key)
	switch w {
	case byText:
		return slotHash(salt, w, c.hashText(text))
	case byNumber, byInstant:
		return slotHash(salt, w, uint64(coordinate))
	case byPrefix, bySuffix:
		size := affixSize(affixClass(len(text)))
		return slotHash(salt, w, c.hashText(affix(w, text, size))+uint64(size))
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

func (c *core) hashText(s string) uint64 { return maphash.String(c.seed, s) }

func (c *core) tableOf(w way) *table {
	if w == byGram {
		return &c.grams
	}
	return &c.table
}

// visit finds the matches in a node and below.
func (c *core) visit(n *node) {
	if n.visited == c.event.number {
		return // by another value
	}
	n.visited = c.event.number
	c.stats.Visited++
	for block := n.pile; block != 0; {
		b := pile(c.slab.at(block))
		for i := range b.len() {
			c.try(b.at(i))
		}
		block = b.next()
	}
	if len(n.fields) <= 2*len(c.event.keys)+few {
		for _, f := range n.fields {
			c.search(f)
		}
		return
	}
	for _, key := range c.presentKeys() {
		if f := n.find(key); f != nil {
			c.search(f)
		}
	}
}

// search finds the matches below a field.
func (c *core) search(f *field) {
	a := c.attribute(f.key)
	if f.entries[byPresence] > 0 && (len(a.values) > 0 || c.isType(f.key)) {
		c.look(&c.table, slotHash(f.salt, byPresence, 0), &cue{key: f.key, way: byPresence})
	}
	if len(a.values) == 0 {
		return
	}
	if f.entries[byText] > 0 {
		for _, v := range a.values {
			c.look(&c.table, slotHash(f.salt, byText, c.hashText(v)), &cue{key: f.key, way: byText, value: v})
		}
	}
	c.searchPoints(f, a, byNumber, numbers)
	c.searchPoints(f, a, byInstant, instants)
	if f.entries[byPrefix]|f.entries[bySuffix]|f.entries[byGram] > 0 {
		c.searchParts(f, a)
	}
	for _, t := range f.trees {
		c.searchTree(t)
	}
}

// searchPoints looks up the values that are on a scale.
func (c *core) searchPoints(f *field, a *attribute, w way, s scale) {
	if f.entries[w] == 0 {
		return
	}
	first := c.event.project(a, s).first - 1
	for i, v := range a.values {
		if at := c.event.coordinate[int(first)+i]; at != none {
			c.look(&c.table, slotHash(f.salt, w, uint64(at)), &cue{key: f.key, way: w, value: v, coordinate: at})
		}
	}
}

// searchParts looks up the beginnings, ends and grams of the values.
func (c *core) searchParts(f *field, a *attribute) {
	for _, v := range a.values {
		c.searchAffixes(f, &cue{key: f.key, way: byPrefix, value: v})
		c.searchAffixes(f, &cue{key: f.key, way: bySuffix, value: v})
		c.searchGrams(f, &cue{key: f.key, way: byGram, value: v})
	}
}

// searchTree tries the event on the entries of a tree that it may fit.
func (c *core) searchTree(t *tree) {
	var q [maxBounds]uint64
	for k, b := range t.bounds {
		p := c.event.project(c.attribute(b.key), b.scale)
		if p.low > p.high {
			return
		}
		q[k] = upwards(p.high)
		if b.upper {
			q[k] = ^upwards(p.low)
		}
	}
	c.fitting = t.search(c, &q, c.fitting[:0])
	for _, e := range c.fitting {
		c.try(e)
	}
}

// look tries the event on what the table has under a hash, and reports whether
// there is no use in doing so again for the same event.
func (c *core) look(t *table, hash uint64, q *cue) (done bool) {
	c.stats.Probes++
	p := t.find(hash)
	switch p.form() {
	case noEntry:
		return true
	case oneEntry:
		return c.tryBy(ref(p.value()), q)
	case listed:
		return c.tryList(c.list(p), q)
	default:
		c.visit(c.nodes[p.value()])
		return true
	}
}

func (c *core) tryList(l list, q *cue) (done bool) {
	done = true
	for i := range l.len() {
		if !c.tryBy(l.at(i), q) {
			done = false
		}
	}
	return done
}

// tryBy tries the event on a query that a cue led to, if it satisfies the
// condition that it is filed by. It reports whether the query has been tried.
func (c *core) tryBy(e ref, q *cue) bool {
	from := entry(c.slab.at(e))
	r := c.recordOf(e, from)
	if r.tried() == c.event.number {
		return true
	}
	t := r.term(from.term())
	if from.way() != q.way || t.key != q.key || !q.satisfies(&t, from.offset()) {
		c.stats.Candidates++
		return false
	}
	known := from.term()
	if t.op == query.Matches || q.way == byPresence && t.op != query.Exists {
		known = accept // the cue is less than the condition
	}
	c.decide(r, known)
	return true
}

// try tries the event on the query of an entry.
func (c *core) try(e ref) {
	if r := c.recordOf(e, entry(c.slab.at(e))); r.tried() != c.event.number {
		c.decide(r, accept)
	}
}

func (c *core) recordOf(e ref, from entry) record {
	if q := from.query(); q != e {
		return record(c.slab.at(q))
	}
	return record(from)
}

// decide runs the terms of a record, of which one is known to hold.
func (c *core) decide(r record, known int) {
	c.stats.Candidates++
	r.setTried(c.event.number)
	if c.holds(r, known) {
		c.found = append(c.found, r.position())
	}
}

// satisfies reports whether the value of the cue satisfies a term; if the cue
// is a gram, at the place of the gram.
func (q *cue) satisfies(t *term, offset int) bool {
	switch q.way {
	case byText:
		return q.value == t.text
	case byNumber:
		return q.coordinate == t.coordinate && compareExactly(numbers, q.value, t.text) == 0
	case byInstant:
		return q.coordinate == t.coordinate && compareExactly(instants, q.value, t.text) == 0
	case byPrefix:
		return strings.HasPrefix(q.value, t.text)
	case bySuffix:
		return strings.HasSuffix(q.value, t.text)
	case byGram:
		begin := q.at - offset
		return begin >= 0 && strings.HasPrefix(q.value[begin:], t.text)
	default: // byPresence
		return true
	}
}
