package node

import (
	"maps"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The imports that docs/migration.md changes are those that the tests of this
// package change, or exist on both sides.
func TestTheGuideChangesTheImportsThatAreTested(t *testing.T) {
	tested := map[string]string{}
	for _, r := range releases {
		maps.Copy(tested, r.imports(withQuery))
	}
	guide, err := os.ReadFile("../../docs/migration.md")
	require.NoError(t, err)
	n := 0
	for _, block := range regexp.MustCompile("(?s)```diff\n(.*?)```").FindAllStringSubmatch(string(guide), -1) {
		removed, added := paths(block[1], "-"), paths(block[1], "+")
		require.Len(t, added, len(removed), block[1])
		for i, old := range removed {
			if replacement, ok := tested[old]; ok {
				require.Equal(t, replacement, added[i])
				n++
				continue
			}
			mustRun(t, ".", "go", "list", old, added[i])
		}
	}
	require.Equal(t, 4, n, "the bus, two query packages, and syntax")
}

// paths returns the import paths of the lines of a diff with a sign.
func paths(diff, sign string) (all []string) {
	for _, line := range regexp.MustCompile(`(?m)^\`+sign+`.*"(.+)"$`).FindAllStringSubmatch(diff, -1) {
		all = append(all, line[1])
	}
	return all
}
