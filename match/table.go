package match

import "math/bits"

// A table leads from the hash of a condition to the posting of the entries
// filed under it. One table serves all nodes of the index and all keys: node,
// key and operator are part of the hash. It does not keep what was hashed: two
// conditions with one tag share a posting, and whoever finds an entry there
// looks at the condition itself.
//
// It is an extendible hash table: a directory, indexed by the leading bits of
// the hash, of segments with linear probing. A full segment splits in two, and
// two that are nearly empty become one again, so an insertion or deletion
// moves no more than a segment, whatever the size of the table. A query with
// many entries may find many segments full; most of them then wait for the
// next one to split.
//
//	hash  0110…      tag = its upper 32 bits
//	        │
//	        ▼
//	dir  [ 00 ][ 01 ][ 10 ][ 11 ]       depth 2
//	        │     │     └──┬──┘
//	        ▼     ▼        ▼
//	     ┌─────┐┌─────┐ ┌─────┐         a segment of depth 1 has two
//	     │slots││slots│ │slots│         places in the directory
//	     └─────┘└─────┘ └─────┘
//
//	slot  tag (32 bits) │ posting (32 bits), 0 if empty
//
// A table with blooms also has, for each segment, 32 words of 64 bits, and in
// one of them three bits set per tag: most look-ups of what is not in the table
// end at that word, which the processor's cache is more likely to hold.
type table struct {
	dir     []*segment
	blooms  []*bloom // as dir; nil in a table without
	depth   uint8    // len(dir) is 1 << depth
	deepest int      // segments of that depth
	moved   uint64   // slots that splits, merges and deletions moved
	budget  int      // slots that splits and merges may still move before they wait for another Add or Remove
	bloomed bool
}

const (
	segmentSlots = 248                  // with the head, 2 KiB
	segmentFull  = segmentSlots * 3 / 4 // probes stay within a cache line or two
	segmentLast  = segmentSlots - 8     // where a split cannot wait
	segmentMerge = segmentSlots / 4     // two that together have so many become one
	maxTableMove = 300                  // slots that one Add or Remove moves
	bloomWords   = 32
)

type segment struct {
	used  uint16
	depth uint8
	_     [61]byte // slots begin at a cache line
	slots [segmentSlots]uint64
}

type bloom [bloomWords]uint64

const tagMix = 0x9e3779b97f4a7c15

// homeOf returns the slot at which the search for a tag begins.
func homeOf(tag uint32) int { return int(uint64(tag) * tagMix >> 48 * segmentSlots >> 16) }

func wordOf(tag uint32) uint64 { return uint64(tag) * tagMix >> 59 }

func (b *bloom) add(tag uint32) {
	t := uint64(tag) * tagMix
	b[wordOf(tag)] |= 1<<(t>>53&63) | 1<<(t>>47&63) | 1<<(t>>41&63)
}

// hasBits returns 1 if a word of the bloom has the bits of a tag, else 0.
func hasBits(word uint64, tag uint32) uint64 {
	t := uint64(tag) * tagMix
	return word >> (t >> 53 & 63) & (word >> (t >> 47 & 63)) & (word >> (t >> 41 & 63)) & 1
}

// bloomOf returns the bloom of a segment.
func bloomOf(s *segment) *bloom {
	b := new(bloom)
	b.fill(s)
	return b
}

func (b *bloom) fill(s *segment) {
	*b = bloom{}
	for _, v := range s.slots {
		if v != 0 {
			b.add(uint32(v >> 32))
		}
	}
}

func newTable(bloomed bool) table {
	t := table{dir: []*segment{new(segment)}, deepest: 1, bloomed: bloomed}
	if bloomed {
		t.blooms = []*bloom{new(bloom)}
	}
	return t
}

func (t *table) index(hash uint64) uint64 { return hash >> (64 - t.depth) }

// find returns the posting of a hash, 0 if there is none.
func (t *table) find(hash uint64) posting {
	tag := uint32(hash >> 32)
	return t.dir[t.index(hash)].find(tag, homeOf(tag))
}

func (s *segment) find(tag uint32, home int) posting {
	for i := home; ; {
		v := s.slots[i]
		if uint32(v>>32) == tag || v == 0 {
			return posting(v)
		}
		if i++; i == segmentSlots {
			i = 0
		}
	}
}

// touch makes the processor load what find will look at.
func (t *table) touch(hash uint64) uint64 {
	return t.dir[t.index(hash)].slots[homeOf(uint32(hash>>32))]
}

// mayHave reports whether find might find something. Only for a table with
// blooms.
func (t *table) mayHave(hash uint64) bool {
	tag := uint32(hash >> 32)
	return hasBits(t.blooms[t.index(hash)][wordOf(tag)], tag) != 0
}

// sift lists the indices of those hashes that find might find something for,
// and returns how many there are. Its loops are without branches, the first
// one as short as can be, so that the loads of many words are under way at a
// time.
func (t *table) sift(hashes []uint64, passed *[siftSize]uint8) int {
	var words [siftSize]uint64
	blooms, shift := t.blooms, 63-t.depth
	for i, hash := range hashes {
		words[i%siftSize] = blooms[hash>>1>>(shift&63)][wordOf(uint32(hash>>32))]
	}
	n := uint(0)
	for i, hash := range hashes {
		passed[n%siftSize] = uint8(i)
		n += uint(hasBits(words[i%siftSize], uint32(hash>>32)))
	}
	return int(n)
}

const siftSize = 64 // hashes at a time

// slot returns the place of a tag in the segment, or the empty place where it
// would be.
func (s *segment) slot(tag uint32) int {
	for i := homeOf(tag); ; i = (i + 1) % segmentSlots {
		if v := s.slots[i]; v == 0 || uint32(v>>32) == tag {
			return i
		}
	}
}

// set makes p, which is not 0, the posting of a hash.
func (t *table) set(hash uint64, p posting) {
	tag := uint32(hash >> 32)
	s := t.dir[t.index(hash)]
	i := s.slot(tag)
	if s.slots[i] == 0 {
		for s.used >= segmentFull && int(s.used) <= t.budget || s.used == segmentLast {
			t.split(hash)
			s = t.dir[t.index(hash)]
		}
		i = s.slot(tag)
		s.used++
		if t.bloomed {
			t.blooms[t.index(hash)].add(tag)
		}
	}
	s.slots[i] = uint64(tag)<<32 | uint64(p)
}

// split divides the segment of a hash by the next bit.
func (t *table) split(hash uint64) {
	if t.dir[t.index(hash)].depth == t.depth {
		t.double()
	}
	old := t.dir[t.index(hash)]
	low, high := &segment{depth: old.depth + 1}, &segment{depth: old.depth + 1}
	bit := uint64(1) << (63 - old.depth)
	for _, v := range old.slots {
		switch {
		case v == 0:
		case v&bit == 0:
			low.put(v)
		default:
			high.put(v)
		}
	}
	t.spend(old.used)
	begin, size := t.places(hash, old.depth)
	t.place(low, begin, size/2)
	t.place(high, begin+size/2, size/2)
	if low.depth == t.depth {
		t.deepest += 2
	}
}

func (t *table) spend(moved uint16) {
	t.moved += uint64(moved)
	t.budget -= int(moved)
}

func (s *segment) put(v uint64) {
	s.slots[s.slot(uint32(v>>32))] = v
	s.used++
}

// places returns which part of the directory leads to the segment of a hash.
func (t *table) places(hash uint64, depth uint8) (begin, size uint64) {
	size = 1 << (t.depth - depth)
	return t.index(hash) &^ (size - 1), size
}

func (t *table) place(s *segment, begin, size uint64) {
	for i := begin; i < begin+size; i++ {
		t.dir[i] = s
	}
	if !t.bloomed {
		return
	}
	b := bloomOf(s)
	for i := begin; i < begin+size; i++ {
		t.blooms[i] = b
	}
}

func (t *table) double() {
	t.dir = doubled(t.dir)
	if t.bloomed {
		t.blooms = doubled(t.blooms)
	}
	t.depth++
	t.deepest = 0
}

func doubled[T any](dir []T) []T {
	twice := make([]T, 0, 2*len(dir))
	for _, v := range dir {
		twice = append(twice, v, v)
	}
	return twice
}

// remove takes out a hash that is in the table.
func (t *table) remove(hash uint64) {
	s := t.dir[t.index(hash)]
	hole := s.slot(uint32(hash >> 32))
	t.moved += s.removeAt(hole)
	if t.bloomed {
		t.blooms[t.index(hash)].fill(s) // a bit may be of several tags
	}
	t.merge(hash)
}

// removeAt empties a slot and moves those behind it that would no longer be
// found up, so that there are no tombstones.
func (s *segment) removeAt(hole int) (moved uint64) {
	s.used--
	for i := hole; ; {
		i = (i + 1) % segmentSlots
		v := s.slots[i]
		if v == 0 {
			break
		}
		home := homeOf(uint32(v >> 32))
		if (i-home+segmentSlots)%segmentSlots >= (i-hole+segmentSlots)%segmentSlots {
			s.slots[hole] = v
			hole = i
			moved++
		}
	}
	s.slots[hole] = 0
	return moved
}

// merge joins the segment of a hash with the one it was split from, while both
// are nearly empty, and halves a directory that no segment needs so large.
func (t *table) merge(hash uint64) {
	for {
		s := t.dir[t.index(hash)]
		if s.depth == 0 {
			return
		}
		begin, size := t.places(hash, s.depth)
		other := t.dir[begin^size]
		if n := s.used + other.used; other.depth != s.depth || n > segmentMerge || int(n) > t.budget {
			return
		}
		joined := &segment{depth: s.depth - 1}
		for _, half := range []*segment{s, other} {
			for _, v := range half.slots {
				if v != 0 {
					joined.put(v)
				}
			}
		}
		t.spend(joined.used)
		t.place(joined, min(begin, begin^size), 2*size)
		if s.depth == t.depth {
			t.deepest -= 2
		}
		for t.deepest == 0 && t.depth > 0 {
			t.halve()
		}
	}
}

func (t *table) halve() {
	t.dir = halved(t.dir)
	if t.bloomed {
		t.blooms = halved(t.blooms)
	}
	t.depth--
	for i, s := range t.dir {
		if s.depth == t.depth && (i == 0 || t.dir[i-1] != s) {
			t.deepest++
		}
	}
}

func halved[T any](dir []T) []T {
	half := make([]T, len(dir)/2)
	for i := range half {
		half[i] = dir[2*i]
	}
	return half
}

// bytes returns what the table holds.
func (t *table) bytes() int {
	const segmentBytes, bloomBytes = 2048, 8 * bloomWords
	segments := 0
	for i, s := range t.dir {
		if i == 0 || t.dir[i-1] != s {
			segments++
		}
	}
	n := segments*segmentBytes + 8*len(t.dir)
	if t.bloomed {
		n += segments*bloomBytes + 8*len(t.dir)
	}
	return n
}

// mixed folds two words into a hash whose upper bits depend on all of both.
func mixed(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	return high ^ low
}
