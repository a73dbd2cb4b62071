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
type table struct {
	dir     []*segment
	depth   uint8  // len(dir) is 1 << depth
	deepest int    // segments of that depth
	size    int    // segments
	moved   uint64 // slots that splits, merges and deletions moved
	budget  int    // slots that splits and merges may still move before they wait for another Add or Remove
	sieve   *sieve // nil in a table without
}

const (
	segmentSlots = 248                  // with the head, 2 KiB
	segmentFull  = segmentSlots * 3 / 4 // probes stay within a cache line or two
	segmentLast  = segmentSlots - 8     // where a split cannot wait
	segmentMerge = segmentSlots / 4     // two that together have so many become one
	maxTableMove = 300                  // slots that one Add or Remove moves
)

type segment struct {
	used  uint16
	depth uint8
	_     [61]byte // slots begin at a cache line
	slots [segmentSlots]uint64
}

const tagMix = 0x9e3779b97f4a7c15

// homeOf returns the slot at which the search for a tag begins.
func homeOf(tag uint32) int { return int(uint64(tag) * tagMix >> 48 * segmentSlots >> 16) }

func newTable() table { return table{dir: []*segment{new(segment)}, deepest: 1, size: 1} }

func (t *table) index(hash uint64) uint64 { return hash >> 1 >> ((63 - t.depth) & 63) }

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
	added := s.slots[i] == 0
	if added {
		for s.used >= segmentFull && int(s.used) <= t.budget || s.used == segmentLast {
			t.split(hash)
			s = t.dir[t.index(hash)]
		}
		i = s.slot(tag)
		s.used++
	}
	s.slots[i] = uint64(tag)<<32 | uint64(p)
	if added && t.sieve != nil {
		t.sieve.add(t, tag)
	}
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
	t.size++
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
}

func (t *table) double() {
	twice := make([]*segment, 0, 2*len(t.dir))
	for _, s := range t.dir {
		twice = append(twice, s, s)
	}
	t.dir = twice
	t.depth++
	t.deepest = 0
}

// remove takes out a hash that is in the table.
func (t *table) remove(hash uint64) {
	s := t.dir[t.index(hash)]
	hole := s.slot(uint32(hash >> 32))
	t.moved += s.removeAt(hole)
	t.merge(hash)
	if t.sieve != nil {
		t.sieve.remove(t)
	}
}

// chain makes number the first of those with the tag of a hash, and returns what
// is to be next to it. Where a posting is no entry but 1 + the number of a thing,
// those with one tag lead to one another.
func (t *table) chain(hash uint64, number uint32) (next uint32) {
	next = uint32(t.find(hash))
	t.set(hash, posting(number+1))
	return next
}

// unchain is the reverse of chain.
func (t *table) unchain(hash uint64, number uint32, next func(number uint32) *uint32) {
	first, behind := uint32(t.find(hash)), *next(number)
	switch {
	case first != number+1:
		at := next(first - 1)
		for *at != number+1 {
			at = next(*at - 1)
		}
		*at = behind
	case behind != 0:
		t.set(hash, posting(behind))
	default:
		t.remove(hash)
	}
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
		t.size--
		if s.depth == t.depth {
			t.deepest -= 2
		}
		for t.deepest == 0 && t.depth > 0 {
			t.halve()
		}
	}
}

func (t *table) halve() {
	half := make([]*segment, len(t.dir)/2)
	for i := range half {
		half[i] = t.dir[2*i]
	}
	t.dir = half
	t.depth--
	for i, s := range t.dir {
		if s.depth == t.depth && (i == 0 || t.dir[i-1] != s) {
			t.deepest++
		}
	}
}

// bytes returns what the table holds.
func (t *table) bytes() int {
	const segmentBytes = 2048
	n := t.size*segmentBytes + 8*len(t.dir)
	if t.sieve != nil {
		n += t.sieve.bytes()
	}
	return n
}

// mixed folds two words into a hash whose upper bits depend on all of both.
func mixed(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	return high ^ low
}
