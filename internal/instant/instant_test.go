package instant

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// want is what the standard library makes of a text.
func want(s string) (time.Time, bool) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, true
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}

func requireSameAsTimeParse(t *testing.T, s string) {
	t.Helper()
	w, wantOK := want(s)
	got, ok := Parse(s)
	require.Equal(t, wantOK, ok, "%q", s)
	if ok {
		require.Equal(t, w.UTC(), got.Time(), "%q", s)
	}
}

var samples = []string{
	"2013-05-03T14:45:00Z", "2013-05-03T4:45:00Z", "2013-05-03T14:45:00.5+07:30",
	"2013-05-03T14:45:00,123456789123-24:60", "0000-01-01", "9999-12-31T23:59:59.999999999-24:60",
	"0000-01-01T00:00:00+24:60", "2013-05-03T14:45:00-24:61", "2013-05-03T14:45:00+25:00",
	"2000-02-29", "1900-02-29", "2013-13-01", "2013-00-01", "2013-01-00", "2013-04-31",
	"2013-05-03t14:45:00Z", "2013-05-03T14:45:00z", "2013-05-03T24:00:00Z", "2013-05-03T14:60:00Z",
	"2013-05-03T14:45:60Z", "2013-05-03T14:45:00.Z", "2013-05-03T14:45:00.5", "2013-05-03 14:45:00Z",
	"-013-05-03", "+013-05-03", "2013/05/03", "2013-05-03T14:45:00", "2013-05-03T:45:00Z1", "",
	"2013-05-03T14:45:00ZZ", "2013-05-03T14:45:00+0700", "2013-05-03T14:45:00 07:00", "2013-05-03T4:4:45:00Z",
	"2013-05-03T14:45:0Z", "2013-05-03T4:45:0000Z", "２013-05-03",
}

func TestReadsWhatTimeParseReads(t *testing.T) {
	for _, s := range samples {
		requireSameAsTimeParse(t, s)
	}
}

func TestEveryDayOfTheCalendar(t *testing.T) {
	last := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); day.Before(last); day = day.AddDate(0, 0, 1) {
		got, ok := ParseDate(day.Format(time.DateOnly))
		if !ok || got.sec != day.Unix() || got.nsec != 0 {
			t.Fatalf("%v: got %v, %v", day, got, ok)
		}
	}
}

func TestCompareIsTheOrderOfTime(t *testing.T) {
	ascending := []string{
		"0000-01-01T00:00:00+24:60", "0000-01-01", "1969-12-31T23:59:59.5Z", "1970-01-01",
		"1970-01-01T00:00:00.000000001Z", "1970-01-01T02:00:00+01:00", "9999-12-31T23:59:59-24:60",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			x, okX := Parse(a)
			y, okY := Parse(b)
			require.True(t, okX && okY)
			wantCompare := map[bool]int{true: -1, false: +1}[i < j]
			if i == j {
				wantCompare = 0
			}
			require.Equal(t, wantCompare, x.Compare(y), "%s against %s", a, b)
			sec, nsec := x.Unix()
			require.Equal(t, x.Time(), time.Unix(sec, int64(nsec)).UTC())
		}
	}
}

func TestParseTakesNoMemory(t *testing.T) {
	read := 0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, s := range samples {
			if _, ok := Parse(s); ok {
				read++
			}
		}
	}))
	require.NotZero(t, read)
}

func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Fuzz(requireSameAsTimeParse)
}

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{"2024-02-15", "2024-02-15T17:05:42Z", "2024-02-15T17:05:42.123456789+01:00", "cosmos1gu6y2a0ffteesyeyeesk23082c6998xyzmt9mz"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(s)
			}
		})
	}
}
