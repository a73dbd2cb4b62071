package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/harkbus/pubsub/cmd/hark/internal/demo"
)

const demoLong = `Demo shows what the bus is for: a simulated chain publishes blocks, transfers and
votes, and several subscribers each receive what their query matches. One of
them is content with the newest message and has others dropped; one stops
reading and is cut, without anybody else waiting for it.

On a terminal it refreshes a table, elsewhere it prints a line every second. An
interrupt ends it early, with its summary.

With --bridge it shows two processes on one bus instead, through a Redis server
that is embedded in this one and refuses everything for a moment.`

func (a *app) newDemo() *cobra.Command {
	options := demo.Options{Seed: 1, Rate: 1000, Duration: 10 * time.Second}
	bridge := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "See in ten seconds what the bus does",
		Long:  demoLong,
		Example: `  hark demo
  hark demo --rate 100000 --duration 30s`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return a.demo(options, bridge) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Uint64Var(&options.Seed, "seed", options.Seed, "which chain to simulate")
	flags.Float64Var(&options.Rate, "rate", options.Rate, "publications a second; 0 is as many as possible")
	flags.DurationVar(&options.Duration, "duration", options.Duration, "how long; 0 is until an interrupt")
	flags.BoolVar(&bridge, "bridge", false, "show two processes on one bus")
	return c
}

func (a *app) demo(options demo.Options, bridge bool) error {
	if !(options.Rate >= 0) {
		return fmt.Errorf("--rate is %v; it is a number of publications a second, or 0", options.Rate)
	}
	if options.Duration < 0 {
		return fmt.Errorf("--duration is %v; it is a time such as 10s, or 0", options.Duration)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if bridge {
		return a.duo(ctx, options)
	}
	err := demo.Run(ctx, options, newDisplay(a.out))
	if isClosed(err) {
		return nil // nobody looks any more
	}
	return err
}

// newDisplay returns the display that suits where the output goes.
func newDisplay(out io.Writer) demo.Display {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return demo.Plain(out)
	}
	return demo.Terminal(out, os.Getenv("NO_COLOR") == "", func() (width, height int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width == 0 {
			return 80, 24
		}
		return width, height
	})
}
