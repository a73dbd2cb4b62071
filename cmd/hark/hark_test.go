package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

type suite struct{ *testing.M }

func (s suite) Run() int {
	status := s.M.Run()
	if err := goleak.Find(); status == 0 && err != nil {
		println(err.Error())
		return 1
	}
	return status
}

func TestMain(m *testing.M) {
	os.Exit(testscript.RunMain(suite{m}, map[string]func() int{"hark": func() int { main(); return 0 }}))
}

// The scripts in testdata are sessions of a shell with the command. To what
// testscript knows they add
//
//	exits STATUS COMMAND ARGUMENT…
//
// which runs a command that must exit with the status.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ARGUMENT…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d; want %d", got, want)
	}
}
