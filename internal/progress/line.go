// Package progress gives connections a deadline on progress instead of one on
// completion.
//
//	line := progress.NewLine(time.Second, 100*time.Millisecond)
//	dial = line.Dial(dial) // what it returns fails a second after the last byte, however long a reply is
//
// A request and its reply may take as long as they need over the link, as long
// as bytes arrive. A connection on which nothing arrives although something is
// due, or on which nothing can be written, ends with os.ErrDeadlineExceeded.
//
// How long silence may last adapts to the link, as TCP's retransmission timeout
// does (RFC 6298): each connection that ends by silence doubles it for all that
// follow, up to half a minute, and prompt answers halve it again and again.
// What was written and not answered adds the time that it takes at a quarter of
// the rate of before, so that a large request over a slow link is not taken for
// a dead one.
package progress

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	longestSilence = 30 * time.Second
	calm           = 250 * time.Millisecond // from one halving of the silence that is allowed to the next
	firstRate      = 256 << 10              // bytes a second, until one is measured
	slowestRate    = 1 << 10
	measured       = 4 << 10 // bytes that say something about the rate

	smallestChunk = 16 << 10
	largestChunk  = 256 << 10
)

// A Line is what the connections over one link have learned about it. Its
// methods may be called from any goroutine.
type Line struct {
	least time.Duration
	pings time.Duration

	mu      sync.Mutex
	silence time.Duration // that is allowed, when something is due
	rate    float64       // bytes a second that were answered
	changed time.Time     // when silence was
	conns   map[*Conn]struct{}
	closed  bool
}

// NewLine returns a line on which silence may last for least, at first. Every
// connection is expected to ask for a sign of life when it was silent for
// pings.
func NewLine(least, pings time.Duration) *Line {
	return &Line{least: least, pings: pings, silence: least, rate: firstRate, changed: time.Now(), conns: make(map[*Conn]struct{})}
}

// A DialFunc makes a connection, over TLS if there is a config.
type DialFunc = func(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error)

// Dial returns a function that dials and gives up after the silence that is
// allowed, and whose connections have a deadline on progress. A nil dial is TCP.
func (l *Line) Dial(dial DialFunc) DialFunc {
	if dial == nil {
		dial = dialTCP
	}
	return func(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, l.allowed(0))
		defer cancel()
		conn, err := dial(ctx, addr, dialer, config)
		if err != nil {
			if ctx.Err() != nil {
				l.stalled()
			}
			return nil, err
		}
		return l.add(&Conn{Conn: conn, line: l, heard: time.Now()})
	}
}

func (l *Line) add(c *Conn) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Conn.Close()
		return nil, net.ErrClosed
	}
	l.conns[c] = struct{}{}
	return c, nil
}

func (l *Line) remove(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// Close ends all connections at once, without a farewell, and makes no further
// ones.
func (l *Line) Close() {
	l.mu.Lock()
	l.closed = true
	conns := slices.Collect(maps.Keys(l.conns))
	l.mu.Unlock()
	for _, c := range conns {
		conn := c.Conn
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn() // that of TLS would wait for somebody to take its farewell
		}
		_ = conn.Close()
	}
}

func dialTCP(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", addr)
}

// allowed returns how long nothing may arrive when so many bytes were written
// and nothing was heard since.
func (l *Line) allowed(unanswered int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silence + time.Duration(float64(unanswered)/(l.rate/4)*float64(time.Second))
}

// writing returns how long nothing may pass when something is written, and how
// much to write at a time: what takes far less than that at the rate of before.
func (l *Line) writing() (silence time.Duration, chunk int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	chunk = int(min(l.rate*l.silence.Seconds()/8, largestChunk))
	return l.silence, max(chunk, smallestChunk)
}

// stalled takes note that a connection ended by silence.
func (l *Line) stalled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silence = min(2*l.silence, max(longestSilence, l.least))
	l.rate = max(l.rate/4, slowestRate)
	l.changed = time.Now()
}

// answered takes note of the first byte after so many were written.
func (l *Line) answered(unanswered int, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if unanswered >= measured {
		l.rate = max(float64(unanswered)/max(after, time.Microsecond).Seconds(), slowestRate)
	}
	if l.silence == l.least {
		return
	}
	switch now := time.Now(); {
	case after > l.least/4: // it is slow, though not as slow as was feared
	case now.Sub(l.changed) >= calm:
		l.silence, l.changed = max(l.silence/2, l.least), now
	}
}
