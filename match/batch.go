package match

// A Batch holds what [Index.MatchBatch] found. Its zero value is ready; used
// again, it takes no memory.
type Batch[V any] struct {
	values []V
	ends   []int // ends[i] is where the values of event i end
}

// Len returns the number of events.
func (b *Batch[V]) Len() int { return len(b.ends) }

// Of returns the values of the queries that event i matches, until the batch
// is used again.
func (b *Batch[V]) Of(i int) []V {
	begin := 0
	if i > 0 {
		begin = b.ends[i-1]
	}
	return b.values[begin:b.ends[i]]
}

// Reset empties the batch and lets go of its values.
func (b *Batch[V]) Reset() {
	clear(b.values)
	b.values, b.ends = b.values[:0], b.ends[:0]
}

// MatchBatch matches several events. With many queries that takes less time
// than Match one by one: nearly all of it is spent waiting for memory, and here
// the processor loads what a group of events will look at before it looks at
// the first. Any number of events will do; groups have up to 32.
func (x *Index[V]) MatchBatch(events []map[string][]string, b *Batch[V]) {
	b.Reset()
	for len(events) > 0 {
		group := events[:min(groupSize, len(events))]
		events = events[len(group):]
		before := len(b.values)
		for _, position := range x.core.matchGroup(group, &b.ends) {
			b.values = append(b.values, *x.values.at(position))
		}
		for i := len(b.ends) - len(group); i < len(b.ends); i++ {
			b.ends[i] += before
		}
	}
}

const groupSize = 32

// matchGroup is match for up to groupSize events. It appends to ends where the
// positions of each end.
//
//	gather   event 1, 2, 3 …   hash the values, start to load their slots
//	load     cue 1, 2, 3 …     start to load the records of their entries
//	visit    event 1, 2, 3 …   as match does
func (c *core) matchGroup(events []map[string][]string, ends *[]int) []uint32 {
	c.found = c.found[:0]
	c.stats.Events += uint64(len(events))
	var cues [groupSize + 1]int // where the cues of each event begin
	if c.live.n > few {
		for i, e := range events {
			c.event.begin(e)
			c.gather(c.root)
			c.event.end()
			cues[i+1] = len(c.cues)
		}
		c.load()
	}
	for i, e := range events {
		if c.live.n <= few {
			c.tryAll(e)
		} else {
			c.event.begin(e)
			c.visitBy(c.root, cues[i], cues[i+1])
			c.event.end()
		}
		*ends = append(*ends, len(c.found))
	}
	clear(c.cues)
	c.cues = c.cues[:0]
	c.stats.Matches += uint64(len(c.found))
	return c.found
}

// load makes the processor load the records that the cues lead to.
func (c *core) load() {
	for i := range c.cues {
		p := c.table.find(c.cues[i].hash)
		if p.form() == oneEntry || p.form() == listed {
			block := view[[2 * cacheLine / 8]uint64](&c.slab, ref(p.value()))
			c.touched += block[0] + block[cacheLine/8]
		}
	}
}

const cacheLine = 64
