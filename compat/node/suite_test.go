package node

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A suite is packages of a node and which of their tests to run.
type suite struct {
	packages []string
	run      string
	apart    bool // each test in a process of its own: some of these hang by chance, unmodified too
}

// outcomes is how tests ended, by package and name: pass, fail or skip. A
// package that failed has an entry without a name.
type outcomes map[string]map[string]string

func (o outcomes) add(pkg, test, end string) {
	if o[pkg] == nil {
		o[pkg] = map[string]string{}
	}
	o[pkg][test] = end
}

// in returns how many tests of a package ended how.
func (o outcomes) in(pkg string) string {
	n := map[string]int{}
	for _, end := range o[pkg] {
		n[end]++
	}
	return fmt.Sprintf("%d pass, %d fail, %d skip", n["pass"], n["fail"], n["skip"])
}

// differing returns the tests of a package that ended otherwise in the second
// outcomes, or failed there: those at the top, which may have others within.
func (o outcomes) differing(second outcomes, pkg string) []string {
	tops := map[string]bool{}
	for test, end := range o[pkg] {
		if end != "fail" && second[pkg][test] != end {
			tops[top(test)] = true
		}
	}
	for test, end := range second[pkg] {
		if end == "fail" {
			tops[top(test)] = true
		}
	}
	if len(tops) > 1 {
		delete(tops, "") // the package failed by its tests
	}
	return slices.Sorted(maps.Keys(tops))
}

func top(test string) string {
	name, _, _ := strings.Cut(test, "/")
	return name
}

// outcomes runs the suite in a tree.
func (s suite) outcomes(t *testing.T, tree string) outcomes {
	all := outcomes{}
	if s.apart {
		for _, pkg := range s.packages {
			s.addApart(t, all, tree, pkg)
		}
		return all
	}
	args := append([]string{"test", "-json", "-count=1", "-vet=off", "-p=1", "-timeout=20m", "-run=" + s.run}, s.packages...)
	cmd := command(t, tree, "go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, _ := cmd.Output() // tests that fail are among the outcomes
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var event struct{ Action, Package, Test string }
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue
		}
		switch event.Action {
		case "build-fail":
			t.Errorf("%s does not build", event.Package)
		case "pass", "fail", "skip":
			if event.Test != "" || event.Action == "fail" {
				all.add(event.Package, event.Test, event.Action)
			}
		}
	}
	require.NotEmpty(t, all, "%v\n%s", cmd.Args, &stderr)
	return all
}

func (s suite) addApart(t *testing.T, all outcomes, tree, pkg string) {
	p := build(t, tree, pkg)
	for _, test := range strings.Fields(mustRun(t, p.folder, p.binary, "-test.list="+s.run)) {
		end := "fail"
		if p.passes(t, test) {
			end = "pass"
		}
		all.add(p.pkg, test, end)
	}
}

// A program is the tests of one package.
type program struct{ binary, pkg, folder string }

func build(t *testing.T, tree, pkg string) program {
	where := strings.Fields(mustRun(t, tree, "go", "list", "-f", "{{.ImportPath}} {{.Dir}}", pkg))
	p := program{filepath.Join(t.TempDir(), "tests"), where[0], where[1]}
	mustRun(t, tree, "go", "test", "-c", "-vet=off", "-o", p.binary, pkg)
	return p
}

// passes runs one test, or all if the name is "".
func (p program) passes(t *testing.T, test string) bool {
	run := "."
	if test != "" {
		run = "^" + regexp.QuoteMeta(test) + "$"
	}
	return command(t, p.folder, p.binary, "-test.timeout=1m", "-test.run="+run).Run() == nil
}

// requireAsOften runs a test in two trees, ten times in each. Many tests of
// nodes fail by chance; those that fail by the change fail more often with it.
func requireAsOften(t *testing.T, plain, changed, pkg, test string) {
	const runs = 10
	without, with := build(t, plain, pkg), build(t, changed, pkg)
	before, after := 0, 0
	for range runs {
		if without.passes(t, test) {
			before++
		}
		if with.passes(t, test) {
			after++
		}
	}
	says := fmt.Sprintf("%s %s: of %d runs %d pass without the change, %d with it", pkg, test, runs, before, after)
	if t.Log(says); after < before/2 {
		t.Error(says)
	}
}

// command returns a command that runs in a folder, outside of any workspace,
// with a folder for temporary files that goes when the test ends: those of nodes
// leave a lot.
func command(t *testing.T, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false", "TMPDIR="+temporary(t))
	return cmd
}

// temporary is t.TempDir with a short path, for the sockets within.
func temporary(t *testing.T) string {
	folder, err := os.MkdirTemp("", "node")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	return folder
}

func mustRun(t *testing.T, folder, name string, args ...string) string {
	cmd := command(t, folder, name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	require.NoError(t, err, "%v\n%s%s", cmd.Args, &stdout, &stderr)
	return stdout.String()
}
