package match

import "math/bits"

// STARTSWITH is filed by the hash of a prefix, ENDSWITH by that of a suffix.
// So that a value has to be looked up for few lengths only, texts up to 32
// bytes are filed by all of their bytes, longer ones by their first or last
// 32, 64, 128 …, and each field has a bit per length in use.
//
//	class  0  1  2 … 31  32  33
//	bytes  1  2  3 … 32  64 128
//
// Where many have these bytes in common, they move to a node, in which they are
// filed by one of 32 lengths from there up to the next class, and so on until
// all of their bytes count:
//
//	  32 ─▶ 33, 34, 35 … 63
//	1024 ─▶ 1056, 1088 … 2016 ─▶ 1057, 1058 … 1087

const exactAffix = 32

func affixClass(size int) int {
	if size <= exactAffix {
		return size - 1
	}
	return exactAffix - 1 + bits.Len(uint(size/exactAffix)) - 1
}

func affixSize(class int) int {
	if class < exactAffix {
		return class + 1
	}
	return exactAffix << (class - exactAffix + 1)
}

// A span is the lengths of the texts that a node files by affixes of one key:
// width of them, from first on, or any if both are 0. Their first bytes are
// known.
type span struct{ first, width int }

func (s span) isAny() bool { return s.width == 0 }

// step is by how much the lengths differ that are told apart.
func (s span) step() int { return max(1, s.width/exactAffix) }

// class returns the class of a text, or false if no more of it is to be known.
func (s span) class(size int) (class int, ok bool) {
	switch more := size - s.first; {
	case s.isAny():
		return affixClass(size), true
	case more <= 0 || more >= s.width:
		return 0, false
	default:
		return more / s.step(), true
	}
}

// size returns how many bytes the texts of a class are filed by.
func (s span) size(class int) int {
	if s.isAny() {
		return affixSize(class)
	}
	return s.first + class*s.step()
}

// of returns the lengths of the texts in a class.
func (s span) of(class int) span {
	first := s.size(class)
	switch {
	case !s.isAny():
		return span{first, s.step()}
	case first < exactAffix:
		return span{first, 1}
	default:
		return span{first, first} // up to the next class
	}
}

// spanOf returns which affixes of a key n files.
func (n *node) spanOf(key uint32, w way) span {
	for ; n.parent != nil; n = n.parent {
		if n.key == key && n.way == w {
			return n.span
		}
	}
	return span{}
}

// affixes is what a field files by prefixes, or by suffixes.
type affixes struct {
	span
	classes uint64 // which there may be
}

func (x *affixes) use(size int) {
	class, _ := x.class(size)
	x.classes |= 1 << class
}

// affix returns the part of a text that it is filed by.
func affix(w way, text string, size int) string {
	if w == byPrefix {
		return text[:size]
	}
	return text[len(text)-size:]
}

// gatherAffixes looks values up by their prefixes or suffixes.
func (c *core) gatherAffixes(f *field, a *attribute, w way, x affixes) {
	for i, v := range a.values {
		for left := x.classes; left != 0; left &= left - 1 {
			size := x.size(bits.TrailingZeros64(left))
			if size > len(v) {
				break
			}
			c.cue(cue{hash: c.hashAffix(f.salt, w, v, size), key: f.key, way: w, value: uint32(i)})
		}
	}
}

// hashAffix returns what texts are filed under by so many of their bytes.
func (c *core) hashAffix(salt uint64, w way, text string, size int) uint64 {
	return slotHash(salt, w, c.hashText(affix(w, text, size))+uint64(size))
}
