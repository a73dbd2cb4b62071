package match

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"unsafe"

	"github.com/harkbus/pubsub/query"
)

// few is the number of queries up to which trying all is faster than looking
// them up.
const few = 8

// A core is an [Index] without its values: it deals in records.
type core struct {
	live  dense[held] // by position: 0 … n-1, so that removing moves the last
	slots dense[slot] // by the lower half of an ID
	free  uint32      // 1 + first free slot
	base  uint32      // generation with which a slot begins
	last  uint32      // the highest generation there has been

	keys   keys
	slab   slab
	table  table
	grams  table // with a sieve
	root   *node
	nodes  roster[*node]
	fields fields
	trees  roster[*tree]

	seed   maphash.Seed
	secret uint64
	salts  uint64
	fixed  func(string) uint64 // tests that count: hashes the same in every run

	stats  Stats
	adding ref     // the record of the Add in progress
	moves  int     // entries of others that it has moved
	steps  int     // atoms that it has looked at to file entries below the root
	plans  []*plan // to use again
	asked  tally

	event     event
	read      int64                                 // steps spent on heavy values, beside what queries take, ever
	allowance int64                                 // of each event: allAtOnce, but in tests
	found     []ref                                 // records of what the events in hand match
	open      []ref                                 // records of what they match if the regular expressions do
	ends      [groupSize]mark                       // of found and open, of each event of a group
	beside    interface{ touch(record ref) uint64 } // the values
	cues      []cue                                 // scratch of visit: those of the nodes that it is in
	taken     []taken                               // scratch of visitGroup
	touched   uint64                                // sum of what was loaded ahead, for the compiler to keep the loads
	fitting   []ref                                 // scratch of searchTree
	inside    []ref                                 // scratch of searchTree
	stack     []ref                                 // scratch of tree.search
}

// A held is one query in the index.
type held struct {
	query  *query.Query
	record ref
	slot   uint32
}

// A slot leads from an ID to a query. It outlives the query, since it remembers
// its generation, so that no ID is given twice:
//
//	ID     │ generation │ slot │    a query takes the next generation of its slot
//	wrap   a slot whose generations are used up is not used again; that costs
//	       8 bytes every 2³² queries
//	empty  slots are forgotten with the last query, and those to come begin
//	       behind the generations of all of them, unless there are none left
//
// Generations begin at 1, so no ID is 0.
type slot struct {
	generation uint32 // of the query it holds, or last held: the upper half of the ID
	position   uint32 // in live; in a free slot, 1 + the next free slot
}

func (c *core) init() {
	c.base = 1
	c.keys.table, c.fields.table = newTable(), newTable()
	c.slab = newSlab()
	c.table, c.grams = newTable(), newTable()
	c.grams.sieve = newSieve()
	if c.seed = maphash.MakeSeed(); c.fixed == nil {
		c.secret = rand.Uint64()
	}
	c.root = c.newNode(nil, 0, filing{})
	c.allowance = allAtOnce
}

func (c *core) add(q *query.Query) (id ID, record ref) {
	at := c.takeSlot()
	position := c.live.push(held{query: q, slot: at})
	s := c.slots.at(at)
	s.position = position
	record = c.admit(q, position)
	c.live.at(position).record = record
	return ID(s.generation)<<32 | ID(at), record
}

func (c *core) takeSlot() uint32 {
	if c.free == 0 {
		c.last = max(c.last, c.base)
		return c.slots.push(slot{generation: c.base})
	}
	at := c.free - 1
	s := c.slots.at(at)
	c.free = s.position
	s.generation++
	c.last = max(c.last, s.generation)
	return at
}

// freeSlot takes a slot back whose query is gone.
func (c *core) freeSlot(at uint32) {
	switch s := c.slots.at(at); {
	case c.live.n == 0 && c.last < math.MaxUint32:
		c.slots.reset()
		c.free, c.base = 0, c.last+1
	case s.generation < math.MaxUint32:
		s.position, c.free = c.free, at+1
	}
}

// admit writes the record of a query and files it.
func (c *core) admit(q *query.Query, position uint32) ref {
	c.allowMoves()
	p := c.borrowPlan()
	defer c.returnPlan(p)
	c.compile(p, q)
	for i := range p.atoms {
		c.key(p.atoms[i].key).uses++
	}
	fits := p.fits()
	if !fits {
		c.dropKeys(p)
	}
	for i := range p.atoms {
		c.asked.add(c.askedHash(&p.atoms[i]))
	}
	c.weigh(p)
	self := c.slab.alloc(recordSize(p.atoms))
	r := c.record(self)
	r.write(self, position, p.atoms)
	if !fits {
		r.terms = opaque
	}
	c.adding, c.moves, c.steps = self, 0, 0
	c.place(p, c.root, self, maxTerms)
	c.stats.Moved += uint64(c.moves)
	return self
}

// dropKeys makes a plan that is too large one without conditions.
func (c *core) dropKeys(p *plan) {
	for i := range p.atoms {
		c.dropKey(p.atoms[i].key)
	}
	p.atoms, p.branches = p.atoms[:0], p.branches[:0]
}

// remove returns where the record of the query was.
func (c *core) remove(id ID) (record ref, ok bool) {
	position, ok := c.position(id)
	if !ok {
		return 0, false
	}
	record = c.live.at(position).record
	c.expel(record)
	c.live.removeAt(position)
	if position < c.live.n {
		moved := c.live.at(position)
		c.slots.at(moved.slot).position = position
		c.record(moved.record).position = position
	}
	c.freeSlot(uint32(id))
	return record, true
}

// expel takes out all entries of a query and gives its record back.
func (c *core) expel(self ref) {
	c.allowMoves()
	r := c.record(self)
	for e := self; e != 0; {
		next := c.entry(e).next
		c.unfile(e)
		if e != self {
			c.slab.release(e)
		}
		e = next
	}
	if r.terms != opaque {
		for i := range int(r.terms) {
			a := r.atom(i)
			a.hash = c.hashOperand(&a)
			c.asked.remove(c.askedHash(&a))
			c.dropKey(a.key)
		}
	}
	c.slab.release(self)
}

// position finds a query that is in the index.
func (c *core) position(id ID) (position uint32, ok bool) {
	at := uint32(id)
	if at >= c.slots.n || c.slots.at(at).generation != uint32(id>>32) {
		return 0, false
	}
	position = c.slots.at(at).position
	return position, position < c.live.n && c.live.at(position).slot == at
}

// match leaves the records of the queries that match in c.found, and in c.open
// those of the queries for which it takes long to say so.
func (c *core) match(events map[string][]string) {
	c.found, c.open = emptied(c.found), emptied(c.open)
	c.stats.Events++
	if c.live.n <= few {
		c.tryAll(events)
	} else {
		c.event.begin(events, c.allowance)
		c.visit(c.root)
		c.end()
		c.cues = emptied(c.cues)
	}
	c.count()
}

// count adds what was found to the statistics.
func (c *core) count() {
	c.stats.Matches += uint64(len(c.found))
	c.stats.Undecided += uint64(len(c.open))
}

// tryAll tries an event on all queries. It takes the event in hand only if some
// query cannot be answered at a glance.
func (c *core) tryAll(events map[string][]string) {
	c.stats.Candidates += uint64(c.live.n)
	c.event.scale.Put(events)
	inHand := false
	for i := range c.live.n {
		h := c.live.at(i)
		v := c.weighed(h.query)
		if v == undecided {
			if !inHand {
				c.event.begin(events, c.allowance)
				inHand = true
			}
			v = c.verdict(c.record(h.record), accept)
		}
		c.note(v, h.record)
	}
	if inHand {
		c.end()
	} else {
		c.event.scale.Put(nil)
	}
}

// note takes note of the verdict on a query.
func (c *core) note(v verdict, record ref) {
	switch v {
	case holds:
		c.found = append(c.found, record)
	case undecided:
		c.open = append(c.open, record)
	}
}

// ask decides an undecided query.
func (c *core) ask(record ref, events map[string][]string) bool {
	ok, _ := c.live.at(c.record(record).position).query.Matches(events)
	if ok {
		c.stats.Matches++
	}
	return ok
}

func (c *core) borrowPlan() *plan {
	last := len(c.plans) - 1
	if last < 0 {
		return new(plan)
	}
	p := c.plans[last]
	c.plans = c.plans[:last]
	return p
}

// returnPlan keeps a plan for the next query, but not the memory that a
// large one took.
func (c *core) returnPlan(p *plan) {
	if cap(p.atoms) <= 1024 {
		clear(p.atoms[:cap(p.atoms)])
		c.plans = append(c.plans, p)
	}
}

func (c *core) snapshot() Stats {
	s := c.stats
	s.Queries = int(c.live.n)
	s.Residual = c.root.pile.len
	s.Nodes = c.nodes.n
	for _, t := range c.tables() {
		s.Moved += t.moved
	}
	s.Bytes = c.bytes()
	return s
}

func (c *core) bytes() int {
	n := c.slab.total + int(unsafe.Sizeof(c.asked))
	for _, t := range c.tables() {
		n += t.bytes()
	}
	n += denseBytes(&c.live) + denseBytes(&c.slots)
	n += c.nodes.bytes() + int(unsafe.Sizeof(node{}))*c.nodes.n
	n += c.fields.all.bytes() + int(unsafe.Sizeof(field{}))*c.fields.all.n
	n += c.trees.bytes() + int(unsafe.Sizeof(tree{}))*c.trees.n
	return n + c.keys.all.bytes()
}

func (c *core) tables() [4]*table {
	return [...]*table{&c.table, &c.grams, &c.keys.table, &c.fields.table}
}

// allowMoves lets tables move what one Add or Remove may.
func (c *core) allowMoves() {
	for _, t := range c.tables() {
		t.budget = maxTableMove
	}
}
