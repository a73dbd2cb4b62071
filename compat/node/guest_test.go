package node

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// guest is what a program of a node's size imports of Hark.
const guest = `package guest

import (
	_ "` + hark + `"
	_ "` + hark + `/compat/cmtquery"
	_ "` + hark + `/compat/tmquery"
	_ "` + hark + `/metrics"
	_ "` + hark + `/query"
	_ "` + hark + `/service"
)
`

// A module of Tendermint's size that requires Hark, and imports the bus, its
// queries and its metrics, changes few lines of its go.mod besides that one: what
// Hark requires is old enough for most.
func TestRequiringHarkChangesFewLinesOfAGoMod(t *testing.T) {
	for name, r := range releases {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for _, file := range []string{"go.mod", "go.sum"} {
				text, err := os.ReadFile(filepath.Join(r.source(t), file))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(folder, file), text, 0o666))
			}
			require.NoError(t, os.WriteFile(filepath.Join(folder, "guest.go"), []byte(guest), 0o666))
			before := lines(t, folder)
			requireHark(t, folder)
			mustRun(t, folder, "go", "build", ".") // raises what must be raised
			after := lines(t, folder)
			gone, come := without(before, after), without(after, before)
			t.Logf("%d lines go: %q", len(gone), gone)
			t.Logf("%d lines come: %q", len(come), come)
			require.LessOrEqual(t, max(len(gone), len(come)), 5)
		})
	}
}

// lines returns the lines of a go.mod that say something, but for those of Hark.
func lines(t *testing.T, folder string) map[string]bool {
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	require.NoError(t, err)
	all := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^[^)\n]*[^\s(][^(\n]*$`).FindAllString(string(text), -1) {
		if !strings.Contains(line, hark) {
			all[strings.TrimPrefix(strings.TrimSpace(line), "require ")] = true
		}
	}
	return all
}

func without(all, others map[string]bool) (rest []string) {
	for line := range all {
		if !others[line] {
			rest = append(rest, line)
		}
	}
	return rest
}
