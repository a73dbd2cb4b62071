package main

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func picked(t *testing.T, cause func(*file) []string, texts map[string]string) map[string][]string {
	t.Helper()
	tree := fstest.MapFS{}
	for path, text := range texts {
		tree[path] = &fstest.MapFile{Data: []byte(text)}
	}
	found := map[string][]string{}
	require.NoError(t, pick(tree, cause, func(folder string, tests []string) { found[folder] = tests }))
	return found
}

func TestEveryTestThatTheRaceDetectorChangesIsPicked(t *testing.T) {
	require.Equal(t, map[string][]string{
		"a":      {"FuzzThroughAValue", "TestThatIsLeftOut", "TestThatSkips", "TestThroughAFunction", "TestThroughAMethod"},
		"deep/b": {"TestLeftOutBesideAnotherTag"},
	}, picked(t, (*file).variesWithRace, map[string]string{
		"a/race_test.go":   "//go:build race\n\npackage a\n\nconst raced = true\n",
		"a/norace_test.go": "//go:build !race\n\npackage a\n\nconst raced = false\n",
		"a/bars_test.go": `// About the license.

//go:build !race

package a

func TestThatIsLeftOut(t *testing.T) { help() }
func help()                          {}
`,
		"a/a_test.go": `package a_test

import "strings"

var (
	few  = 1
	many = strings.Repeat("x", size())
)

type crowd struct{}

func (c *crowd) grow() { if raced { return } }
func (c *crowd) rest() {}
func size() int        { if raced { return 1 }; return 10 }

func TestMain(m *testing.M)            { if raced { m.Run() } }
func TestThatSkips(t *testing.T)        { if raced { t.Skip() } }
func TestThroughAFunction(t *testing.T) { _ = size() }
func TestThroughAMethod(t *testing.T)   { new(crowd).grow() }
func FuzzThroughAValue(f *testing.F)    { f.Add(many) }
func TestThatIsTheSame(t *testing.T)    { help(); new(crowd).rest(); _ = few }
func BenchmarkThatIsNoTest(b *testing.B) { _ = size() }
`,
		"deep/b/b_test.go":   "//go:build linux && !race\n\npackage b\n\nfunc TestLeftOutBesideAnotherTag(t *testing.T) {}\n",
		"c/c_test.go":        "//go:build linux\n\npackage c\n\nfunc TestWithAnotherTag(t *testing.T) {}\n",
		"testdata/d_test.go": "//go:build !race\n\npackage d\n\nfunc TestThatIsData(t *testing.T) {}\n",
	}))
}

func TestTestsThatUseAPackageArePicked(t *testing.T) {
	uses := func(f *file) []string { return f.uses("example.com/soak") }
	require.Equal(t, map[string][]string{".": {"TestDirectly", "TestThroughAFunction", "TestUnderAnotherName"}},
		picked(t, uses, map[string]string{
			"a_test.go": `package a

import "example.com/soak"

func TestDirectly(t *testing.T)         { for range soak.Rounds(t, 3) {} }
func TestThroughAFunction(t *testing.T) { history(t) }
func TestOfSomethingElse(t *testing.T)  { other.Rounds() }
func history(t *testing.T)              { soak.Rounds(t, 3) }
`,
			"b_test.go": "package a\n\nimport bath \"example.com/soak\"\n\nfunc TestUnderAnotherName(t *testing.T) { bath.Rounds(t, 1) }\n",
			"c_test.go": "package a\n\nfunc TestWithoutTheImport(t *testing.T) { soak.Rounds(t, 1) }\n",
		}))
}
