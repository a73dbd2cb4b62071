package match

import (
	"math"

	"github.com/harkbus/pubsub/internal/decimal"
	"github.com/harkbus/pubsub/internal/instant"
	"github.com/harkbus/pubsub/query"
)

// A scale is a way to read values as points on a line.
type scale uint8

const (
	numbers scale = iota
	instants
	texts
	scales // how many there are
)

func scaleOf(k query.Kind) scale {
	switch k {
	case query.Number:
		return numbers
	case query.String:
		return texts
	default:
		return instants
	}
}

// none is the coordinate of a value that is not on the scale.
const none = math.MinInt64

// coordinate returns the place of a value on a scale, an integer that rises
// with the value but not always strictly: numbers beyond the precision of
// float64, instants within 64 ns, and texts with the same 8 bytes in front
// share one. Only where coordinates are equal do the values have to be
// compared.
func coordinate(s scale, v string) int64 {
	switch s {
	case numbers:
		n, length := decimal.Parse(v)
		if length == 0 {
			return none
		}
		return ordered(n.Float64())
	case instants:
		at, ok := instant.Parse(v)
		if !ok {
			return none
		}
		sec, nsec := at.Unix()
		return sec<<24 | int64(nsec)>>6
	default:
		return max(none+1, int64(leading(v)^1<<63))
	}
}

// exactDigits is how many digits, the point among them, float64 always tells
// apart.
const exactDigits = 15

// hashPoint hashes a value that has a coordinate on a scale, so that values
// share a hash only if they are equal. Mostly that is the coordinate itself.
func (c *core) hashPoint(s scale, v string, at int64) uint64 {
	switch {
	case s == numbers && len(v) > exactDigits:
		if n, _ := decimal.Parse(v); len(n.Digits()) > exactDigits {
			return c.hashText(n.Digits()) + uint64(at)
		}
	case s == instants && len(v) > len("2006-01-02T15:04:05Z"):
		exact, _ := instant.Parse(v)
		_, nsec := exact.Unix()
		return uint64(at) + uint64(nsec&63)*wordMix
	}
	return uint64(at)
}

// remainder returns what the coordinate of a value leaves out, in the order of
// the values that share it.
func remainder(s scale, v string, at int64) uint64 {
	switch {
	case s == numbers:
		n, _ := decimal.Parse(v)
		return n.Remainder()
	case s == instants:
		exact, _ := instant.Parse(v)
		_, nsec := exact.Unix()
		return uint64(nsec & 63)
	case at == none+1 || len(v) <= 8: // the least two share one coordinate
		return 0
	default:
		return leading(v[8:])
	}
}

// hasRemainder reports whether the coordinate of a value leaves anything out.
func hasRemainder(s scale, v string) bool {
	switch s {
	case numbers:
		n, _ := decimal.Parse(v)
		return len(n.Digits()) > exactDigits
	case instants:
		return remainder(s, v, 0) != 0
	default:
		return len(v) > 8
	}
}

// ordered maps a float64 to an integer in the same order.
func ordered(f float64) int64 {
	b := int64(math.Float64bits(f + 0)) // -0 + 0 is 0
	return b ^ b>>63&math.MaxInt64
}

// leading returns the first 8 bytes of s, the first of all in the upper byte,
// in the order of the texts.
func leading(s string) (n uint64) {
	if len(s) >= 8 {
		return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 |
			uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
	}
	for i := range len(s) {
		n |= uint64(s[i]) << (56 - 8*i)
	}
	return n
}

// compareExactly orders two texts that have one coordinate on a scale.
func compareExactly(s scale, v, w string) int {
	switch s {
	case numbers:
		a, _ := decimal.Parse(v)
		b, _ := decimal.Parse(w)
		return a.Cmp(b)
	case instants:
		a, _ := instant.Parse(v)
		b, _ := instant.Parse(w)
		return a.Compare(b)
	default:
		switch {
		case v < w:
			return -1
		case v > w:
			return +1
		}
		return 0
	}
}
