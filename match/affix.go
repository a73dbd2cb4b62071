package match

import "math/bits"

// STARTSWITH is filed by the hash of a prefix, ENDSWITH by that of a suffix.
// So that a value has to be looked up for few lengths only, texts up to 32
// bytes are filed by all of their bytes, longer ones by their first or last
// 32, 64, 128 …, and each field has a bit per length in use.
//
//	class  0  1  2 … 31  32  33
//	bytes  1  2  3 … 32  64 128

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

// affix returns the part of a text that it is filed by.
func affix(w way, text string, size int) string {
	if w == byPrefix {
		return text[:size]
	}
	return text[len(text)-size:]
}

// gatherAffixes looks values up by their prefixes or suffixes.
func (c *core) gatherAffixes(f *field, a *attribute, w way, classes uint64) {
	for i, v := range a.values {
		for left := classes; left != 0; left &= left - 1 {
			size := affixSize(bits.TrailingZeros64(left))
			if size > len(v) {
				break
			}
			hash := slotHash(f.salt, w, c.hashText(affix(w, v, size))+uint64(size))
			c.cue(cue{hash: hash, key: f.key, way: w, value: uint32(i)})
		}
	}
}
