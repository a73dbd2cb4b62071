package store

import "iter"

// A Batch is a list of changes that an engine makes together. The zero Batch is
// empty. It may be used by one goroutine at a time, and again after Reset.
type Batch struct {
	ops   []op
	bytes []byte // keys and values of all ops, one after the other
}

// An op is one change. Its key ends where its value begins.
type op struct {
	start, value, end int // in Batch.bytes
	delete            bool
}

// An Op is one change of a batch.
type Op struct {
	Key    []byte
	Value  []byte // never nil, unless Delete
	Delete bool
}

// Put sets the value of a key, which must not be empty. Both are copied.
func (b *Batch) Put(key, value []byte) { b.add(key, value, false) }

// Delete removes a key, which must not be empty and need not be there.
func (b *Batch) Delete(key []byte) { b.add(key, nil, true) }

func (b *Batch) add(key, value []byte, remove bool) {
	if len(key) == 0 {
		panic("store: a key is empty")
	}
	start := len(b.bytes)
	b.bytes = append(b.bytes, key...)
	b.bytes = append(b.bytes, value...)
	b.ops = append(b.ops, op{start, start + len(key), len(b.bytes), remove})
}

// All iterates over the changes in their order. They are valid until the next
// call of another method.
func (b *Batch) All() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		for _, o := range b.ops {
			change := Op{Key: b.bytes[o.start:o.value:o.value], Delete: o.delete}
			if !o.delete {
				change.Value = b.bytes[o.value:o.end:o.end]
			}
			if !yield(change) {
				return
			}
		}
	}
}

// Len returns how many changes there are.
func (b *Batch) Len() int { return len(b.ops) }

// Size returns how many bytes keys and values have together.
func (b *Batch) Size() int { return len(b.bytes) }

// OnlyDeletes reports whether the batch takes no more room than it frees.
func (b *Batch) OnlyDeletes() bool {
	for _, o := range b.ops {
		if !o.delete {
			return false
		}
	}
	return true
}

// Reset empties the batch and keeps its memory, unless that is large.
func (b *Batch) Reset() {
	const most = 1 << 20
	if cap(b.bytes) > most || cap(b.ops) > most/32 {
		*b = Batch{}
		return
	}
	b.ops, b.bytes = b.ops[:0], b.bytes[:0]
}
