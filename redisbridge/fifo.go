package redisbridge

import (
	"iter"
	"sync"
)

const fifoChunk = 256

// A fifo is a queue in chunks: it grows without moving what it holds, so that
// no single push is slow, and gives memory back as it is emptied.
//
//	first ─▶ [· · x x] ─▶ [x x x x] ─▶ [x · · ·] ◀─ last
//	              ▲ from                  ▲ to
type fifo[T any] struct {
	first, last *chunk[T] // nil before the first push
	from, to    int       // in first and in last
	n           int
	spare       sync.Pool // of *chunk[T], empty ones, until the collector comes
}

type chunk[T any] struct {
	items [fifoChunk]T
	next  *chunk[T]
}

func (f *fifo[T]) len() int { return f.n }

// front returns the first item of a queue that is not empty.
func (f *fifo[T]) front() *T { return &f.first.items[f.from] }

// all iterates over the queue, the first item first.
func (f *fifo[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		c, at := f.first, f.from
		for range f.n {
			if at == fifoChunk {
				c, at = c.next, 0
			}
			if !yield(&c.items[at]) {
				return
			}
			at++
		}
	}
}

// push returns where the item is until it is popped.
func (f *fifo[T]) push(v T) *T {
	if f.last == nil || f.to == fifoChunk {
		f.grow()
	}
	place := &f.last.items[f.to]
	*place = v
	f.to++
	f.n++
	return place
}

func (f *fifo[T]) grow() {
	c, _ := f.spare.Get().(*chunk[T])
	if c == nil {
		c = new(chunk[T])
	}
	if f.last == nil {
		f.first, f.from = c, 0
	} else {
		f.last.next = c
	}
	f.last, f.to = c, 0
}

// pop takes the first item of a queue that is not empty.
func (f *fifo[T]) pop() T {
	c := f.first
	v := c.items[f.from]
	c.items[f.from] = *new(T)
	f.from++
	f.n--
	switch {
	case f.n == 0 && c == f.last: // begin the chunk again
		f.from, f.to = 0, 0
	case f.from == fifoChunk:
		f.first, f.from = c.next, 0
		c.next = nil
		f.spare.Put(c)
	}
	return v
}
