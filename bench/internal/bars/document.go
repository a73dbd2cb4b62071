package bars

import (
	"bytes"
	"errors"
	"os"
)

const (
	begin = "<!-- begin: written by make bench -->\n"
	end   = "<!-- end -->\n"
)

// Rewrite puts section between the two marks of a Markdown file.
func Rewrite(file string, section []byte) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return errors.New(file + " has no lines " + begin + " and " + end)
	}
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(begin), section, []byte(end), after}, nil), 0o666)
}
