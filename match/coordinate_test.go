package match

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCoordinatesRiseWithTheValues holds the order of coordinates against the
// exact order, on all scales.
func TestCoordinatesRiseWithTheValues(t *testing.T) {
	number := rapid.StringMatching(`-?[0-9]{1,25}(\.[0-9]{1,25})?`)
	instant := rapid.StringMatching(`(0001|1969|1970|2013|9999)-0[1-9]-[12][0-8]T(00|23):00:0[0-9](\.[0-9]{1,9})?(Z|[+-]0[0-9]:00)`)
	generators := [scales]*rapid.Generator[string]{numbers: number, instants: instant, texts: rapid.StringN(0, 12, 20)}
	rapid.Check(t, func(t *rapid.T) {
		for s := range scales {
			v, w := generators[s].Draw(t, "v"), generators[s].Draw(t, "w")
			a, b := coordinate(s, v), coordinate(s, w)
			require.NotEqual(t, int64(none), a)
			exact := compareExactly(s, v, w)
			if a != b {
				require.Equal(t, exact, cmp.Compare(a, b), "%q and %q", v, w)
			}
			if rest := cmp.Compare(remainder(s, v, a), remainder(s, w, b)); a == b && rest != 0 {
				require.Equal(t, exact, rest, "%q and %q", v, w)
			}
			require.Equal(t, -exact, compareExactly(s, w, v))
		}
	})
}

func TestRemainderRisesWithTheValue(t *testing.T) {
	low := strings.Repeat("\x00", 7)
	for _, c := range []struct {
		scale scale
		v, w  string
	}{
		{texts, "account-1", "account-2"}, {texts, "account-", "account-0"},
		{texts, low + "\x00z", low + "\x01"}, // these share a coordinate, too
		{numbers, "10000000000000000000000001", "10000000000000000000000002"}, {numbers, "-10000000000000000000000002", "-10000000000000000000000001"},
		{numbers, "0.3", "0.30000000000000000001"}, {numbers, strings.Repeat("9", 25), "1" + strings.Repeat("0", 25)},
		{instants, "2013-05-03T00:00:00.000000001Z", "2013-05-03T00:00:00.000000002Z"},
	} {
		at := coordinate(c.scale, c.v)
		require.Equal(t, at, coordinate(c.scale, c.w))
		require.LessOrEqual(t, remainder(c.scale, c.v, at), remainder(c.scale, c.w, at), "%q and %q", c.v, c.w)
	}
}

func TestCoordinateOfWhatIsNotOnTheScale(t *testing.T) {
	require.Equal(t, int64(none), coordinate(numbers, "stake5"))
	require.Equal(t, int64(none), coordinate(instants, "2013-13-01"))
	require.NotEqual(t, int64(none), coordinate(texts, ""))
	require.Equal(t, coordinate(numbers, "0"), coordinate(numbers, "-0"))
	huge := strings.Repeat("9", 400)
	require.Less(t, coordinate(numbers, "-"+huge), coordinate(numbers, "-1"))
	require.NotEqual(t, int64(none), coordinate(numbers, "-"+huge))
}
