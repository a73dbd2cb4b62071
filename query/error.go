package query

import (
	"fmt"
	"strings"
)

// A SyntaxError tells where and why a text is no query.
type SyntaxError struct {
	Query    string   // the text
	Offset   int      // of the place in bytes; len(Query) is the end
	Expected []string // what could stand there; empty if Reason tells more
	Got      string   // what stands there, "" at the end
	Reason   string   // why it is wrong, if not because something else was expected
	Err      error    // the cause, if another package found it
}

// Error describes the error in one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("query: offset %d: %s", e.Offset, e.reason())
}

// Unwrap returns the cause, if another package found it.
func (e *SyntaxError) Unwrap() error { return e.Err }

func (e *SyntaxError) reason() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", e.Reason, e.Err)
	case len(e.Expected) == 0:
		return e.Reason
	case e.Offset >= len(e.Query):
		return fmt.Sprintf("expected %s, got the end", list(e.Expected))
	default:
		return fmt.Sprintf("expected %s, got %q", list(e.Expected), e.Got)
	}
}

func list(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
