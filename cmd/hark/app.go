package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/harkbus/pubsub/query"
)

// An app is what all commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	log      *slog.Logger // to err; set before a command runs
	logging  logging
}

// exitStatus is the error of a command that has nothing more to say.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

const (
	nothingFound exitStatus = 1
	failed       exitStatus = 2
)

// run runs the command that args name, without the program's own name, and
// returns the exit status.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.newRoot()
	root.SetArgs(args)
	return a.status(root.Execute())
}

// status tells what went wrong, if anything did and nobody told yet, and
// returns the exit status.
func (a *app) status(err error) int {
	if err == nil {
		return 0
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	fmt.Fprintf(a.err, "hark: %v\n", err)
	var syntax *query.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Fprintln(a.err, syntax.Picture())
	}
	return int(failed)
}

func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "hark",
		Short: "An event bus that matches queries",
		Long: `Hark is an event bus for Go programs: publishers publish events, subscribers
say with a query which of them they want. This command greps events with the
same queries and shows what the bus does on a simulated chain.`,
		Example: `  hark demo
  hark match "tm.event = 'Tx' AND transfer.amount > 1000" events.jsonl`,
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.log = a.logging.newLogger(a.err)
			if err := a.logging.fill(c.Flags()); err != nil {
				return err
			}
			a.log = a.logging.newLogger(a.err)
			return nil
		},
	}
	a.logging.addTo(root)
	root.Flags().Bool("version", false, "print the version") // else cobra takes -v for it, which inverts a match
	root.SetVersionTemplate("hark {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, c.CommandPath())
	})
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddCommand(a.newBench(), a.newDemo(), a.newMatch(), a.newPub(), a.newServe(), a.newSub(), a.newVersion())
	return root
}

// complete has shells offer the words that a flag takes.
func complete(c *cobra.Command, flag string, words ...string) {
	must(c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// must is for mistakes in the program that show on its first start.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
