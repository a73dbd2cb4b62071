package pubsub

import (
	"fmt"
	"sync"

	"github.com/harkbus/pubsub/service"
)

// reports takes lines to the logger, on a goroutine that there is only while
// there are lines. A logger is user code: it may be slow, panic, exit its
// goroutine or publish, so whoever has the pass or a lock must not call it.
type reports struct {
	to service.Logger

	mu      sync.Mutex
	lines   []line
	lost    int            // lines since the last one that fitted
	writing bool           // there is a writer
	writer  sync.WaitGroup // of the writer
}

// maxLines is how many lines wait for a slow logger.
const maxLines = 1024

// A line is one call of the logger.
type line struct {
	level   func(to service.Logger, msg string, keyvals ...any)
	msg     string
	keyvals []any
}

// add reports something. It takes no user code: values are written later.
func (r *reports) add(level func(to service.Logger, msg string, keyvals ...any), msg string, keyvals ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == maxLines {
		r.lost++
		return
	}
	r.lines = append(r.lines, line{level, msg, keyvals})
	if !r.writing {
		r.writing = true
		r.writer.Go(r.write)
	}
}

// write is the writer. If the logger exits the goroutine another one takes
// over.
func (r *reports) write() {
	over := false
	defer func() {
		if !over {
			r.writer.Go(r.write)
		}
	}()
	for {
		l, ok := r.next()
		if !ok {
			over = true
			return
		}
		l.level(r.to, l.msg, l.keyvals...)
	}
}

// next returns the next line; there is none if the writer is to end.
func (r *reports) next() (l line, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.lines) > 0:
		l, r.lines[0] = r.lines[0], line{}
		r.lines = r.lines[1:]
	case r.lost > 0:
		l = line{service.Logger.Error, "pubsub: the logger is too slow; lines are missing", []any{"lines", r.lost}}
		r.lost = 0
	default:
		r.lines, r.writing = nil, false
		return line{}, false
	}
	return l, true
}

// written tells whether all lines have been written.
func (r *reports) written() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.writing
}

// wait returns once all lines have been written. Nothing is added meanwhile.
func (r *reports) wait() { r.writer.Wait() }

// panicked is what user code panicked with, to be written by a logger.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprint(p.value) }
