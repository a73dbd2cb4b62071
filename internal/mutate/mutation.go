package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// listPath is where a folder has its mutations.
const listPath = "testdata/mutations.txt"

// A mutation is one change that tests must notice.
type mutation struct {
	folder string // of the package whose tests must notice
	line   int    // of the list where it begins

	what     string
	file     string // relative to folder
	run      string // pattern of tests
	flags    []string
	old, new []string // lines
}

func (m *mutation) String() string {
	return fmt.Sprintf("%s: %s (%s)", filepath.ToSlash(m.folder), m.what, m.file)
}

// place is where the mutation is listed.
func (m *mutation) place() string {
	return fmt.Sprintf("%s:%d", filepath.Join(m.folder, listPath), m.line)
}

// load reads the lists of the folders, of all below the current one if none is
// named, and keeps what contains the text.
func load(folders []string, only string) ([]*mutation, error) {
	if len(folders) == 0 {
		var err error
		if folders, err = foldersWithLists("."); err != nil {
			return nil, err
		}
	}
	var all []*mutation
	for _, folder := range folders {
		text, err := os.ReadFile(filepath.Join(folder, listPath))
		if err != nil {
			return nil, err
		}
		found, err := parse(folder, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return slices.DeleteFunc(all, func(m *mutation) bool { return !strings.Contains(m.what, only) }), nil
}

func foldersWithLists(root string) (folders []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(filepath.ToSlash(path), listPath) {
			folders = append(folders, filepath.Dir(filepath.Dir(path)))
		}
		return err
	})
	return folders, err
}

// parse reads a list.
func parse(folder, text string) ([]*mutation, error) {
	var all []*mutation
	var m *mutation
	for i, line := range strings.Split(text, "\n") {
		if line == "" {
			m = nil
			continue
		}
		if line[0] == '#' {
			continue
		}
		if m == nil {
			m = &mutation{folder: folder, line: i + 1}
			all = append(all, m)
		}
		if err := m.parseLine(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", filepath.Join(folder, listPath), i+1, err)
		}
	}
	for _, m := range all {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", m.place(), err)
		}
	}
	return all, nil
}

func (m *mutation) parseLine(line string) error {
	switch line[0] {
	case ' ', '\t':
		m.old, m.new = append(m.old, line[1:]), append(m.new, line[1:])
		return nil
	case '-':
		m.old = append(m.old, line[1:])
		return nil
	case '+':
		m.new = append(m.new, line[1:])
		return nil
	}
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch name {
	case "what":
		m.what = value
	case "file":
		m.file = value
	case "run":
		m.run = value
	case "flags":
		m.flags = strings.Fields(value)
	default:
		return fmt.Errorf("neither a field nor a line of code: %q", line)
	}
	return nil
}

func (m *mutation) check() error {
	switch {
	case m.what == "", m.file == "", m.run == "":
		return errors.New("what, file and run must be given")
	case len(m.old) == 0:
		return errors.New("there are no old lines")
	case slices.Equal(m.old, m.new):
		return errors.New("old and new lines are the same")
	}
	return nil
}

// errStale is why a mutation says nothing about the tests any more.
var errStale = errors.New("stale")

// apply returns the source with the new lines in place of the old ones.
func (m *mutation) apply(source string) (string, error) {
	lines := strings.Split(source, "\n")
	var places []int
	for i := range lines {
		if m.isAt(lines[i:]) {
			places = append(places, i)
		}
	}
	if len(places) != 1 {
		return "", fmt.Errorf("%w: the old lines occur %d times in %s", errStale, len(places), m.file)
	}
	return strings.Join(slices.Replace(lines, places[0], places[0]+len(m.old), m.new...), "\n"), nil
}

// isAt tells whether the lines begin with the old ones, but for indentation.
func (m *mutation) isAt(lines []string) bool {
	return len(lines) >= len(m.old) && slices.EqualFunc(lines[:len(m.old)], m.old, func(a, b string) bool {
		return strings.TrimSpace(a) == strings.TrimSpace(b)
	})
}
