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
	if strings.HasPrefix(s, "-") {
		start = 1
	}
	point := skipDigits(s, start)
	if point == start {
		return Number{}, 0
	}
	end := point
	if point < len(s) && s[point] == '.' {
		if e := skipDigits(s, point+1); e > point+1 {
			end = e
		}
	}
	return normalize(s, start, point, end), end
}

// normalize returns the number s[start:end] whose point, or end, is at point,
// negative if a sign stands before start.
func normalize(s string, start, point, end int) Number {
	length := end
	for start < point && s[start] == '0' {
		start++
	}
	for length > point && s[length-1] == '0' {
		length--
	}
	if length == point+1 { // nothing is left behind the point
		length = point
	}
	if start == length {
		return Number{}
	}
	return Number{
		digits:   s[start:length],
		whole:    point - start,
		negative: s[0] == '-',
	}
}

func skipDigits(s string, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i
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
		return m.cmpMagnitude(n)
	default:
		return n.cmpMagnitude(m)
	}
}

func (n Number) cmpMagnitude(m Number) int {
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
	case n.whole == len(n.digits) && n.whole <= 18: // fits an int64
		var i int64
		for _, c := range []byte(n.digits) {
			i = i*10 + int64(c-'0')
		}
		return float64(i)
	}
	f, _ := strconv.ParseFloat(n.digits, 64) // cannot fail: digits only, and in range
	return f
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
