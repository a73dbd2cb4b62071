package node

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/harkbus/pubsub/internal/soak"
)

// Both nodes build whole, and what consumes the bus first passes its tests.
func TestNodesBuildAndTheirEventsPass(t *testing.T) {
	for name, r := range releases {
		t.Run(name, func(t *testing.T) {
			mustRun(t, r.grow(t, busAlone), "go", "test", "-vet=off", "./types")
			folder := r.grow(t, withQuery)
			mustRun(t, folder, "go", append([]string{"build"}, r.all()...)...)
			mustRun(t, folder, "go", "test", "-vet=off", "./types", "./state/txindex")
		})
	}
}

// A test of a node that passes without the change passes with it. Some fail by
// chance either way, so one that fails has three more tries.
func TestNodesPassAsTheyDoUnmodified(t *testing.T) {
	if os.Getenv(soak.Variable) == "" {
		t.Skip("takes half an hour: make node")
	}
	for name, r := range releases {
		for _, l := range []level{busAlone, withQuery} {
			t.Run(name+"/"+string(l), func(t *testing.T) {
				plain, changed := r.grow(t, unmodified), r.grow(t, l)
				for _, s := range r.suites {
					before, after := outcomes(t, plain, s), outcomes(t, changed, s)
					for test, end := range before {
						if end != "fail" && after[test] != end && !r.passesAtLast(t, changed, test) {
							t.Errorf("%s: %s without the change, %q with it", test, end, after[test])
						}
					}
					t.Logf("%v: %d tests, of which %d fail without the change", s.packages, len(before), count(before, "fail"))
				}
			})
		}
	}
}

// all returns the packages of all suites.
func (r release) all() (packages []string) {
	for _, s := range r.suites {
		packages = append(packages, s.packages...)
	}
	return packages
}

// passesAtLast tells whether a test, given as its package and name, passes
// once in three more runs.
func (r release) passesAtLast(t *testing.T, folder, test string) bool {
	pkg, name, _ := strings.Cut(test, " ")
	run := "^" + strings.ReplaceAll(regexp.QuoteMeta(name), "/", "$/^") + "$"
	for range 3 {
		if outcomes(t, folder, suite{packages: []string{pkg}, run: run})[test] == "pass" {
			t.Logf("%s passed in another run", test)
			return true
		}
	}
	return false
}

func count(ends map[string]string, end string) (n int) {
	for _, e := range ends {
		if e == end {
			n++
		}
	}
	return n
}
