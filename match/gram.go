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

// searchGramsOf looks up the grams of one size. Those that pass the bloom are
// kept until there are many, so that what they lead to loads at the same time.
func (c *core) searchGramsOf(f *field, value string, q cue, class int, done *gramsDone) {
	size := gramSizes[class]
	salt := gramSalt(f.salt, class)
	var hashes [siftSize]uint64
	var passed [siftSize]uint8
	first := len(c.cues)
	for begin := 0; begin+size <= len(value); begin += siftSize {
		n := hashGrams(&hashes, value[begin:], size, salt)
		for _, i := range passed[:c.grams.sift(hashes[:n], &passed)] {
			if q.hash, q.at = hashes[i], begin+int(i); !done.has(q.hash) {
				c.cue(q)
			}
		}
		if len(c.cues)-first >= siftSize {
			c.lookGrams(first, done)
		}
	}
	c.lookGrams(first, done)
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
