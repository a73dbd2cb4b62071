package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"strconv"
	"syscall"

	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
)

const (
	standardInput = "-"
	outputSize    = 64 << 10
)

// A search prints the publications of files that match queries. It holds one
// line at a time.
type search struct {
	searchOptions
	queries      []namedQuery
	namesFiles   bool
	in           io.Reader // what the file "-" is
	out          *bufio.Writer
	explanations io.Writer
	log          *slog.Logger

	decoder decoder
	line    []byte // what is printed, reused
	counts  []int  // matches of each query
	matches int    // of all queries
	failed  bool   // something could not be read, and that was reported
}

// A decoder returns the publications of a line, until the next.
type decoder interface {
	Decode(line []byte) (iter.Seq[feed.Publication], error)
}

// A place is where a publication was read.
type place struct {
	file string
	line feed.Line
}

// errEnough ends a search that reached its limit.
var errEnough = errors.New("enough matches")

func (s *search) run(files []string) error {
	err := s.readFiles(files)
	if err == nil || err == errEnough {
		err = s.finish()
	}
	switch {
	case err != nil && !isClosed(err):
		return fmt.Errorf("writing: %w", err)
	case s.failed:
		return failed
	case s.matches == 0:
		return nothingFound
	}
	return nil
}

// isClosed tells whether an error says that nobody reads what is written: the
// reader has seen enough, which is not worth a word.
func isClosed(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

func (s *search) readFiles(files []string) error {
	for _, file := range files {
		if err := s.readFile(file); err != nil {
			return err
		}
	}
	return nil
}

// readFile reads one file. What is wrong with it is reported; the error is
// errEnough or one of writing.
func (s *search) readFile(name string) error {
	if name == standardInput {
		return s.read(name, s.in)
	}
	f, err := os.Open(name)
	if err != nil {
		s.report("file skipped", "error", err)
		return nil
	}
	defer f.Close()
	return s.read(name, f)
}

func (s *search) read(file string, r io.Reader) error {
	for lines := feed.NewLines(flushFirst{r, s.out}); ; {
		line, err := lines.Next()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, feed.ErrTooLong):
			s.report("line skipped", "file", file, "line", line.Number, "error", err)
			continue
		case errors.As(err, new(writeError)):
			return err
		case err != nil:
			s.report("file not read to its end", "file", file, "error", err)
			return nil
		}
		if err := s.readLine(place{file, line}); err != nil {
			return err
		}
	}
}

func (s *search) report(message string, details ...any) {
	s.failed = true
	s.log.Error(message, details...)
}

func (s *search) readLine(at place) error {
	publications, err := s.decoder.Decode(at.line.Text)
	if errors.Is(err, feed.ErrNoEvents) {
		err = fmt.Errorf("%w; --json-lines reads any object", err)
	}
	if err != nil {
		s.report("line skipped", "file", at.file, "line", at.line.Number, "error", err)
		return nil
	}
	for p := range publications {
		for i := range s.queries {
			if err := s.consider(i, p, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// consider counts and prints a publication if it is what the i-th query looks
// for.
func (s *search) consider(i int, p feed.Publication, at place) error {
	matches, _ := s.queries[i].Matches(p.Events) // which never fails
	if matches == s.invert {
		return nil
	}
	s.counts[i]++
	s.matches++
	if err := s.print(i, p, at); err != nil {
		return err
	}
	if s.matches == s.limit {
		return errEnough
	}
	return nil
}

func (s *search) print(i int, p feed.Publication, at place) error {
	if !s.count {
		if err := s.printLine(i, p, at); err != nil {
			return err
		}
	}
	if !s.explain {
		return nil
	}
	// Together with the line it explains.
	if err := s.out.Flush(); err != nil {
		return err
	}
	return explain(s.explanations, s.queries[i], p.Events, at)
}

func (s *search) printLine(i int, p feed.Publication, at place) (err error) {
	s.line = s.appendPrefix(s.line[:0], i, at)
	if s.line, err = p.AppendLine(s.line, at.line.Text); err != nil {
		return err
	}
	s.line = append(s.line, '\n')
	_, err = s.out.Write(s.line)
	if cap(s.line) > largeLine {
		s.line = nil
	}
	return err
}

// largeLine is the size of a line whose memory is not kept for the next.
const largeLine = 1 << 20

// appendPrefix appends what goes in front of a line: "name:file:number:", each
// where it was asked for.
func (s *search) appendPrefix(b []byte, i int, at place) []byte {
	if name := s.queries[i].name; name != "" {
		b = append(append(b, name...), ':')
	}
	if s.namesFiles {
		b = append(append(b, at.file...), ':')
	}
	if s.number {
		b = append(strconv.AppendInt(b, int64(at.line.Number), 10), ':')
	}
	return b
}

// finish prints the counts, if they were asked for, and all that is not yet
// written.
func (s *search) finish() error {
	for i, n := range s.counts {
		switch name := s.queries[i].name; {
		case !s.count:
		case name == "":
			fmt.Fprintln(s.out, n)
		default:
			fmt.Fprintf(s.out, "%s:%d\n", name, n)
		}
	}
	return s.out.Flush()
}

// flushFirst reads r, and writes what there is before it waits for more: on a
// slow pipe a match shows at once, on a fast file the writes are large.
type flushFirst struct {
	r   io.Reader
	out *bufio.Writer
}

// A writeError is an error of writing that comes to light while reading.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

func (f flushFirst) Read(b []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, writeError{err}
	}
	return f.r.Read(b)
}
