// Package decimal reads the decimal number at the front of a text and compares
// such numbers exactly, whatever their length, without taking memory.
package decimal

import (
	"math"
	"strconv"
	"strings"
)

// A Number is an exact decimal number. It refers to the text that it was
// parsed from; its zero value is 0. Equal numbers are ==.
type Number struct {
	// digits is the number without sign, leading zeros and trailing zeros of
	// the fraction: "12.5", ".05", "7", and "" for zero. Two numbers with as
	// many digits before the point are therefore in the byte order of digits.
	digits   string
	whole    int // how many digits stand before the point
	negative bool
}

// Parse reads the longest prefix of s of the form -?\d+(\.\d+)? and returns it
// with its length in bytes, which is 0 if s does not begin with a number. It
// takes time linear in that length.
func Parse(s string) (n Number, length int) {
	start := 0
	if len(s) > 0 && s[0] == '-' {
		start = 1
	}
	point := skipDigits(s, start)
	if point == start {
		return Number{}, 0
	}
	end, length := point, point
	if point < len(s) && s[point] == '.' {
		end, length = skipFraction(s, point)
	}
	first := start
	for first < point && s[first] == '0' {
		first++
	}
	if first == end {
		return Number{}, length
	}
	return Number{digits: s[first:end], whole: point - first, negative: start > 0}, length
}

// skipFraction returns where a fraction ends whose point is at a place, without
// the zeros at its end, and with them.
func skipFraction(s string, point int) (end, length int) {
	length = skipDigits(s, point+1)
	if length == point+1 {
		return point, point // a point alone is no part of the number
	}
	for end = length; s[end-1] == '0'; {
		end--
	}
	if end == point+1 {
		end = point
	}
	return end, length
}

func skipDigits(s string, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i
}

// smallDigits is how many digits always fit an int64.
const smallDigits = 18

// ParseSmall reads the number at the front of s if it is an integer of at most
// 18 digits without sign, as most are. Else it leaves the number to Parse.
func ParseSmall(s string) (n int64, ok bool) {
	i := 0
	for ; i < len(s) && i < smallDigits && '0' <= s[i] && s[i] <= '9'; i++ {
		n = n*10 + int64(s[i]-'0')
	}
	if i == 0 || i < len(s) && (s[i] == '.' || '0' <= s[i] && s[i] <= '9') {
		return 0, false
	}
	return n, true
}

// Cmp returns -1, 0 or +1 as n is less than, equal to or greater than m, in
// time linear in the shorter of the two.
func (n Number) Cmp(m Number) int {
	switch {
	case n.negative != m.negative:
		if n.negative {
			return -1
		}
		return +1
	case n.negative:
		n, m = m, n
	}
	switch {
	case n.whole < m.whole:
		return -1
	case n.whole > m.whole:
		return +1
	default:
		return strings.Compare(n.digits, m.digits)
	}
}

// hugeDigits is the number of digits before the point from which on Float64 is
// infinite. math.MaxFloat64 has 309, so all shorter numbers are finite.
const hugeDigits = 309

// Float64 returns a float64 near n, monotone: a < b implies a.Float64() <=
// b.Float64(). It is the nearest one below 1e308 in magnitude, and infinite
// from there on. It takes no memory.
func (n Number) Float64() float64 {
	f := n.magnitude()
	if n.negative {
		return -f
	}
	return f
}

func (n Number) magnitude() float64 {
	switch {
	case n.digits == "":
		return 0
	case n.whole >= hugeDigits:
		return math.Inf(+1)
	}
	if i, ok := ParseSmall(n.digits); ok {
		return float64(i)
	}
	f, _ := strconv.ParseFloat(n.digits, 64) // cannot fail: digits only, and in range
	return f
}

// Digits returns the digits of n with the point among them, which are the same
// for equal numbers and, but for the sign, for no others.
func (n Number) Digits() string { return n.digits }

// Remainder orders numbers that have one Float64: it rises with them, not always
// strictly, and tells those apart that differ in their first 32 digits. Between
// 1e-250 and 1e300 in magnitude, that is; elsewhere it is the same for all.
//
// Times a power of ten, all numbers with one float64 are within 2⁶² of it, so
// the lowest 64 bits of both tell how far they are from it.
func (n Number) Remainder() uint64 {
	const digits = 33
	f := n.magnitude()
	if f < 1e-250 || f > 1e300 {
		return 0
	}
	places := digits - 1 - int(math.Floor(math.Log10(f)))
	far := n.shifted(places) - lowest(f*math.Pow10(places)) + 1<<63
	if n.negative {
		return ^far
	}
	return far
}

// shifted returns the lowest 64 bits of the magnitude of n times a power of ten.
func (n Number) shifted(places int) (low uint64) {
	left := n.whole + places
	for i := 0; i < len(n.digits) && left > 0; i++ {
		if d := n.digits[i]; d != '.' {
			low = low*10 + uint64(d-'0')
			left--
		}
	}
	for ; left > 0; left-- {
		low *= 10
	}
	return low
}

// lowest returns the lowest 64 bits of f, which is above 2⁵³.
func lowest(f float64) uint64 {
	fraction, exponent := math.Frexp(f)
	return uint64(fraction*(1<<53)) << (exponent - 53)
}

// Append appends the shortest spelling of n: no leading zero before another
// digit, no trailing zero in a fraction, no sign before zero.
func (n Number) Append(b []byte) []byte {
	if n.negative {
		b = append(b, '-')
	}
	if n.whole == 0 {
		b = append(b, '0')
	}
	return append(b, n.digits...)
}

// String returns the shortest spelling of n.
func (n Number) String() string { return string(n.Append(nil)) }
