package decimal

import (
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var form = regexp.MustCompile(`^-?\d+(\.\d+)?`)

func mustParse(t require.TestingT, s string) Number {
	n, length := Parse(s)
	require.NotZero(t, length, "%q", s)
	return n
}

func rational(t require.TestingT, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(form.FindString(s))
	require.True(t, ok, "%q", s)
	return r
}

func TestParseReadsTheNumberAtTheFront(t *testing.T) {
	for _, c := range []struct {
		text, spelling string
		length         int
	}{
		{"8.045stake", "8.045", 5},
		{"12 apples", "12", 2},
		{"1e5", "1", 1},
		{"5.", "5", 1},
		{"5.x", "5", 1},
		{"1.2.3", "1.2", 3},
		{"-3.250", "-3.25", 6},
		{"-0", "0", 2},
		{"-0.00", "0", 5},
		{"-00.50", "-0.5", 6},
		{"007", "7", 3},
		{"0", "0", 1},
		{"0.", "0", 1},
		{"0.05", "0.05", 4},
		{"100", "100", 3},
		{"100.0", "100", 5},
		{"10٣", "10", 2},
	} {
		n, length := Parse(c.text)
		require.Equal(t, c.length, length, c.text)
		require.Equal(t, c.spelling, n.String(), c.text)
	}
	for _, s := range []string{"", "-", "stake5", ".5", "+5", " 5", "--5", "-.5", "٣"} {
		n, length := Parse(s)
		require.Zero(t, length, s)
		require.Zero(t, n, s)
	}
}

func TestParseSmallReadsPlainIntegers(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "80uatom": 80, "007": 7, "999999999999999999": 999_999_999_999_999_999, "1e5": 1} {
		n, ok := ParseSmall(s)
		require.True(t, ok, s)
		require.Equal(t, want, n, s)
	}
	for _, s := range []string{"", "x", "-1", "1.5", "1.", "1000000000000000000"} {
		_, ok := ParseSmall(s)
		require.False(t, ok, s)
	}
}

func TestEqualNumbersAreTheSameValue(t *testing.T) {
	for _, pair := range [][2]string{{"1", "1.0"}, {"1", "01"}, {"-0", "0.000"}, {"00.50", "0.5"}} {
		require.Equal(t, mustParse(t, pair[0]), mustParse(t, pair[1]))
	}
}

func TestLongNumbersCompareExactly(t *testing.T) {
	long := strings.Repeat("7", 100_000)
	require.Equal(t, -1, mustParse(t, long+"8").Cmp(mustParse(t, long+"9")))
	require.Equal(t, +1, mustParse(t, "0."+long+"1").Cmp(mustParse(t, "0."+long)))
	require.Equal(t, +1, mustParse(t, "-"+long).Cmp(mustParse(t, "-"+long+".1")))
}

func TestFloatIsInfiniteBeyond1e308(t *testing.T) {
	below := strings.Repeat("9", 308)
	require.Equal(t, 1e308, mustParse(t, below).Float64())
	require.Equal(t, math.Inf(+1), mustParse(t, "1"+below).Float64())
	require.Equal(t, math.Inf(-1), mustParse(t, "-1"+below).Float64())
}

func TestNothingTakesMemory(t *testing.T) {
	long := strings.Repeat("9", 1000)
	texts := []string{"8.045stake", "-17", "nine", long, "0." + long}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, s := range texts {
			n, _ := Parse(s)
			n.Cmp(Number{})
			n.Float64()
		}
	}))
}

// numbers draws texts of which many are close to one another.
func numbers() *rapid.Generator[string] {
	return rapid.StringMatching(`-?0{0,2}(0|1|9|10|9007199254740993|[0-9]{1,25}|9{300,310})(\.[0-9]{0,3}0{0,2}[0-9]{0,20})?(x|e5)?`)
}

func TestNumbersAreThoseOfMathBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers().Draw(t, "a"), numbers().Draw(t, "b")
		requireSameAsBig(t, a, b)
	})
}

func requireSameAsBig(t require.TestingT, a, b string) {
	x, y := mustParse(t, a), mustParse(t, b)
	order := rational(t, a).Cmp(rational(t, b))
	require.Equal(t, order, x.Cmp(y), "%s against %s", a, b)
	require.Equal(t, order == 0, x == y)
	if order <= 0 {
		require.LessOrEqual(t, x.Float64(), y.Float64(), "%s <= %s", a, b)
	}
	if x.whole < hugeDigits {
		nearest, _ := rational(t, a).Float64()
		require.Equal(t, nearest, x.Float64()+0, a) // + 0 makes -0 of a tiny number 0
	}
	if small, ok := ParseSmall(a); ok {
		require.Zero(t, rational(t, a).Cmp(new(big.Rat).SetInt64(small)), a)
	}
	require.Zero(t, rational(t, x.String()).Cmp(rational(t, a)))
	require.Equal(t, x, mustParse(t, x.String()))
}

func FuzzNumber(f *testing.F) {
	f.Add("1", "1.0")
	f.Add("-8.045stake", "12 apples")
	f.Add("0.1", ".1")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			_, length := Parse(s)
			require.Equal(t, len(form.FindString(s)), length, "%q", s)
			if length == 0 {
				return
			}
		}
		if len(a)+len(b) > 10_000 { // math/big takes quadratic time
			return
		}
		requireSameAsBig(t, a, b)
	})
}

// Numbers of every length, close to one another, in their exact order.
func TestRemainderOrdersWhatOneFloatHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + random.IntN(10))
			if random.IntN(3) == 0 {
				b[i] = "09"[random.IntN(2)]
			}
		}
		return string(b)
	}
	shared := 0
	for range 200_000 {
		front := digits(1 + random.IntN(30))
		if random.IntN(4) == 0 {
			front = "9" + strings.Repeat("9", random.IntN(30))
		}
		text := func() string {
			s := front + digits(random.IntN(12))
			if point := random.IntN(3 * len(front)); point > 0 && point < len(front) {
				s = front[:point] + "." + s[point:]
			} else if point >= 2*len(front) {
				s = "0." + strings.Repeat("0", point) + s
			}
			return s
		}
		a, b := mustParse(t, text()), mustParse(t, text())
		if random.IntN(8) == 0 { // on both sides of a power of ten
			n := 17 + random.IntN(15)
			a, b = mustParse(t, strings.Repeat("9", n)+"."+digits(9)), mustParse(t, "1"+strings.Repeat("0", n)+"."+digits(9))
		}
		if random.IntN(2) == 0 {
			a, b = mustParse(t, "-"+a.String()), mustParse(t, "-"+b.String())
		}
		if a.Float64() != b.Float64() {
			continue
		}
		shared++
		switch order := cmp.Compare(a.Remainder(), b.Remainder()); a.Cmp(b) {
		case order:
		case 0:
			t.Fatalf("%s and %s are equal", a, b)
		default:
			require.Zero(t, order, "%s and %s", a, b)
			require.Greater(t, max(significant(a), significant(b)), 32, "%s and %s", a, b)
		}
	}
	require.Greater(t, shared, 10_000)
}

// significant counts the digits of n from the first that is not 0.
func significant(n Number) int {
	return len(strings.TrimLeft(strings.Replace(n.digits, ".", "", 1), "0"))
}
