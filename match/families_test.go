package match_test

// Queries that differ in one place only, wherever that is and whatever the
// operator: an event that none of them matches finds few of them.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

// A family is queries that differ by a number.
type family struct {
	name  string
	query func(i int) string
	event func(i int) map[string][]string // that query i matches, and no other
}

// of returns a family of one condition. In the condition and in the value that
// it holds for, # stands for the number of the query.
func of(condition, value string) family {
	put := func(text string, i int) string { return strings.ReplaceAll(text, "#", fmt.Sprintf("%06d", i)) }
	return family{
		name:  condition,
		query: func(i int) string { return put(condition, i) },
		event: func(i int) map[string][]string { return map[string][]string{"a": {put(value, i)}} },
	}
}

// framed are the families of a condition on texts of so many bytes, with the
// number at the beginning, in the middle and at the end.
func framed(size int) (families []family) {
	for _, before := range []int{0, (size - 6) / 2, size - 6} {
		for _, fill := range []func(n int) string{
			func(n int) string { return strings.Repeat("-", n) },
			func(n int) string {
				var b strings.Builder
				for i := range n {
					b.WriteByte("etaoinshrdlucmfwypvbgkjqxz"[i*i*7%26])
				}
				return b.String()
			},
		} {
			text := fill(before) + "#" + fill(size-6-before)
			families = append(families,
				of("a = '"+text+"'", text),
				of("a IN ('"+text+"', 'x"+text+"')", text),
				of("a STARTSWITH '"+text+"'", text+"/"),
				of("a ENDSWITH '"+text+"'", "/"+text),
				of("a CONTAINS '"+text+"'", "<"+text+">"),
			)
			if size < 100 {
				families = append(families, of("a MATCHES '"+text+"[a-z]*'", text))
			}
		}
	}
	return families
}

func families() (all []family) {
	for _, size := range []int{6, 7, 8, 12, 20, 31, 33, 40, 63, 66, 80, 129, 150, 300} {
		all = append(all, framed(size)...)
	}
	for _, digits := range []int{0, 1, 6, 12, 17, 24, 34, 54} {
		zeros, ones := strings.Repeat("0", digits), strings.Repeat("1", digits)
		for _, number := range []string{
			"1#" + zeros, "1#" + ones, "1" + zeros + "#", ones + "1#1", "-1" + zeros + "#", "-2#" + ones,
			"0." + zeros + "#1", "0.#" + ones + "1", "1" + zeros + ".#1", "-" + ones + "5.#1", "7#" + zeros + ".5",
		} {
			all = append(all,
				of("a = "+number, number),
				of("a = "+number, number+"stake"),
				of("a IN ("+number+", 'x#')", number),
			)
		}
	}
	for _, at := range []string{"2013-05-03T14:45:00.#Z", "2013-05-03T14:45:00.#001Z", "2013-05-03T14:45:00.000#+02:00", "9013-05-03T14:45:00.123#Z"} {
		all = append(all, of("a = TIME "+at, at))
	}
	return all
}

func TestWhatDiffersInOnePlaceIsToldApart(t *testing.T) {
	for _, f := range families() {
		t.Run(f.name[:min(len(f.name), 40)], func(t *testing.T) { f.isToldApart(t, 1000/raceFactor) })
	}
}

// ranges are families of ranges that follow one another: # … and what follows.
func ranges() (all []family) {
	between := func(before, after string) family {
		text := func(i int) string { return fmt.Sprintf("%s%06d%s", before, i, after) }
		value := func(i int) string { return strings.Trim(strings.TrimPrefix(text(i), "TIME "), "'") }
		return family{
			name:  "range " + before + "#" + after,
			query: func(i int) string { return fmt.Sprintf("a >= %s AND a < %s", text(i), text(i+1)) },
			event: func(i int) map[string][]string { return map[string][]string{"a": {value(i)}} },
		}
	}
	for _, before := range []string{"1", "1.", "0.", "123456789.123", "1" + strings.Repeat("0", 16), "12345" + strings.Repeat("9", 20), "0.0000000000000000000", "98765432101234567.890"} {
		all = append(all, between(before, ""), between(before+"1", "1"))
	}
	return append(all, between("TIME 2013-05-03T14:45:00.123", "Z"), between("TIME 2013-05-03T14:45:00.", "001Z"),
		between("'user", "'"), between("'user-", "x'"), between("'2013-05-", "-archive'"))
}

func TestManyThatDifferInOnePlaceAreToldApart(t *testing.T) {
	dashes := func(n int) string { return strings.Repeat("-", n) }
	frame := dashes(20) + "#" + dashes(40)
	json := `"module":"bank","sender":"cosmos1","id":#,"denom":"uatom","status":"committed"`
	for _, f := range []family{
		of("a = 10000000000000000#", "10000000000000000#"),
		of("a = 1000000000000000000000000#", "1000000000000000000000000#"),
		of("a STARTSWITH '/api/v1/organizations/acme/users/#/'", "/api/v1/organizations/acme/users/#/posts"),
		of("a ENDSWITH '#.eu-central-1.compute.example.com'", "#.eu-central-1.compute.example.com"),
		of("a ENDSWITH '#"+dashes(70)+"'", "#"+dashes(70)),
		of("a CONTAINS '"+frame+"'", frame),
		of("a CONTAINS '"+json+"'", "{"+json+"}"),
		of("a MATCHES '"+frame+"'", frame),
		ranges()[8],
		ranges()[10],
	} {
		for _, n := range []int{10_000, 100_000} {
			if n /= raceFactor; strings.Contains(f.name, "MATCHES") {
				n = min(n, 10_000)
			}
			t.Run(fmt.Sprintf("%.30s/%d", f.name, n), func(t *testing.T) { f.isToldApart(t, n) })
		}
	}
}

// mostTried is how many candidates an event may have: a few, and one for each
// place of its value where that has a gram of a query all over.
func (f *family) mostTried(i int) float64 { return float64(20 + len(f.event(i)["a"][0])) }

func (f *family) isToldApart(t *testing.T, n int) {
	texts := repeat(n, f.query)
	for _, reversed := range []bool{false, true} {
		if reversed {
			slices.Reverse(texts)
		}
		x, ids := indexOf(t, texts...)
		for _, i := range []int{0, n / 2, n - 1} {
			did := workOf(x, f.event(i))
			require.Equal(t, 1.0, did.matches, "%s: %d", texts[0], i)
			require.LessOrEqual(t, did.candidates, f.mostTried(0), texts[0])
			require.LessOrEqual(t, did.visited, 10.0, texts[0])
		}
		did := workOf(x, f.event(999_999))
		require.Zero(t, did.matches)
		require.LessOrEqual(t, did.candidates, f.mostTried(0), texts[0])
		for i := 0; i < n; i += 2 { // and after coming and going
			require.True(t, x.Remove(ids[i]))
			x.Add(query.MustParse(texts[i]), i)
		}
		require.LessOrEqual(t, workOf(x, f.event(999_999)).candidates, f.mostTried(0), texts[0])
		if n > 1000 {
			return
		}
	}
}

func TestEqualNumbersAreFoundHoweverTheyAreWritten(t *testing.T) {
	number := strings.Repeat("1234567890", 3)
	for _, c := range []struct{ operand, value string }{
		{number, "000" + number}, {number, number + ".000"}, {number, number + "stake"}, {number + ".0", number + "."},
		{"-" + number + ".50", "-0" + number + ".5"}, {"0." + number, "00." + number + "0"}, {"5", strings.Repeat("0", 40) + "5"},
		{"5.00000000000000000000", "5"}, {"0.00000000000000000000", "-0"},
	} {
		texts := repeat(20, func(i int) string { return fmt.Sprintf("a = %d%s", i+1, number) })
		x, _ := indexOf(t, append(texts, "a = "+c.operand)...)
		require.Equal(t, 1.0, workOf(x, map[string][]string{"a": {c.value}}).matches, "%s and %s", c.operand, c.value)
	}
}

func TestOfTwoEndsTheNarrowerIsSearched(t *testing.T) {
	const number = "1000000000000000000000000"
	x, _ := indexOf(t, repeat(1000, func(i int) string {
		return fmt.Sprintf("a >= %s%06d AND a >= %s000000 AND a < %s%06d", number, i, number, number, i+1)
	})...)
	did := workOf(x, map[string][]string{"a": {number + "000007"}})
	require.Equal(t, 1.0, did.matches)
	require.LessOrEqual(t, did.candidates, 3.0)
}

// Each condition is asked for by so many that it is hot.
func TestManyHotConditionsThatDifferInOnePlaceAreToldApart(t *testing.T) {
	const copies, n = 40, 1000
	const most = 10 * copies // some wait on the piles of the nodes that lead there
	frame := strings.Repeat("x", 20) + "#" + strings.Repeat("abcdefg", 4)
	for _, f := range []family{
		of("a CONTAINS '"+frame+"'", frame),
		of("a STARTSWITH '"+strings.Repeat("x", 40)+"#'", strings.Repeat("x", 40)+"#"),
		of("a = 1000000000000000000000000#", "1000000000000000000000000#"),
	} {
		x, ids := indexOf(t, repeat(copies*n, func(i int) string { return f.query(i%n) + fmt.Sprintf(" AND b = %d", i/n) })...)
		event := f.event(5)
		event["b"] = []string{"35"} // which came when all were hot
		did := workOf(x, event)
		require.Equal(t, 1.0, did.matches)
		require.LessOrEqual(t, did.candidates, float64(most), f.name)
		event["b"] = []string{"x"}
		require.LessOrEqual(t, workOf(x, event).candidates, float64(most), f.name)
		removeAll(t, x, ids)
	}
}
