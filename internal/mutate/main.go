// Command mutate breaks the code on purpose, one small change at a time, and
// fails unless the tests notice every one.
//
//	go run ./internal/mutate [flags] [folder …]
//
// It takes the mutations from testdata/mutations.txt of the folders, by default
// of all that have one. A list is read by people too:
//
//	# Lines like this one are comments.
//
//	what: a limit refuses its exact value
//	file: limits.go
//	run: TestLimitsHoldExactly
//	-	if n > most {
//	+	if n >= most {
//
// what says what is broken, file where, relative to the folder, and run is the
// pattern of the tests of the package that must fail. The old lines, those with
// a minus or a blank in front, must occur in the file exactly once, whatever
// their indentation; the new ones, those with a plus or a blank, take their
// place. "flags: -race" gives flags to the build.
//
// Tests that take too long or hold too much memory have noticed, too: what is
// broken may loop.
//
// The tree is never touched: go test -overlay builds the changed file from
// elsewhere. It is an error if the tests fail without a mutation, if a pattern
// runs no test, and if a mutation is stale, which is when its old lines are not
// there exactly once or its new ones do not compile.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

func main() {
	o := options{out: os.Stdout}
	flag.IntVar(&o.parallel, "j", runtime.GOMAXPROCS(0), "how many to try at a time")
	flag.IntVar(&o.repeat, "repeat", 1, "how often to run the tests; they must fail every time")
	flag.StringVar(&o.only, "only", "", "try those whose description contains this text")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Second, "how long tests may run beyond ten times what they take without a mutation")
	flag.Int64Var(&o.memory, "memory", 2<<30, "how many bytes tests may hold, the race detector's among them, before they are killed; 0: any number")
	list := flag.Bool("list", false, "print the mutations and try none")
	flag.Parse()
	if err := start(o, flag.Args(), *list); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

type options struct {
	out      io.Writer
	parallel int
	repeat   int
	only     string
	timeout  time.Duration
	memory   int64 // bytes of one run; 0: no limit
}

func start(o options, folders []string, list bool) error {
	mutations, err := load(folders, o.only)
	if err != nil {
		return err
	}
	if len(mutations) == 0 {
		return errors.New("no mutations there")
	}
	if list {
		for _, m := range mutations {
			fmt.Fprintln(o.out, m)
		}
		return nil
	}
	return try(o, mutations)
}
