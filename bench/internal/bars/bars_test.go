package bars

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

func TestFiguresHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.336: "0.336", 0.02871: "0.0287", 1.2: "1.2", 9.996: "10", 12.34: "12.3", 350: "350", 1024: "1,024", 700_000: "700,000", 1234567.8: "1,234,568",
	} {
		require.Equal(t, want, Figure(v))
	}
	for ns, want := range map[float64]string{12.34: "12.3 ns", 1500: "1.5 µs", 23.7e6: "23.7 ms", 2e9: "2 s"} {
		require.Equal(t, want, Nanoseconds(ns))
	}
}

func TestVerdictComparesWithTheGoal(t *testing.T) {
	for verdict, r := range map[string]Row{
		"met":          {Goal: AtLeast(8), Measured: 8},
		"missed":       {Goal: AtMost(1.2), Measured: 1.21},
		"":             {Measured: 5},
		"not measured": {Goal: AtMost(1), Skipped: true},
	} {
		require.Equal(t, verdict, r.Verdict())
	}
}

func TestTableShowsRatiosOfMinimaAndMedians(t *testing.T) {
	var s Session
	s.section("bars")
	s.compare("peer ÷ ours", "96", AtLeast(50), &trial.Result{Samples: []float64{2000, 3000, 9000}}, &trial.Result{Samples: []float64{30, 20, 30}})
	var b strings.Builder
	s.Report.Sections[0].WriteMarkdown(&b)
	require.Contains(t, b.String(), "| peer ÷ ours | 96 | ≥ 50 | 100 | 100 | met | 2 µs ÷ 20 ns |\n")
}

func TestDocumentIsRewrittenBetweenTheMarksOfASection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	document := func(bars, redis string) string {
		return "before\n<!-- begin bars: written by make bench -->\n" + bars + "<!-- end bars -->\nbetween\n" +
			"<!-- begin redis: written by make bench -->\n" + redis + "<!-- end redis -->\nafter\n"
	}
	require.NoError(t, os.WriteFile(file, []byte(document("old\n", "")), 0o666))
	require.NoError(t, Rewrite(file, "redis", []byte("new\n")))
	require.NoError(t, Rewrite(file, "bars", []byte("newer\n")))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, document("newer\n", "new\n"), string(text))

	require.NoError(t, HasMarks(file, "redis"))
	require.ErrorContains(t, HasMarks(file, "wire"), "<!-- end wire -->")
	require.Error(t, Rewrite(file, "wire", nil))
}

func TestSectionIsWhatANameBeginsWith(t *testing.T) {
	require.Equal(t, "redis", (&Experiment{Name: "redis: transport"}).Section())
	require.Equal(t, "bars", (&Experiment{Name: "delivery M=1"}).Section())

	choice := Choice{Section: "redis", Only: regexp.MustCompile("transport")}
	require.Equal(t, []string{"redis: transport"}, names(choice))
	choice = Choice{Section: "bars", Only: regexp.MustCompile("redis|memory")}
	require.Equal(t, []string{"memory 100k"}, names(choice))
	choice.Large = true
	require.Equal(t, []string{"memory 100k", "memory 1M"}, names(choice))
}

func names(c Choice) (all []string) {
	for _, e := range c.Experiments() {
		all = append(all, e.Name)
	}
	return all
}

func TestRowsStandInTheirSection(t *testing.T) {
	var s Session
	for _, section := range []string{"bars", "redis", "bars"} {
		s.section(section)
		s.count(section, "", Goal{}, 1, "")
	}
	require.Len(t, s.Report.Sections, 2)
	require.Len(t, s.Report.Sections[0].Rows, 2)
	require.Equal(t, "redis", s.Report.Sections[1].Rows[0].What)
}

// The small experiments run to their end, and each contender finds what it
// should.
func TestExperimentsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := Session{
		Plan:     trial.Plan{Sample: 100 * time.Microsecond, Rounds: 2, Budget: time.Millisecond},
		Progress: t.Logf,
	}
	require.NoError(t, s.Run(Choice{Only: regexp.MustCompile(`^(index N=1|delivery latency|publish N=100)$`)}))
	require.NotEmpty(t, s.Report.Sections[0].Rows)
	require.Len(t, s.Report.Curve, 1)
}
