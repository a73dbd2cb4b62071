package match

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"unsafe"
)

// CONTAINS is filed by a gram: some 1, 2, 3, 4, 6 or 8 neighbouring bytes of
// its text, the longest size that fits, and of these one in little company. So
// is the text that a regular expression cannot match without.
//
//	memo CONTAINS 'gift-2024'     grams of 8:  gift-202   ift-2024 ◀ filed
//
// A value is read once for each size in use: at each place the bytes are
// hashed and looked up in the sieve, which stays in cache, and seldom in the
// table.
var gramSizes = [...]int{1, 2, 3, 4, 6, 8}

const gramClasses = len(gramSizes)

func gramClass(size int) int {
	class := gramClasses - 1
	for gramSizes[class] > size {
		class--
	}
	return class
}

// gramPlaces yields where in a text to look for a gram to file it by. It begins
// at the end, since texts have beginnings in common, and goes in strides that
// leave out no byte, so that texts are told apart wherever they differ; then it
// looks between.
func gramPlaces(text string) iter.Seq[int] {
	const stride, between = 8, 64
	last := min(len(text)-gramSize(len(text)), math.MaxUint16)
	return func(yield func(int) bool) {
		looks := last/stride + 1 + between
		for _, begin := range [stride]int{0, 4, 2, 6, 1, 3, 5, 7} {
			for offset := last - begin; offset >= 0 && looks > 0; offset -= stride {
				if looks--; !yield(offset) {
					return
				}
			}
		}
	}
}

func gramSize(textSize int) int { return gramSizes[gramClass(textSize)] }

// gramSalt tells the grams of a field and size from others.
func gramSalt(salt uint64, class int) uint64 {
	return mixed(salt, uint64(byGram)<<8|uint64(class)) ^ gramMix
}

const (
	wordMix = 0x9e3779b97f4a7c15
	gramMix = 0xd6e8feb86659fd93
)

func gramHash(salt, gram uint64) uint64 {
	high, low := bits.Mul64(gram^wordMix, salt)
	return high ^ low
}

// gramAt returns size bytes of a text that has as many from i on.
func gramAt(text string, i, size int) uint64 {
	if i+8 <= len(text) {
		return wordAt(text, i) & gramMask(size)
	}
	var g uint64
	for k := range size {
		g |= uint64(text[i+k]) << (8 * k)
	}
	return g
}

// gramMask has the bytes of a gram in a word.
func gramMask(size int) uint64 { return 1<<(8*size) - 1 } // of 8: 1<<64 is 0

// wordAt loads the 8 bytes of a text from i on. It does not look whether they
// are there.
func wordAt(s string, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(s)), i))[:])
}

// searchGrams looks up all grams of a value, of which the cue tells.
func (c *core) searchGrams(f *field, value string, q cue) {
	var done gramsDone
	for classes := f.grams; classes != 0; classes &= classes - 1 {
		class := bits.TrailingZeros8(classes)
		switch {
		case len(value) < gramSizes[class]:
			return
		case class == 0:
			c.searchBytes(f, value, q, &done)
		default:
			c.searchGramsOf(f, value, q, class, &done)
		}
	}
}

// searchBytes looks up each byte that is in the value once.
func (c *core) searchBytes(f *field, value string, q cue, done *gramsDone) {
	var first [256]int32 // 1 + where the byte is first
	for i := len(value) - 1; i >= 0; i-- {
		first[value[i]] = int32(i + 1)
	}
	salt := gramSalt(f.salt, 0)
	begin := len(c.cues)
	for b, at := range first {
		if at > 0 {
			q.at, q.hash = int(at-1), gramHash(salt, uint64(b))
			c.cue(q)
		}
	}
	c.lookGrams(begin, done)
}

// searchGramsOf looks up the grams of one size. Those that pass the sieve are
// kept until there are many, so that what they lead to loads at the same time.
func (c *core) searchGramsOf(f *field, value string, q cue, class int, done *gramsDone) {
	size := gramSizes[class]
	salt := gramSalt(f.salt, class)
	first := len(c.cues)
	whole := max(0, len(value)-7) // places with 8 bytes
	for begin := 0; begin < whole; begin += siftSize {
		for _, i := range c.grams.sieve.sift(value[begin:], gramMask(size), salt) {
			q.at = begin + int(i)
			q.hash = gramHash(salt, gramAt(value, q.at, size))
			if !done.has(q.hash) {
				c.cue(q)
			}
		}
		if len(c.cues)-first >= siftSize {
			c.lookGrams(first, done)
		}
	}
	for q.at = whole; q.at+size <= len(value); q.at++ {
		q.hash = gramHash(salt, gramAt(value, q.at, size))
		if c.grams.sieve.has(uint32(q.hash >> 32)) {
			c.cue(q)
		}
	}
	c.lookGrams(first, done)
}

// gramsDone remembers grams of the value that need not be looked up again: a
// long value may consist of few grams.
type gramsDone [64]uint64

func (d *gramsDone) place(hash uint64) *uint64 { return &d[hash>>40%uint64(len(d))] }
func (d *gramsDone) has(hash uint64) bool      { return *d.place(hash) == hash }

// lookGrams looks up the cues from first on, and removes them.
func (c *core) lookGrams(first int, done *gramsDone) {
	c.touchSlots(&c.grams, first)
	c.settle(&c.grams, first)
	for i := first; i < len(c.cues); i++ {
		hash := c.cues[i].hash
		if !done.has(hash) && c.look(&c.cues[i]) {
			*done.place(hash) = hash
		}
	}
	c.cues = c.cues[:first]
}
