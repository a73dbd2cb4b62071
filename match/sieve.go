package match

import "math/bits"

// A sieve tells of most hashes that a table does not hold that it does not:
// it is a Bloom filter, whose words are few enough to stay in the processor's
// cache while a long text is sifted.
//
//	tag    the upper 32 bits of a hash
//	       its lower bits tell which word, its upper 6 and a product of all
//	       which 3 bits of the word
//	words  │ 64 │ 64 │ 64 │ …        14 to 28 bits for each tag of the table
//
// When it has become too dense, by tags that were added or by those that were
// removed, whose bits stay, another one of the right size is made. Each Add and
// Remove that follows sifts one segment of the table into it, until it has all
// of them and takes the place of the first:
//
//	table  │ sifted │ sifted │ sifted │ not yet │ not yet │
//	                                  ▲ swept
type sieve struct {
	bloom        // in use
	next  bloom  // being made, no words if none is
	swept uint64 // next has the tags of all hashes below
	live  int    // tags in the table
	work  *sifting
}

// A bloom is the bits of a sieve.
type bloom struct {
	words []uint64 // as many as a power of two; the lower bits of a tag tell which
	added int      // tags, some of which may have been removed since
}

const (
	fewWords = 32
	tooDense = 14 // per tag, below which a bloom is too dense
)

func newBloom(tags int) bloom {
	log := max(bits.Len(fewWords-1), bits.Len(uint(tags*tooDense*3/2/64)))
	return bloom{words: make([]uint64, 1<<log)}
}

func newSieve() *sieve { return &sieve{bloom: newBloom(0), work: new(sifting)} }

// with returns a word with the bits of a tag set. The first of them is the
// one that sift looks at for all.
func with(word uint64, tag uint32) uint64 {
	t := uint64(tag) * tagMix
	return word | 1<<(tag>>26) | 1<<(t>>53&63) | 1<<(t>>47&63)
}

func (b *bloom) place(tag uint32) uint32 { return tag & uint32(len(b.words)-1) }

func (b *bloom) add(tag uint32) {
	w := &b.words[b.place(tag)]
	*w = with(*w, tag)
	b.added++
}

// has reports whether a tag may have been added.
func (b *bloom) has(tag uint32) bool {
	w := b.words[b.place(tag)]
	return with(w, tag) == w
}

func (b *bloom) isDense(live int) bool {
	return b.added*tooDense > len(b.words)*64 || b.added > 2*live+64
}

// add notes a tag that the table has taken in.
func (s *sieve) add(t *table, tag uint32) {
	s.live++
	s.bloom.add(tag)
	if s.next.words != nil {
		s.next.add(tag)
	}
	s.renew(t)
}

// remove notes that the table has dropped a tag.
func (s *sieve) remove(t *table) {
	if s.live--; s.live > 0 {
		s.renew(t)
		return
	}
	s.bloom, s.next = newBloom(0), bloom{}
}

// renew does one step towards the next bloom, if there has to be one.
func (s *sieve) renew(t *table) {
	if s.next.words == nil {
		if !s.isDense(s.live) {
			return
		}
		s.next, s.swept = newBloom(s.live), 0
	}
	segment := t.dir[t.index(s.swept)]
	for _, v := range segment.slots {
		if v != 0 {
			s.next.add(uint32(v >> 32))
		}
	}
	begin, size := t.places(s.swept, segment.depth)
	if end := begin + size; end < uint64(len(t.dir)) {
		s.swept = end << (64 - t.depth)
		return
	}
	s.bloom, s.next = s.next, bloom{}
}

const siftSize = 256 // places of a text at a time

// A sifting is the work on up to siftSize places of a text.
type sifting struct {
	tags   [siftSize]uint32
	words  [siftSize]uint64 // of the tags
	passed [siftSize]uint8  // the places that are left
}

// sift returns at which of the first siftSize places of a text a gram may be
// that was added, until the next call. A gram is 8 bytes, of which those in
// mask count.
//
// Each loop does one thing, without branches, so that the processor has those
// of many places under way at a time: hash, load, look at one bit. That bit
// turns away most places; for the rest all three have to be there.
func (s *sieve) sift(text string, mask, salt uint64) []uint8 {
	w := s.work
	places := max(0, min(len(text)-7, siftSize))
	for i := range w.tags[:places] {
		w.tags[i] = uint32(gramHash(salt, wordAt(text, i)&mask) >> 32)
	}
	words, lower := s.words, uint32(len(s.words)-1)
	for i, tag := range w.tags[:places] {
		w.words[i] = words[tag&lower]
	}
	some := uint32(0)
	for i, tag := range w.tags[:places] {
		w.passed[some%siftSize] = uint8(i)
		some += uint32(w.words[i] >> (tag >> 26) & 1)
	}
	passed := w.passed[:0]
	for _, i := range w.passed[:some] {
		if word := w.words[i]; with(word, w.tags[i]) == word {
			passed = append(passed, i)
		}
	}
	return passed
}

func (s *sieve) bytes() int { return 8 * (len(s.words) + len(s.next.words)) }
