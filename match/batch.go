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
		for _, record := range x.core.matchGroup(group, &b.ends) {
			b.values = append(b.values, *x.values.at(record))
		}
		for i := len(b.ends) - len(group); i < len(b.ends); i++ {
			b.ends[i] += before
		}
	}
}

const groupSize = 32

// matchGroup is match for up to groupSize events. It appends to ends where the
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
func (c *core) matchGroup(events []map[string][]string, ends *[]int) []ref {
	c.found = emptied(c.found)
	c.stats.Events += uint64(len(events))
	if c.live.n <= few {
		for _, e := range events {
			c.tryAll(e)
			*ends = append(*ends, len(c.found))
		}
	} else {
		c.visitGroup(events, ends)
	}
	c.stats.Matches += uint64(len(c.found))
	return c.found
}

func (c *core) visitGroup(events []map[string][]string, ends *[]int) {
	var taken, cues [groupSize + 1]int // where those of each event begin
	for _, e := range events {
		c.touched += uint64(len(e))
	}
	for i, e := range events {
		c.takeValues(e)
		taken[i+1] = len(c.taken)
	}
	c.touchValues()
	for i, e := range events {
		c.begin(e, c.taken[taken[i]:taken[i+1]])
		c.gather(c.root)
		c.event.end()
		cues[i+1] = len(c.cues)
	}
	c.touchSlots(&c.table, 0)
	c.settle(&c.table, 0)
	for i, e := range events {
		c.begin(e, c.taken[taken[i]:taken[i+1]])
		c.visitBy(c.root, cues[i], cues[i+1])
		c.event.end()
		*ends = append(*ends, len(c.found))
	}
	clear(c.taken)
	c.cues, c.taken = emptied(c.cues), emptied(c.taken)
}

// A taken is the values of a key of the root, found ahead.
type taken struct {
	key    uint32
	values []string
}

func (c *core) takeValues(events map[string][]string) {
	if len(c.root.fields) > 2*len(events)+few {
		return // too many to look for
	}
	for _, f := range c.root.fields {
		c.taken = append(c.taken, taken{f.key, events[c.keys.names[f.key]]})
	}
}

// begin takes an event in hand of which some values have been found.
func (c *core) begin(events map[string][]string, found []taken) {
	c.event.begin(events)
	for _, t := range found {
		c.event.take(t.key, t.values)
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
