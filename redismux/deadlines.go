package redismux

import (
	"container/heap"
	"slices"
	"time"
)

// deadlines holds the promises that wait, the next to time out first. One timer
// serves them all: a timer each would cost a goroutine each when many end at
// once, and the runtime keeps the descriptors of those for ever.
type deadlines struct{ heap promiseHeap }

func (d *deadlines) add(p *Promise) { heap.Push(&d.heap, p) }

func (d *deadlines) remove(p *Promise) {
	heap.Remove(&d.heap, p.index)
	if n := len(d.heap); n >= 64 && n < cap(d.heap)/4 {
		d.heap = slices.Clone(d.heap) // with room for no more
	}
}

// next returns the promise that times out first, nil when there is none.
func (d *deadlines) next() *Promise {
	if len(d.heap) == 0 {
		return nil
	}
	return d.heap[0]
}

// promiseHeap implements heap.Interface.
type promiseHeap []*Promise

func (h promiseHeap) Len() int           { return len(h) }
func (h promiseHeap) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }

func (h promiseHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *promiseHeap) Push(x any) {
	p := x.(*Promise)
	p.index = len(*h)
	*h = append(*h, p)
}

func (h *promiseHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}

var _ heap.Interface = (*promiseHeap)(nil)

// until is how long to wait for t, never negative.
func until(t time.Time) time.Duration { return max(time.Until(t), 0) }
