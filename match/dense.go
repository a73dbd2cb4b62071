package match

import "unsafe"

// A dense is a slice in chunks of denseChunk elements: it grows and shrinks at
// its end without moving what it holds, so that no single operation on a large
// index stalls.
//
//	chunks ──▶ [0 … 1023] [1024 … 2047] [2048 … 2060 ……]
//	                                                 ▲ n
type dense[T any] struct {
	chunks []*[denseChunk]T
	n      uint32
}

const (
	denseBits  = 10
	denseChunk = 1 << denseBits
)

func (d *dense[T]) at(i uint32) *T { return &d.chunks[i>>denseBits][i%denseChunk] }

// push appends v and returns its position.
func (d *dense[T]) push(v T) uint32 {
	i := d.n
	if int(i>>denseBits) == len(d.chunks) {
		d.chunks = append(d.chunks, new([denseChunk]T))
	}
	*d.at(i) = v
	d.n++
	return i
}

// pop removes the last element. One empty chunk is kept, so that a size that
// swings around the border of a chunk does not allocate.
func (d *dense[T]) pop() T {
	d.n--
	last := d.at(d.n)
	v := *last
	*last = *new(T)
	if used := int(d.n+denseChunk-1) >> denseBits; used+1 < len(d.chunks) {
		d.chunks[used+1] = nil
		d.chunks = d.chunks[:used+1]
	}
	return v
}

// removeAt removes the element at i by moving the last one into its place.
func (d *dense[T]) removeAt(i uint32) {
	last := d.pop()
	if i < d.n {
		*d.at(i) = last
	}
}

// reset removes all elements and keeps one chunk.
func (d *dense[T]) reset() {
	clear(d.chunks[1:])
	d.chunks, d.n = d.chunks[:1], 0
}

func denseBytes[T any](d *dense[T]) int {
	return len(d.chunks) * (denseChunk*int(unsafe.Sizeof(*new(T))) + 8)
}
