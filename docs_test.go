package pubsub_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

var (
	linkPattern = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)
	stepPattern = regexp.MustCompile("`([\\w/]+\\.go)(?:: ([\\w.,\\s]+))?`")
)

// What the documents link to is there, and so is each test that they name as
// the proof of a promise, and each file and function that ARCHITECTURE.md names.
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
			require.FileExists(t, step[1], document)
			for _, name := range strings.FieldsFunc(step[2], isSeparator) {
				requireFunction(t, step[1], name[strings.LastIndexByte(name, '.')+1:])
			}
		}
	}
}

func isSeparator(r rune) bool { return r == ',' || unicode.IsSpace(r) }

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
