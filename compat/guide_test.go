package compat_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests of this package type what docs/migration.md says: a file for each
// thing to import.
func TestEveryLineOfTheGuideIsTyped(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var typed []string
	for _, file := range files {
		typed = append(typed, linesOf(t, file)...)
	}
	guide, err := os.ReadFile("../docs/migration.md")
	require.NoError(t, err)
	n := 0
	for _, block := range regexp.MustCompile("(?s)```(go|diff)\n(.*?)```").FindAllStringSubmatch(string(guide), -1) {
		for line := range strings.Lines(block[2]) {
			added, isAdded := strings.CutPrefix(line, "+")
			if block[1] == "go" || isAdded {
				require.True(t, slices.Contains(typed, strings.TrimSpace(added)), "no test types %s", added)
				n++
			}
		}
	}
	require.Greater(t, n, 8)
}

func linesOf(t *testing.T, file string) []string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []string
	for line := range strings.Lines(string(text)) {
		all = append(all, strings.TrimSpace(line))
	}
	return all
}
