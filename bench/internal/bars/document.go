package bars

import (
	"bytes"
	"fmt"
	"os"
)

// marks are the lines of a Markdown file that a section stands between.
func marks(section string) (begin, end string) {
	return "<!-- begin " + section + ": written by make bench -->\n", "<!-- end " + section + " -->\n"
}

// Rewrite puts body between the marks of a section in a Markdown file.
func Rewrite(file, section string, body []byte) error {
	before, after, err := around(file, section)
	if err != nil {
		return err
	}
	begin, end := marks(section)
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(begin), body, []byte(end), after}, nil), 0o666)
}

// HasMarks returns an error if a Markdown file has no place for a section.
func HasMarks(file, section string) error {
	_, _, err := around(file, section)
	return err
}

// around returns what stands before and after the marks of a section.
func around(file, section string) (before, after []byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	begin, end := marks(section)
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return nil, nil, fmt.Errorf("%s has no lines\n%s%s", file, begin, end)
	}
	return before, after, nil
}
