package match

import "math/bits"

// CONTAINS is filed by a gram: some 1, 2, 3, 4, 6 or 8 neighbouring bytes of
// its text, the longest size that fits, and of these one in little company. So
// is the text that a regular expression cannot match without.
//
//	memo CONTAINS 'gift-2024'     grams of 8:  gift-202   ift-2024 ◀ filed
//
// A value is read once for each size in use: at each place the bytes are
// hashed and looked up in the bloom, whose words are the part of the table that
// stays in cache, and seldom in the table itself.
var gramSizes = [...]int{1, 2, 3, 4, 6, 8}

const gramClasses = len(gramSizes)

func gramClass(size int) int {
	class := gramClasses - 1
	for gramSizes[class] > size {
		class--
	}
	return class
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
		return word(text[i:]) & (1<<(8*size) - 1)
	}
	var g uint64
	for k := range size {
		g |= uint64(text[i+k]) << (8 * k)
	}
	return g
}

// word loads 8 bytes.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// searchGrams looks up all grams of a value.
func (c *core) searchGrams(f *field, q *cue) {
	for classes := f.grams; classes != 0; classes &= classes - 1 {
		class := bits.TrailingZeros8(classes)
		switch {
		case len(q.value) < gramSizes[class]:
			return
		case class == 0:
			c.searchBytes(f, q)
		default:
			c.searchGramsOf(f, q, class)
		}
	}
}

// searchBytes looks up each byte that is in the value once.
func (c *core) searchBytes(f *field, q *cue) {
	var first [256]int32 // 1 + where the byte is first
	for i := len(q.value) - 1; i >= 0; i-- {
		first[q.value[i]] = int32(i + 1)
	}
	salt := gramSalt(f.salt, 0)
	for b, at := range first {
		if at > 0 {
			q.at, q.hash = int(at-1), gramHash(salt, uint64(b))
			c.look(&c.grams, q)
		}
	}
}

// searchGramsOf looks up the grams of one size. Those that pass the bloom are
// kept until there are many, so that what they lead to loads at the same time.
func (c *core) searchGramsOf(f *field, q *cue, class int) {
	size := gramSizes[class]
	salt := gramSalt(f.salt, class)
	var done gramsDone
	var hashes [siftSize]uint64
	var passed [siftSize]uint8
	first := len(c.cues)
	for begin := 0; begin+size <= len(q.value); begin += siftSize {
		n := hashGrams(&hashes, q.value[begin:], size, salt)
		for _, i := range passed[:c.grams.sift(hashes[:n], &passed)] {
			q.hash, q.at = hashes[i], begin+int(i)
			c.cue(*q)
		}
		if len(c.cues)-first >= siftSize {
			c.lookGrams(first, &done)
		}
	}
	c.lookGrams(first, &done)
}

// hashGrams hashes the grams at the first places of a text, as many as there
// are and hashes has room for.
func hashGrams(hashes *[siftSize]uint64, text string, size int, salt uint64) (n int) {
	mask := uint64(1)<<(8*size) - 1 // of 8 bytes: 1<<64 is 0
	for ; n < siftSize && n+8 <= len(text); n++ {
		hashes[n] = gramHash(salt, word(text[n:n+8])&mask)
	}
	for ; n < siftSize && n+size <= len(text); n++ {
		hashes[n] = gramHash(salt, gramAt(text, n, size))
	}
	return n
}

// gramsDone remembers grams of the value that need not be looked up again: a
// long value may consist of few grams.
type gramsDone [64]uint64

// lookGrams looks up the cues from first on, and removes them.
func (c *core) lookGrams(first int, done *gramsDone) {
	c.touchSlots(&c.grams, first)
	c.touchPostings(&c.grams, first)
	for i := first; i < len(c.cues); i++ {
		hash := c.cues[i].hash
		seen := &done[hash>>40%uint64(len(done))]
		if *seen != hash && c.look(&c.grams, &c.cues[i]) {
			*seen = hash
		}
	}
	clear(c.cues[first:])
	c.cues = c.cues[:first]
}
