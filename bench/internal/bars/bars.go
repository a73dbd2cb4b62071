// Package bars measures what the project promises about its speed, and says
// for each bar whether it was met.
package bars

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

// A Row is one measured figure and what it should be.
type Row struct {
	What     string
	Gate     string // what a prototype reached
	Goal     Goal
	Measured float64
	Median   float64 // the same from medians; 0: there is none
	Detail   string  // what the figure is made of
	Skipped  bool    // not measured, because something is missing here
}

// A Goal is a bound for a figure. The zero Goal is none: the figure is only
// reported.
type Goal struct {
	bound   float64
	atLeast bool
	atMost  bool
}

// AtLeast is the goal of figures that should be large.
func AtLeast(bound float64) Goal { return Goal{bound: bound, atLeast: true} }

// AtMost is the goal of figures that should be small.
func AtMost(bound float64) Goal { return Goal{bound: bound, atMost: true} }

// String writes the goal as it stands in the table.
func (g Goal) String() string {
	switch {
	case g.atLeast:
		return "≥ " + Figure(g.bound)
	case g.atMost:
		return "≤ " + Figure(g.bound)
	}
	return "reported"
}

// Verdict is "met", "missed", or nothing for a figure without a goal.
func (r *Row) Verdict() string {
	switch g := r.Goal; {
	case r.Skipped:
		return "not measured"
	case !g.atLeast && !g.atMost:
		return ""
	case g.atLeast && r.Measured >= g.bound, g.atMost && r.Measured <= g.bound:
		return "met"
	}
	return "missed"
}

// Figure prints v with three significant digits.
func Figure(v float64) string {
	digits := 0
	if a := math.Abs(v); a > 0 && a < 100 {
		digits = max(0, 2-int(math.Floor(math.Log10(a))))
	}
	s := fmt.Sprintf("%.*f", digits, v)
	if digits > 0 {
		return trimZeros(s)
	}
	return grouped(s)
}

func trimZeros(s string) string {
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	return s
}

// grouped puts commas between thousands.
func grouped(s string) string {
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Nanoseconds prints a time with three significant digits and its unit.
func Nanoseconds(ns float64) string {
	switch {
	case ns < 1e3:
		return Figure(ns) + " ns"
	case ns < 1e6:
		return Figure(ns/1e3) + " µs"
	case ns < 1e9:
		return Figure(ns/1e6) + " ms"
	}
	return Figure(ns/1e9) + " s"
}

// DefaultSection is that of experiments whose name names none.
const DefaultSection = "bars"

// An Experiment measures rows that belong together.
type Experiment struct {
	Name    string // "section: what", or only what
	Large   bool   // takes a million queries: gigabytes and minutes
	Measure func(*Session) error
}

// Section is the part of the document that the rows stand in.
func (e *Experiment) Section() string {
	if section, _, named := strings.Cut(e.Name, ":"); named {
		return section
	}
	return DefaultSection
}

// Experiments are all there are, in the order of the table.
func Experiments() []Experiment {
	return slices.Concat(languageExperiments(), instructionExperiments(), indexExperiments(), deliveryExperiments(), publishExperiments(), memoryExperiments(), allocationExperiments(), expressionExperiments(), jsonExperiments(), redisExperiments(), scaleExperiments(), wireExperiments())
}

// A Session is one run of some experiments.
type Session struct {
	Plan     trial.Plan
	Progress func(format string, args ...any)
	Report   Report

	current int // in Report.Sections: where rows go
}

// Report is what a session measured.
type Report struct {
	Sections []Section // in the order of the experiments
	Curve    []Point   // by rising Queries
}

// A Section is what belongs into one part of the document.
type Section struct {
	Name    string
	Rows    []Row
	Spreads []Spread
}

// A Point is what one publication costs beside a number of subscriptions, in
// nanoseconds; 0 where it was not measured.
type Point struct {
	Queries        int
	Hark, CometBFT float64
}

// A Spread is what an A/A comparison showed.
type Spread struct {
	What string
	P95  float64 // of the ratio of two samples
	Min  float64 // the ratio of the two minima
}

// A Choice says which experiments to run.
type Choice struct {
	Section string         // "": all
	Only    *regexp.Regexp // those whose names match
	Large   bool           // those with a million queries too
}

// Experiments are those of the choice.
func (c *Choice) Experiments() []Experiment {
	return slices.DeleteFunc(Experiments(), func(e Experiment) bool {
		return !c.Only.MatchString(e.Name) || e.Large && !c.Large || c.Section != "" && c.Section != e.Section()
	})
}

// Run runs the experiments of a choice.
func (s *Session) Run(c Choice) error {
	for _, e := range c.Experiments() {
		s.section(e.Section())
		began := time.Now()
		if err := e.Measure(s); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		s.Progress("%s: %v", e.Name, time.Since(began).Round(100*time.Millisecond))
	}
	return nil
}

// section makes name the section that rows are added to.
func (s *Session) section(name string) {
	isIt := func(part Section) bool { return part.Name == name }
	if i := slices.IndexFunc(s.Report.Sections, isIt); i >= 0 {
		s.current = i
		return
	}
	s.current = len(s.Report.Sections)
	s.Report.Sections = append(s.Report.Sections, Section{Name: name})
}

func (s *Session) add(r Row) {
	part := &s.Report.Sections[s.current]
	part.Rows = append(part.Rows, r)
}

// compare adds the row peer ÷ ours.
func (s *Session) compare(what, gate string, goal Goal, peer, ours *trial.Result) {
	s.add(Row{
		What:     what,
		Gate:     gate,
		Goal:     goal,
		Measured: peer.Min() / ours.Min(),
		Median:   peer.Median() / ours.Median(),
		Detail:   Nanoseconds(peer.Min()) + " ÷ " + Nanoseconds(ours.Min()),
	})
}

// count adds a row of a figure that is not a ratio of times.
func (s *Session) count(what, gate string, goal Goal, measured float64, detail string) {
	s.add(Row{What: what, Gate: gate, Goal: goal, Measured: measured, Detail: detail})
}

// spread notes how much two contenders that are the same differ.
func (s *Session) spread(what string, a, b *trial.Result) Spread {
	ratio := a.Min() / b.Min()
	spread := Spread{What: what, P95: trial.Spread(a, b), Min: max(ratio, 1/ratio)}
	part := &s.Report.Sections[s.current]
	part.Spreads = append(part.Spreads, spread)
	return spread
}
