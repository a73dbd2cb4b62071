package match

// A Batch holds what [Index.MatchBatch] or [Index.FindBatch] found. Its zero
// value is ready; used again, it takes no memory.
type Batch[V any] struct {
	values    []V
	undecided []V
	ends      []mark // ends[i] is where those of event i end
}

// A mark is a place in what was found, and in what is undecided.
type mark struct{ found, open int }

// Len returns the number of events.
func (b *Batch[V]) Len() int { return len(b.ends) }

// Of returns the values of the queries that event i matches, until the batch
// is used again.
func (b *Batch[V]) Of(i int) []V { return b.values[b.begin(i).found:b.ends[i].found] }

// Undecided returns the values of the queries that FindBatch left undecided for
// event i, until the batch is used again.
func (b *Batch[V]) Undecided(i int) []V { return b.undecided[b.begin(i).open:b.ends[i].open] }

func (b *Batch[V]) begin(i int) mark {
	if i == 0 {
		return mark{}
	}
	return b.ends[i-1]
}

// Reset empties the batch and lets go of its values.
func (b *Batch[V]) Reset() {
	clear(b.values)
	clear(b.undecided)
	b.values, b.undecided, b.ends = b.values[:0], b.undecided[:0], b.ends[:0]
}

// MatchBatch matches several events. With many queries that takes less time
// than Match one by one: nearly all of it is spent waiting for memory, and here
// the processor loads what a group of events will look at before it looks at
// the first. Any number of events will do; groups have up to 32.
func (x *Index[V]) MatchBatch(events []map[string][]string, b *Batch[V]) {
	x.batch(events, b, false, func(e map[string][]string, open []ref) {
		b.values = x.appendDecided(b.values, open, e)
	})
}

// FindBatch is to Find what MatchBatch is to Match, but it may leave events at the
// end out, as Len tells, so that a batch takes no longer than its most expensive
// event and 2¹⁹ steps: it stops where values that are many or long have taken more.
func (x *Index[V]) FindBatch(events []map[string][]string, b *Batch[V]) {
	x.batch(events, b, true, func(_ map[string][]string, open []ref) {
		b.undecided = x.appendValues(b.undecided, open)
	})
}

// batch fills b, and leaves it to rest to do so with what is undecided. If hasty, it
// stops once heavy values have taken long.
func (x *Index[V]) batch(events []map[string][]string, b *Batch[V], hasty bool, rest func(e map[string][]string, open []ref)) {
	b.Reset()
	c := &x.core
	for before := c.read; len(events) > 0 && !(hasty && c.read-before > allAtOnce); {
		group := events[:min(groupSize, len(events))]
		group = group[:c.matchGroup(group)]
		events = events[len(group):]
		begin := mark{}
		for i, end := range x.core.ends[:len(group)] {
			b.values = x.appendValues(b.values, x.core.found[begin.found:end.found])
			rest(group[i], x.core.open[begin.open:end.open])
			b.ends = append(b.ends, mark{len(b.values), len(b.undecided)})
			begin = end
		}
	}
}

const groupSize = 32

// matchGroup is match for up to groupSize events, or the first of them, if these have
// heavy values: it returns for how many. It leaves in c.ends where the
// records of each end. Every step but the last does little for each event
// and nothing that waits for memory, so the processor has loads of many events
// under way at a time:
//
//	take           event 1, 2, 3 …   find the values of the keys of the root
//	touchValues    value 1, 2, 3 …   load them
//	gather         event 1, 2, 3 …   hash them
//	touchSlots     cue 1, 2, 3 …     load their slots of the table
//	settle         cue 1, 2, 3 …     load the records that these lead to
//	visit          event 1, 2, 3 …   as match does
func (c *core) matchGroup(events []map[string][]string) (n int) {
	c.found, c.open = emptied(c.found), emptied(c.open)
	n = len(events)
	if c.live.n <= few {
		for i, e := range events {
			c.tryAll(e)
			c.ends[i] = mark{len(c.found), len(c.open)}
		}
	} else {
		n = c.visitGroup(events)
	}
	c.stats.Events += uint64(n)
	c.count()
	return n
}

func (c *core) visitGroup(events []map[string][]string) (n int) {
	var taken, cues [groupSize + 1]int // where those of each event begin
	var through [groupSize]bool        // which events the root cannot be searched for
	for _, e := range events {
		c.touched += uint64(len(e))
	}
	for i, e := range events {
		c.takeValues(e)
		taken[i+1] = len(c.taken)
	}
	c.touchValues()
	before := c.read
	for i, e := range events {
		c.begin(e, c.taken[taken[i]:taken[i+1]])
		if through[i] = !c.gather(c.root); through[i] {
			c.cues = c.cues[:cues[i]]
		}
		c.end()
		cues[i+1] = len(c.cues)
		if c.read-before > allAtOnce {
			events = events[:i+1]
			break
		}
	}
	c.touchSlots(&c.table, 0)
	c.settle(&c.table, 0)
	before = c.read
	for i, e := range events {
		c.begin(e, c.taken[taken[i]:taken[i+1]])
		if through[i] {
			c.passThrough(c.root)
		} else {
			c.visitBy(c.root, cues[i], cues[i+1])
		}
		c.end()
		c.ends[i] = mark{len(c.found), len(c.open)}
		if n++; c.read-before > allAtOnce {
			break
		}
	}
	clear(c.taken)
	c.cues, c.taken = emptied(c.cues), emptied(c.taken)
	return n
}

// A taken is the values of a key of the root, found ahead.
type taken struct {
	key    uint32
	values []string
}

func (c *core) takeValues(events map[string][]string) {
	if c.root.fields > 2*len(events)+few {
		return // too many to look for
	}
	for f := c.root.first; f != nil; f = f.next {
		c.taken = append(c.taken, taken{f.key, events[c.key(f.key).name]})
	}
}

// begin takes an event in hand of which some values have been found.
func (c *core) begin(events map[string][]string, found []taken) {
	c.event.begin(events, c.allowance)
	for _, t := range found {
		c.take(t.key, t.values)
	}
}

func (c *core) touchValues() {
	sum := 0
	for i := range c.taken {
		if values := c.taken[i].values; len(values) > 0 {
			sum += len(values[0]) + len(values[len(values)-1])
		}
	}
	for i := range c.taken {
		for _, v := range c.taken[i].values {
			if len(v) > 0 {
				sum += int(v[0]) + int(v[len(v)-1])
			}
		}
	}
	c.touched += uint64(sum)
}
