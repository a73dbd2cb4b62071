package node

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A module of Tendermint's size that requires Hark changes few lines of its
// go.mod besides that one: what Hark requires is old enough for most.
func TestRequiringHarkChangesFewLinesOfAGoMod(t *testing.T) {
	for name, r := range releases {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for _, file := range []string{"go.mod", "go.sum"} {
				text, err := os.ReadFile(filepath.Join(r.source(t), file))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(folder, file), text, 0o666))
			}
			before := lines(t, folder)
			here, err := filepath.Abs("../..")
			require.NoError(t, err)
			mustRun(t, folder, "go", "mod", "edit", "-require="+hark+"@v0.0.0", "-replace="+hark+"="+here)
			mustRun(t, folder, "go", "list", "-m", "all") // raises what must be raised
			var changed []string
			for line := range lines(t, folder) {
				if !before[line] && !strings.Contains(line, hark) {
					changed = append(changed, line)
				}
			}
			t.Logf("%d lines: %q", len(changed), changed)
			require.LessOrEqual(t, len(changed), 5)
		})
	}
}

// lines returns the lines of a go.mod that say something.
func lines(t *testing.T, folder string) map[string]bool {
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	require.NoError(t, err)
	all := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^[^)\n]*[^\s(][^(\n]*$`).FindAllString(string(text), -1) {
		all[strings.TrimPrefix(strings.TrimSpace(line), "require ")] = true
	}
	return all
}
