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
			require.Equal(t, -exact, compareExactly(s, w, v))
		}
	})
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
