package pubsub_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	linkPattern = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)
	stepPattern = regexp.MustCompile("`([\\w/]+\\.go): ([\\w.]+)`")
)

// What the documents link to is there, and so is each test that they name as
// the proof of a promise, and each function that ARCHITECTURE.md names.
func TestDocumentsPointAtWhatThereIs(t *testing.T) {
	documents, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, document := range append(documents, "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md") {
		text := read(t, document)
		for _, link := range linkPattern.FindAllStringSubmatch(text, -1) {
			label, target := link[1], link[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "#") {
				continue
			}
			target, _, _ = strings.Cut(target, "#")
			target = filepath.Join(filepath.Dir(document), target)
			_, err := os.Stat(target)
			require.NoError(t, err, document)
			if strings.HasPrefix(label, "Test") {
				requireFunction(t, target, label)
			}
		}
		for _, step := range stepPattern.FindAllStringSubmatch(text, -1) {
			requireFunction(t, step[1], step[2][strings.LastIndexByte(step[2], '.')+1:])
		}
	}
}

func requireFunction(t *testing.T, file, name string) {
	t.Helper()
	require.Regexp(t, `(?m)^(func (\(.*\) )?|type )`+name+`\b`, read(t, file), file)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}
