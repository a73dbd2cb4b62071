// Bars prints one table: every bar that the project sets itself for its speed,
// with what was measured here and now.
//
//	go run ./cmd/bars                     all but the large ones, a few minutes
//	go run ./cmd/bars --million           all
//	go run ./cmd/bars --only 'delivery'   those whose name matches
//	go run ./cmd/bars --list              their names
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/harkbus/pubsub/bench/internal/bars"
	"github.com/harkbus/pubsub/bench/internal/trial"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bars:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		only    = flag.String("only", "", "run the experiments whose name matches this regular expression")
		large   = flag.Bool("million", false, "run those with a million queries too")
		list    = flag.Bool("list", false, "list the experiments and end")
		rounds  = flag.Int("rounds", 200, "rounds of one experiment")
		sample  = flag.Duration("sample", 4*time.Millisecond, "about how long one sample takes")
		seconds = flag.Float64("budget", 10, "seconds after which an experiment begins no new round")
	)
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if *list {
		for _, e := range bars.Experiments() {
			fmt.Println(e.Name)
		}
		return nil
	}
	s := bars.Session{
		Plan:     trial.Plan{Sample: *sample, Rounds: *rounds, Budget: time.Duration(*seconds * float64(time.Second))},
		Progress: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	fmt.Printf("%s %s/%s, %d processors, load average %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), load())
	if err := s.Run(match, *large); err != nil {
		return err
	}
	s.Report.WriteText(os.Stdout)
	fmt.Println("load average at the end", load())
	return nil
}

// load returns the load averages of the machine, if it tells them.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
