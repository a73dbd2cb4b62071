package match

import "unsafe"

// A slab hands out blocks of bytes, in which everything lives that there is
// one of per query. The garbage collector sees one object without pointers per
// 64 KiB.
//
//	ref 0x00002003:  chunk 2, byte 3 × 16
//
//	chunks[0] ─▶ │ 144 │ 144 │ 144 │ …      blocks of one size each;
//	chunks[1] ─▶ │ 32 │ 32 │ 32 │ 32 │ …    free blocks form a list
//	chunks[2] ─▶ │ 144 │░░░░░│ 144 │ …      inside their chunk
//
// A chunk without used blocks goes back to the garbage collector, unless it is
// the last of its size.
type slab struct {
	chunks  []*byte // the first byte of each
	infos   []chunkInfo
	vacant  []uint32              // indices of chunks that went back
	partial [sizeClasses][]uint32 // chunks of the class with a free block
	counts  [sizeClasses]int      // chunks of the class
	total   int                   // bytes of all chunks
}

// A ref names a block: its chunk, and its offset in units of 16 bytes. A slab
// never hands out 0.
type ref uint32

type chunkInfo struct {
	class    uint8
	units    uint16 // that blocks are made of
	used     uint16 // blocks
	free     uint16 // 1 + offset of the first free block; the block holds the same for the next one
	fresh    uint16 // offset of what was never handed out
	listedAt int32  // index in partial, or -1
}

const (
	blockUnit   = 16
	smallChunk  = 8 << 10 // the first chunk of a class; the next ones double
	largeChunk  = 64 << 10
	chunkUnits  = largeChunk / blockUnit
	chunkTail   = int(unsafe.Sizeof(block{})) // unused, so that a view of any type ends within the chunk
	maxBlock    = 56 << 10
	sizeClasses = 17 + 4*8 - 1         // 16, 32 … 256, then four per doubling up to 56 KiB
	maxChunks   = 1 << 30 / chunkUnits // a posting has 30 bits for a ref: 16 GiB
)

func newSlab() slab {
	return slab{chunks: make([]*byte, 1), infos: make([]chunkInfo, 1)} // no block is ref 0
}

// classOf returns the smallest size class that holds size bytes.
func classOf(size int) uint8 {
	if size <= 256 {
		return uint8((size + blockUnit - 1) / blockUnit)
	}
	class := uint8(17)
	for classSize(class) < size {
		class++
	}
	return class
}

// classSize returns the bytes of a block: 16 × class up to 256, then 320, 384,
// 448, 512, 640 …
func classSize(class uint8) int {
	if class <= 16 {
		return int(class) * blockUnit
	}
	doubling, quarter := (class-17)/4, (class-17)%4
	return 256<<doubling + (256<<doubling)/4*int(quarter+1)
}

// at returns where a block is.
func (s *slab) at(r ref) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(s.chunks[r/chunkUnits]), r%chunkUnits*blockUnit)
}

// view returns a block as a T, which has no pointers. T may be larger than the
// block; what is behind its end is not to be touched.
func view[T any](s *slab, r ref) *T { return (*T)(s.at(r)) }

// alloc returns a block of at least size bytes, at most maxBlock, whose
// content is arbitrary.
func (s *slab) alloc(size int) ref {
	class := classOf(size)
	if len(s.partial[class]) == 0 {
		s.list(class, s.newChunk(class))
	}
	listed := s.partial[class]
	chunk := listed[len(listed)-1]
	info := &s.infos[chunk]
	units := uint16(classSize(class) / blockUnit)
	offset := info.fresh
	if info.free != 0 {
		offset = info.free - 1
		info.free = *view[uint16](s, ref(chunk*chunkUnits+uint32(offset)))
	} else {
		info.fresh += units
	}
	info.used++
	if info.free == 0 && info.fresh+units > info.units {
		s.unlist(chunk)
	}
	return ref(chunk*chunkUnits + uint32(offset))
}

// release takes a block back.
func (s *slab) release(r ref) {
	chunk := uint32(r / chunkUnits)
	info := &s.infos[chunk]
	*view[uint16](s, r) = info.free
	info.free = uint16(r%chunkUnits) + 1
	info.used--
	if info.listedAt < 0 {
		s.list(info.class, chunk)
	}
	if info.used == 0 && len(s.partial[info.class]) > 1 {
		s.unlist(chunk)
		s.counts[info.class]--
		s.total -= int(info.units)*blockUnit + chunkTail
		s.chunks[chunk] = nil
		s.vacant = append(s.vacant, chunk)
	}
}

func (s *slab) newChunk(class uint8) uint32 {
	var chunk uint32
	if n := len(s.vacant); n > 0 {
		chunk = s.vacant[n-1]
		s.vacant = s.vacant[:n-1]
	} else {
		chunk = uint32(len(s.chunks))
		if chunk == maxChunks {
			panic("match: index is larger than 16 GiB")
		}
		s.chunks = append(s.chunks, nil)
		s.infos = append(s.infos, chunkInfo{})
	}
	size := largeChunk
	if s.counts[class] < 3 {
		size = max(smallChunk<<s.counts[class], classSize(class)+chunkTail)
	}
	s.counts[class]++
	s.total += size
	s.chunks[chunk] = unsafe.SliceData(make([]byte, size))
	s.infos[chunk] = chunkInfo{class: class, units: uint16((size - chunkTail) / blockUnit), listedAt: -1}
	return chunk
}

func (s *slab) list(class uint8, chunk uint32) {
	s.infos[chunk].listedAt = int32(len(s.partial[class]))
	s.partial[class] = append(s.partial[class], chunk)
}

func (s *slab) unlist(chunk uint32) {
	info := &s.infos[chunk]
	listed := s.partial[info.class]
	last := listed[len(listed)-1]
	listed[info.listedAt] = last
	s.infos[last].listedAt = info.listedAt
	s.partial[info.class] = listed[:len(listed)-1]
	info.listedAt = -1
}

// size returns the size of a block.
func (s *slab) size(r ref) int { return classSize(s.infos[r/chunkUnits].class) }
