package match

import "unsafe"

// A shelf holds one T for each record of a slab. Its place follows from where
// the record is, so that the processor can load both at the same time:
//
//	slab   │ record │ record │     │ record │ …      a chunk
//	shelf  │ T │ T │   │ T │ …                       a board: one T per 64 bytes
//
// Records have 64 bytes or more, so no two have the same place.
type shelf[T any] struct {
	boards []*T     // by chunk, the first T of each; nil where the chunk has no record
	used   []uint16 // places of each
}

const minRecord = 64

func (s *shelf[T]) at(r ref) *T {
	place := r % chunkUnits * blockUnit / minRecord
	return (*T)(unsafe.Add(unsafe.Pointer(s.boards[r/chunkUnits]), uintptr(place)*unsafe.Sizeof(*new(T))))
}

// put places v beside a record. The chunk of the record has so many units.
func (s *shelf[T]) put(r ref, v T, units uint16) {
	chunk := int(r / chunkUnits)
	for len(s.boards) <= chunk {
		s.boards, s.used = append(s.boards, nil), append(s.used, 0)
	}
	if s.boards[chunk] == nil {
		s.boards[chunk] = unsafe.SliceData(make([]T, int(units)*blockUnit/minRecord+1))
	}
	s.used[chunk]++
	*s.at(r) = v
}

// drop empties the place beside a record.
func (s *shelf[T]) drop(r ref) {
	chunk := r / chunkUnits
	*s.at(r) = *new(T)
	if s.used[chunk]--; s.used[chunk] == 0 {
		s.boards[chunk] = nil
	}
}

// touch makes the processor load what is beside a record, if the block is one.
func (s *shelf[T]) touch(r ref) uint64 {
	if chunk := int(r / chunkUnits); unsafe.Sizeof(*new(T)) == 0 || chunk >= len(s.boards) || s.boards[chunk] == nil {
		return 0
	}
	return uint64(*(*byte)(unsafe.Pointer(s.at(r))))
}
