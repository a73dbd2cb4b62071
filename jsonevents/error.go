package jsonevents

import "fmt"

// An Error says what is wrong with a document, where, and what to do about it.
type Error struct {
	Offset  int    // of the byte in question; the length of the document is its end
	Problem string // in one line
	Limit   bool   // the document is beyond one of the Limits
}

// Error describes the error in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("jsonevents: offset %d: %s", e.Offset, e.Problem)
}
