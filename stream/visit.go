package stream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub/internal/wire"
)

// A visit is a request, and what becomes of it:
//
//	enter: quota of requests ─▶ host ─▶ origin ─▶ who is it ─▶ quota of the identity
//	  ├─ a WebSocket or an event stream: connect ─▶ quota of connections
//	  └─ anything else is answered
//	end: gives back what it holds, and is a line of the access log
type visit struct {
	server   *Server
	ip       string
	sender   sender
	who      atomic.Pointer[Identity]
	holds    []*hold
	entry    accessEntry
	arriving bool // it has been let in to be a connection; guarded by the mu of the server
	retries  bool // a browser that gives up on any answer but a stream of events
	kept     bool // it goes on when the handler returns; who keeps it calls end
}

// identity returns who it is: nobody yet, or whom the last token names.
func (v *visit) identity() *Identity {
	if id := v.who.Load(); id != nil {
		return id
	}
	return new(Identity)
}

// enter lets a request in. If it is refused it has been answered.
func (v *visit) enter(w http.ResponseWriter, r *http.Request) bool {
	refused := v.admit(w, r)
	if refused != nil {
		v.leave()
		v.server.config.logDebug("stream: request refused", "remote", v.ip, "reason", refused.text)
		v.refuse(w, refused)
	}
	return refused == nil
}

// refuse answers a request that is not let in.
func (v *visit) refuse(w http.ResponseWriter, refused *refusal) {
	if v.retries && refused.passes() {
		refused.writeRetry(w)
		return
	}
	refused.write(w)
}

func (s *Server) newVisit(r *http.Request) *visit {
	from := s.sender(r)
	return &visit{server: s, ip: from.ip, sender: from, entry: newAccessEntry(r)}
}

func (v *visit) admit(w http.ResponseWriter, r *http.Request) *refusal {
	s := v.server
	request, refused := s.quotas.requests.hold(v.ip, "", 1)
	if refused != nil {
		return refused
	}
	v.holds = append(v.holds, request)
	if refused := v.checkOrigin(r); refused != nil {
		return refused
	}
	answerOrigin(w, r)
	id, err := s.config.Identify(r)
	if err == nil && id.expired() {
		err = errors.New("expired")
	}
	if err != nil {
		s.config.logDebug("stream: not authorized", "remote", v.ip, "error", err)
		w.Header().Set("WWW-Authenticate", "Bearer")
		v.refused(refusedIdentity)
		return &refusal{http.StatusUnauthorized, "not authorized"}
	}
	v.who.Store(&id)
	return request.name(id.Name)
}

// checkOrigin refuses a request that a page of another site may have sent.
func (v *visit) checkOrigin(r *http.Request) *refusal {
	if !v.allowsOrigin(r) {
		v.refused(refusedOrigin)
		return &refusal{http.StatusForbidden, "the origin is not allowed"}
	}
	return nil
}

// expired tells whether the identity is one no more.
func (id *Identity) expired() bool {
	return !id.Expires.IsZero() && !time.Now().Before(id.Expires)
}

// connect makes the visit a connection: it counts as one of these instead of as
// a request. If it is refused it has been answered.
func (v *visit) connect(w http.ResponseWriter) bool {
	s := v.server
	if !s.arrive(v) {
		v.refused(refusedDraining)
		v.refuse(w, &refusal{http.StatusServiceUnavailable, wire.Draining})
		return false
	}
	h, refused := s.quotas.connections.hold(v.ip, v.identity().Name, 1)
	if refused != nil {
		v.refuse(w, refused)
		return false
	}
	v.leave()
	v.holds = append(v.holds, h)
	return true
}

// leave gives back what the visit holds.
func (v *visit) leave() {
	for _, h := range v.holds {
		h.release()
	}
	v.holds = nil
}

// end is called once, when the request has been answered, or the connection
// that it became is over.
func (v *visit) end() {
	v.server.depart(v)
	v.leave()
	v.log()
}

// waits returns the context of what a request waits for: it ends with the
// request, with its token, and when the server drains.
func (v *visit) waits(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(v.server.draining, cancel)
	ctx, cancelExpiry := v.identity().until(ctx)
	return ctx, func() {
		stop()
		cancelExpiry()
		cancel()
	}
}

// until returns ctx with the end of the identity.
func (id *Identity) until(ctx context.Context) (context.Context, context.CancelFunc) {
	if id.Expires.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, id.Expires)
}

// visited returns a handler that enters, and calls f with the visit.
func (s *Server) visited(f func(w http.ResponseWriter, r *http.Request, v *visit)) http.HandlerFunc {
	return s.guarded(func(w http.ResponseWriter, r *http.Request, v *visit) {
		if v.enter(w, r) {
			f(w, r, v)
		}
	})
}

// guarded returns a handler whose requests name a host that is ours, and are in
// the access log, and whose reads and writes have deadlines. Every handler is
// one: a page whose name resolves to this machine gets nothing at any path. A body that it does not read is not waited
// for: the connection ends with the answer.
func (s *Server) guarded(f func(w http.ResponseWriter, r *http.Request, v *visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := s.newVisit(r)
		g := &guardedWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: s.config.WriteTimeout, visit: v}
		if r.ContentLength != 0 {
			g.body = &sentBody{ReadCloser: r.Body}
			r = r.WithContext(r.Context()) // the HTTP server's own keeps its body
			r.Body = g.body
			_ = g.control.SetReadDeadline(time.Now().Add(s.config.ReadTimeout))
		}
		defer func() {
			g.end()
			if !v.kept {
				v.end()
			}
		}()
		if refused := s.checkHost(v.sender.host); refused != nil {
			v.refused(refusedHost)
			refused.write(g)
			return
		}
		f(g, r, v)
	}
}

// A guardedWriter gives each part of an answer WriteTimeout. A client may be as
// slow as it likes as long as it takes a part within it.
type guardedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	visit   *visit
	body    *sentBody // nil: the request has none
	taken   bool      // the connection is somebody else's
}

// A sentBody is the body of a request.
type sentBody struct {
	io.ReadCloser
	ended bool // all of it has been read
}

// Read implements io.Reader.
func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

func (b *sentBody) unread() bool { return b != nil && !b.ended }

// unreadTime is how long what is left of a body is read and thrown away after
// the answer, which a client that is still sending may not see otherwise.
const unreadTime = 500 * time.Millisecond

// answerPart is how much of an answer must be taken within WriteTimeout.
const answerPart = 64 << 10

// WriteHeader implements http.ResponseWriter.
func (g *guardedWriter) WriteHeader(status int) {
	g.begin(status)
	g.ResponseWriter.WriteHeader(status)
}

// begin is called before a part of the answer. A connection that ends with it is
// not searched for the end of the body first, which may never come.
func (g *guardedWriter) begin(status int) {
	if g.visit.entry.status == 0 && g.body.unread() {
		g.Header().Set("Connection", "close")
	}
	g.visit.entry.answered(status)
}

// Write implements http.ResponseWriter.
func (g *guardedWriter) Write(b []byte) (n int, err error) {
	g.begin(http.StatusOK)
	for len(b) > 0 && err == nil {
		g.renew()
		var part int
		part, err = g.ResponseWriter.Write(b[:min(len(b), answerPart)])
		n, b = n+part, b[part:]
	}
	g.visit.entry.sent += int64(n)
	if isTimeout(err) {
		g.visit.stalled()
	}
	return n, err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (g *guardedWriter) renew() { _ = g.control.SetWriteDeadline(time.Now().Add(g.timeout)) }

// end sends what is left, and leaves no deadline for the next request.
func (g *guardedWriter) end() {
	if g.taken {
		return
	}
	g.begin(http.StatusOK)
	g.renew()
	_ = g.control.Flush()
	_ = g.control.SetWriteDeadline(time.Time{})
	if g.body.unread() {
		_ = g.control.SetReadDeadline(time.Now().Add(unreadTime))
	}
}

// Hijack implements http.Hijacker: deadlines are the affair of who takes the
// connection.
func (g *guardedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := g.control.Hijack()
	g.taken = g.taken || err == nil
	return conn, buffered, err
}

// Unwrap is for http.ResponseController.
func (g *guardedWriter) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// hostOf returns the host of host:port, or what there is.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// An accessEntry is one line of the access log: a request, or the connection
// that it became. It is for one goroutine at a time.
type accessEntry struct {
	method, path string
	began        time.Time
	status       int   // 0: nothing was answered
	sent         int64 // bytes, without headers
}

// Most bytes of what a client chose in a line of the access log.
const (
	maxLoggedMethod = 16
	maxLoggedPath   = 512
)

func newAccessEntry(r *http.Request) accessEntry {
	return accessEntry{method: truncateUTF8(r.Method, maxLoggedMethod), path: truncateUTF8(r.URL.EscapedPath(), maxLoggedPath), began: time.Now()}
}

// answered takes note of the status; the first counts.
func (e *accessEntry) answered(status int) {
	if e.status == 0 {
		e.status = status
	}
}

// log writes the visit's line of the access log. Neither a query, which may be
// private, nor a token, which Tokens has taken out of the path, is in it.
func (v *visit) log() {
	l, e := v.server.config.AccessLog, &v.entry
	if l == nil {
		return
	}
	l.LogAttrs(context.Background(), slog.LevelInfo, "access",
		slog.String("method", e.method),
		slog.String("path", e.path),
		slog.Int("status", e.status),
		slog.Int64("bytes", e.sent),
		slog.Duration("duration", time.Since(e.began)),
		slog.String("identity", truncateUTF8(v.identity().Name, maxLoggedPath)),
		slog.String("remote", v.ip),
	)
}
