package progress

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A Conn is a connection that ends when it makes no progress. Like any
// connection it is for one reader and one writer at a time. A deadline that is
// set on it holds as well.
type Conn struct {
	net.Conn
	line *Line

	mu         sync.Mutex
	heard      time.Time // of the last byte that arrived
	asked      time.Time // of the first byte that was written after it; zero if there is none
	unanswered int       // bytes written since
	reading    bool      // Read waits
	deadline   time.Time // of the user's, for reading
	writeUntil time.Time // of the user's, for writing
}

// Read waits for bytes as long as they may be due.
func (c *Conn) Read(p []byte) (n int, err error) {
	c.mu.Lock()
	c.reading = true
	if c.asked.IsZero() {
		c.heard = time.Now() // what came before nobody waited for
	}
	err = c.armLocked()
	c.mu.Unlock()
	if err == nil {
		n, err = c.Conn.Read(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if n > 0 {
		c.hearLocked()
	}
	if isTimeout(err) && !c.isPastLocked(c.deadline) {
		c.line.stalled()
	}
	return n, err
}

func (c *Conn) hearLocked() {
	now := time.Now()
	if !c.asked.IsZero() {
		c.line.answered(c.unanswered, now.Sub(c.asked))
	}
	c.heard, c.asked, c.unanswered = now, time.Time{}, 0
}

// armLocked sets the deadline of a Read. The caller holds c.mu.
func (c *Conn) armLocked() error {
	due := c.heard.Add(c.line.allowed(0) + 4*c.line.pings) // a ping comes before that
	if !c.asked.IsZero() {
		due = c.asked.Add(c.line.allowed(c.unanswered))
	}
	return c.Conn.SetReadDeadline(earlier(due, c.deadline))
}

// Write writes in chunks, each of which has to pass in time.
func (c *Conn) Write(p []byte) (n int, err error) {
	for len(p) > n && err == nil {
		silence, chunk := c.line.writing()
		c.mu.Lock()
		until := earlier(time.Now().Add(silence), c.writeUntil)
		c.mu.Unlock()
		if err = c.Conn.SetWriteDeadline(until); err != nil {
			return n, err
		}
		var wrote int
		wrote, err = c.Conn.Write(p[n:min(len(p), n+chunk)])
		n += wrote
		c.wrote(wrote)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if isTimeout(err) && !c.isPastLocked(c.writeUntil) {
		c.line.stalled()
	}
	return n, err
}

// wrote has the Read that waits know that something is due.
func (c *Conn) wrote(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked.IsZero() {
		c.asked = time.Now()
	}
	c.unanswered += n
	if c.reading {
		_ = c.armLocked()
	}
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.line.remove(c)
	return c.Conn.Close()
}

// SetDeadline sets both deadlines of the user.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets a deadline besides that on progress.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.reading {
		return c.armLocked()
	}
	return nil
}

// SetWriteDeadline sets a deadline besides that on progress. It is heeded with
// the next chunk.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeUntil = t
	return nil
}

// isPastLocked tells whether the user's own deadline has passed. The caller
// holds c.mu.
func (c *Conn) isPastLocked(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// earlier returns the earlier of two deadlines; a zero one is none.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
