package feed

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// MaxLine is the length in bytes, without its end, of the longest line that is
// read.
const MaxLine = 64 << 20

// ErrTooLong says that a line was skipped for its length. The lines after it
// can be read.
var ErrTooLong = errors.New("feed: longer than 64 MiB")

const (
	bufferSize = 256 << 10
	keptSize   = 1 << 20 // a larger buffer is given back after its line
)

// byteOrderMark is what some editors put in front of a file in UTF-8.
var byteOrderMark = []byte("\ufeff")

// A Line is one line, or one document printed over several.
type Line struct {
	Number int    // of its first line, from 1
	Text   []byte // without the last line feed, or a byte order mark in front of all; valid until the next call of Next
}

// Lines reads the lines of a stream. Its method is for one goroutine.
type Lines struct {
	r        *bufio.Reader
	number   int    // lines read so far
	long     []byte // a line that is longer than r's buffer
	document []byte // lines of a document
	next     []byte // a line read and not yet returned, if hasNext
	hasNext  bool
}

// NewLines returns the lines of r.
func NewLines(r io.Reader) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, bufferSize)}
}

// Next returns the next line that is not blank. The error is ErrTooLong, with
// the number of the line skipped; or io.EOF or what r failed with, and then it
// is the last.
func (l *Lines) Next() (Line, error) {
	l.release()
	for {
		text, err := l.read()
		line := Line{Number: l.number, Text: text}
		switch {
		case err != nil:
			return line, err
		case isOnly(text, '{'):
			line.Text, err = l.readDocument(text)
			return line, err
		case len(bytes.TrimSpace(text)) > 0:
			return line, nil
		}
	}
}

func (l *Lines) release() {
	if cap(l.long) > keptSize && !l.hasNext {
		l.long = nil
	}
	if cap(l.document) > keptSize {
		l.document = nil
	}
}

// readDocument returns the document that starts with the given line. A line
// that cannot belong to it ends it, and is returned by the next call.
func (l *Lines) readDocument(first []byte) ([]byte, error) {
	l.document = append(l.document[:0], first...)
	tooLong := false
	for {
		text, err := l.read()
		switch {
		case err == ErrTooLong:
			tooLong = true
			continue
		case err != nil:
			return l.document, nil // incomplete, and the next read tells err again
		case !isOnly(text, '}') && !isIndented(text):
			l.next, l.hasNext = text, true
			l.number--
			return l.documentOr(tooLong)
		}
		tooLong = tooLong || len(l.document)+1+len(text) > MaxLine
		if !tooLong {
			l.document = append(append(l.document, '\n'), text...)
		}
		if isOnly(text, '}') {
			return l.documentOr(tooLong)
		}
	}
}

func (l *Lines) documentOr(tooLong bool) ([]byte, error) {
	if tooLong {
		return nil, ErrTooLong
	}
	return l.document, nil
}

// isOnly tells whether a line is one brace that is not indented.
func isOnly(line []byte, brace byte) bool {
	return len(line) > 0 && line[0] == brace && len(bytes.TrimSpace(line[1:])) == 0
}

func isIndented(line []byte) bool {
	return len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
}

// read returns the next line, which stays valid until the call after. The
// last line may lack its end.
func (l *Lines) read() ([]byte, error) {
	if l.hasNext {
		l.hasNext = false
		l.number++
		return l.next, nil
	}
	text, err := l.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		text, err = l.readLong(text)
	}
	if err == io.EOF && len(text) > 0 {
		err = nil
	}
	if l.number == 0 {
		text = bytes.TrimPrefix(text, byteOrderMark)
	}
	if err == nil || err == ErrTooLong {
		l.number++
	}
	return bytes.TrimSuffix(text, []byte{'\n'}), err
}

// readLong reads a line on whose start fills r's buffer.
func (l *Lines) readLong(start []byte) ([]byte, error) {
	l.long = append(l.long[:0], start...)
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(l.long)+len(bytes.TrimSuffix(part, []byte{'\n'})) > MaxLine; !tooLong {
			l.long = append(l.long, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
		case tooLong && (err == nil || err == io.EOF):
			return nil, ErrTooLong
		default:
			return l.long, err
		}
	}
}
