package match

import "unsafe"

// A roster gives things numbers, which are used again after drop. It grows and
// shrinks by chunks, so that no single operation on a large index stalls, and a
// chunk in which nothing is left goes back to the garbage collector, unless it
// is the only one with a free place.
//
//	chunks[0] ─▶ │ 0 │ 1 │░░░│ 3 │ …  63 │    free places form a list
//	chunks[1]                                nothing is left
//	chunks[2] ─▶ │ 128 │ 129 │ …
type roster[T any] struct {
	chunks  []*rosterChunk[T] // nil where nothing is left
	partial []uint32          // indices of chunks with a free place
	vacant  []uint32          // of those that went back
	n       int               // things there are
}

type rosterChunk[T any] struct {
	items    [rosterSize]T
	next     [rosterSize]uint8 // of a free place: 1 + the next one
	free     uint8             // 1 + the first free place
	used     uint8
	listedAt int32 // index in partial, or -1
}

const rosterSize = 64

// at returns the thing of a number.
func (r *roster[T]) at(number uint32) *T {
	return &r.chunks[number/rosterSize].items[number%rosterSize]
}

// add takes in v and returns its number.
func (r *roster[T]) add(v T) uint32 {
	if len(r.partial) == 0 {
		r.addChunk()
	}
	chunk := r.partial[len(r.partial)-1]
	c := r.chunks[chunk]
	place := uint32(c.free - 1)
	c.items[place], c.free = v, c.next[place]
	c.used++
	r.n++
	if c.free == 0 {
		r.unlist(c)
	}
	return chunk*rosterSize + place
}

// drop takes out the thing of a number.
func (r *roster[T]) drop(number uint32) {
	chunk, place := number/rosterSize, number%rosterSize
	c := r.chunks[chunk]
	c.items[place] = *new(T)
	c.next[place], c.free = c.free, uint8(place+1)
	c.used--
	r.n--
	if c.listedAt < 0 {
		r.list(chunk)
	}
	if c.used == 0 && len(r.partial) > 1 {
		r.unlist(c)
		r.chunks[chunk] = nil
		r.vacant = append(r.vacant, chunk)
	}
}

func (r *roster[T]) addChunk() {
	c := new(rosterChunk[T])
	for place := range c.next {
		c.next[place] = uint8(place + 2)
	}
	c.next[rosterSize-1], c.free = 0, 1
	if last := len(r.vacant) - 1; last >= 0 {
		chunk := r.vacant[last]
		r.vacant = r.vacant[:last]
		r.chunks[chunk] = c
		r.list(chunk)
		return
	}
	r.chunks = append(r.chunks, c)
	r.list(uint32(len(r.chunks) - 1))
}

func (r *roster[T]) list(chunk uint32) {
	r.chunks[chunk].listedAt = int32(len(r.partial))
	r.partial = append(r.partial, chunk)
}

func (r *roster[T]) unlist(c *rosterChunk[T]) {
	last := len(r.partial) - 1
	moved := r.partial[last]
	r.partial[c.listedAt] = moved
	r.chunks[moved].listedAt = c.listedAt
	r.partial = r.partial[:last]
	c.listedAt = -1
}

// bytes returns what the roster holds, without what its things refer to.
func (r *roster[T]) bytes() int {
	return int(unsafe.Sizeof(rosterChunk[T]{}))*(len(r.chunks)-len(r.vacant)) + 16*cap(r.chunks)
}
