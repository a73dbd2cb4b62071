package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/cmd/hark/internal/load"
)

const benchLong = `Bench measures the bus on this machine: subscriptions with queries of their own,
each with a goroutine that reads it, and one publisher. It tells how fast it
published, how long messages took from before Publish until they were read, and
what a subscription takes in memory.

Workloads:
%s
The overflow policy decides what happens when readers do not keep up: block
holds the publisher back and loses nothing, cancel cuts them, drop-oldest and
drop-newest lose messages. All is counted.`

func (a *app) newBench() *cobra.Command {
	options := load.Options{Seed: 1, Subs: 10_000, Matching: 1, Duration: 10 * time.Second, Capacity: pubsub.DefaultCapacity}
	workload, overflow := "equality", overflowFlag(pubsub.Block)
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure the bus on this machine",
		Long:  fmt.Sprintf(benchLong, workloadLines()),
		Example: `  hark bench
  hark bench --subs 1000000 --matching 10 --workload mixed
  hark bench --rate 50000 --duration 30s --workload chain`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			options.Overflow = pubsub.Overflow(overflow)
			return a.bench(options, workload, c.Flags().Changed("matching"))
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.IntVar(&options.Subs, "subs", options.Subs, "subscriptions, each with a query of its own")
	flags.IntVar(&options.Matching, "matching", options.Matching, "how many of them a publication matches")
	flags.Float64Var(&options.Rate, "rate", options.Rate, "publications a second; 0 is as many as possible")
	flags.StringVar(&workload, "workload", workload, strings.Join(workloadNames(), ", "))
	flags.DurationVar(&options.Duration, "duration", options.Duration, "how long to publish")
	flags.IntVar(&options.Capacity, "capacity", options.Capacity, "messages that a subscription's buffer holds")
	flags.Var(&overflow, "overflow", strings.Join(overflowNames(), ", ")+": for a buffer that is full")
	flags.Uint64Var(&options.Seed, "seed", options.Seed, "which chain to simulate")
	complete(c, "workload", workloadNames()...)
	complete(c, "overflow", overflowNames()...)
	return c
}

func (a *app) bench(options load.Options, workload string, matchingGiven bool) error {
	var ok bool
	if options.Workload, ok = load.Named(workload); !ok {
		return fmt.Errorf("--workload is %q; it is one of %q", workload, workloadNames())
	}
	if matchingGiven && options.Workload.NeverMind {
		return fmt.Errorf("--matching goes with another workload: how many match in %q follows from the chain", workload)
	}
	if err := options.Validate(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := load.Run(ctx, options, newProgress(a.err))
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted before anything was published")
	}
	if err != nil {
		return err
	}
	return result.Write(a.out)
}

// newProgress returns the display that suits where it goes.
func newProgress(w io.Writer) load.Display {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return load.Progress(w)
	}
	return load.Quiet()
}

func workloadNames() (names []string) {
	for _, w := range load.Workloads {
		names = append(names, w.Name)
	}
	return names
}

func workloadLines() string {
	var b strings.Builder
	for _, w := range load.Workloads {
		fmt.Fprintf(&b, "  %-9s %s\n", w.Name, w.About)
	}
	return b.String()
}

// overflowFlag is the flag --overflow.
type overflowFlag pubsub.Overflow

func (f *overflowFlag) String() string { return pubsub.Overflow(*f).String() }
func (f *overflowFlag) Type() string   { return "policy" }

func (f *overflowFlag) Set(s string) error {
	for _, policy := range policies {
		if policy.String() == s {
			*f = overflowFlag(policy)
			return nil
		}
	}
	return fmt.Errorf("it is one of %q", overflowNames())
}

var policies = []pubsub.Overflow{pubsub.Block, pubsub.Cancel, pubsub.DropOldest, pubsub.DropNewest}

func overflowNames() (names []string) {
	for _, policy := range policies {
		names = append(names, policy.String())
	}
	return names
}
