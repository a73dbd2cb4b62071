package node

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/harkbus/pubsub/internal/soak"
)

// Both nodes build whole, and what consumes the bus first passes its tests.
func TestNodesBuildAndTheirEventsPass(t *testing.T) {
	for name, r := range releases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := r.grow(t, t.TempDir(), busAlone)
			r.requirePasses(t, folder, "./types")
			r.grow(t, folder, withQuery) // in the same folder, so that little is compiled again
			mustRun(t, folder, "go", append([]string{"build"}, r.all()...)...)
			r.requirePasses(t, folder, "./types", "./state/txindex")
		})
	}
}

// requirePasses runs all tests of packages. One that fails must not fail more
// often than without the change.
func (r release) requirePasses(t *testing.T, folder string, packages ...string) {
	after := suite{packages: packages, run: "."}.outcomes(t, folder)
	for pkg := range after {
		for _, test := range (outcomes{}).differing(after, pkg) {
			requireAsOften(t, r.grow(t, t.TempDir(), unmodified), folder, pkg, test)
		}
	}
}

// A test of a node ends with the change as it does without it. Some end by
// chance: those must not fail more often.
func TestNodesPassAsTheyDoUnmodified(t *testing.T) {
	if os.Getenv(soak.Variable) == "" {
		t.Skip("takes half an hour: make node")
	}
	for name, r := range releases {
		t.Run(name, func(t *testing.T) {
			plain := r.grow(t, t.TempDir(), unmodified)
			before := r.outcomes(t, plain)
			for _, l := range []level{busAlone, withQuery} {
				t.Run(string(l), func(t *testing.T) {
					changed := r.grow(t, t.TempDir(), l)
					after := r.outcomes(t, changed)
					for _, pkg := range slices.Sorted(maps.Keys(before)) {
						t.Logf("%s: %s; unmodified %s", pkg, after.in(pkg), before.in(pkg))
						for _, test := range before.differing(after, pkg) {
							requireAsOften(t, plain, changed, pkg, test)
						}
					}
				})
			}
		})
	}
}

// outcomes runs all suites in a tree of the release.
func (r release) outcomes(t *testing.T, tree string) outcomes {
	all := outcomes{}
	for _, s := range r.suites {
		maps.Copy(all, s.outcomes(t, tree))
	}
	return all
}

// all returns the packages of all suites.
func (r release) all() (packages []string) {
	for _, s := range r.suites {
		packages = append(packages, s.packages...)
	}
	return packages
}
