// Bars prints one table: every bar that the project sets itself for its speed,
// with what was measured here and now.
//
//	go run ./cmd/bars                     all but the large ones, a few minutes
//	go run ./cmd/bars --million           all
//	go run ./cmd/bars --section redis     those of one section
//	go run ./cmd/bars --only 'delivery'   those whose name matches
//	go run ./cmd/bars --list              their names
//
// The name of an experiment begins with its section and a colon; without one
// the section is bars. --out FILE also writes what was measured of each section
// into a Markdown file, between the marks of that section, and --plot FILE.svg
// draws publish cost against the number of subscriptions.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/harkbus/pubsub/bench/internal/bars"
	"github.com/harkbus/pubsub/bench/internal/chart"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/bench/internal/wire"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bars:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	choice    bars.Choice
	list      bool
	plan      trial.Plan
	out, plot string
}

func parse() (o options, err error) {
	only := flag.String("only", "", "run the experiments whose name matches this regular expression")
	flag.StringVar(&o.choice.Section, "section", "", "run the experiments of this section: bars, expressions, json, redis, wire; all if empty")
	flag.BoolVar(&o.choice.Large, "million", false, "run those with a million queries too: half an hour, 10 GB")
	flag.BoolVar(&o.list, "list", false, "list the experiments and end")
	flag.IntVar(&o.plan.Rounds, "rounds", 200, "rounds of one trial, at most")
	flag.DurationVar(&o.plan.Sample, "sample", 4*time.Millisecond, "about how long one sample takes")
	flag.DurationVar(&o.plan.Budget, "budget", 10*time.Second, "after which a trial begins no new round")
	flag.StringVar(&o.out, "out", "", "write the tables into this Markdown file, between the marks of their sections")
	flag.StringVar(&o.plot, "plot", "", "draw publish cost into this file, .svg")
	flag.Parse()
	if o.choice.Only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("--only: %w", err)
	}
	return o, nil
}

func run() error {
	if len(os.Args) == 4 && os.Args[1] == bars.CountedCommand {
		return bars.Counted(os.Args[2], os.Args[3])
	}
	if len(os.Args) > 1 && os.Args[1] == wire.ClientsCommand {
		return wire.Clients(os.Args[2:])
	}
	if len(os.Args) == 3 && os.Args[1] == bars.MemberCommand {
		return bars.Member(os.Args[2])
	}
	o, err := parse()
	if err != nil {
		return err
	}
	if o.list {
		for _, e := range bars.Experiments() {
			fmt.Println(e.Name)
		}
		return nil
	}
	if err := o.possible(); err != nil {
		return err
	}
	return measure(o)
}

// possible returns an error if the run would find nothing to do, or at its end
// no place to write into.
func (o *options) possible() error {
	chosen := o.choice.Experiments()
	if len(chosen) == 0 {
		return fmt.Errorf("--section %q --only %q: no experiment is called so; --list shows their names", o.choice.Section, o.choice.Only)
	}
	for _, e := range chosen {
		if o.out == "" {
			break
		}
		if err := bars.HasMarks(o.out, e.Section()); err != nil {
			return err
		}
	}
	return nil
}

func measure(o options) error {
	began, load := time.Now(), loadAverage()
	s := bars.Session{
		Plan:     o.plan,
		Progress: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	if err := s.Run(o.choice); err != nil {
		s.Report.WriteText(os.Stdout) // what there is
		return err
	}
	about := fmt.Sprintf("%s, %s %s/%s, %d processors, load average %s before and %s after.",
		began.Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), load, loadAverage())
	s.Report.WriteText(os.Stdout)
	fmt.Println(about)
	if o.plot != "" {
		if err := chart.Save(s.Report.Curve, o.plot); err != nil {
			return err
		}
	}
	if o.out != "" {
		return document(o.out, about, &s.Report)
	}
	return nil
}

// document writes the sections of the report into a Markdown file.
func document(file, about string, r *bars.Report) error {
	for i := range r.Sections {
		var b bytes.Buffer
		fmt.Fprintf(&b, "`make bench BARS='%s'`: %s\n\n", strings.Join(os.Args[1:], " "), about)
		r.Sections[i].WriteMarkdown(&b)
		if err := bars.Rewrite(file, r.Sections[i].Name, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// loadAverage returns that of the last 1, 5 and 15 minutes, if the machine
// tells it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
