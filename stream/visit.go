package stream

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// quotas are the limits of a server, one for each thing that costs.
type quotas struct {
	open        *quota // network connections of HTTPServer that no WebSocket has taken over
	requests    *quota // requests being answered
	connections *quota // WebSockets and event streams
	pulls       *quota // events requests that wait
	input       *quota // bytes of messages and bodies, until they are dealt with
	answers     *quota // bytes of answers, until they are taken
}

func newQuotas(c *Config) quotas {
	return quotas{
		open:        newQuota("open connections", c.MaxOpen, c.MaxOpenPerIP, 0),
		requests:    newQuota("requests", c.MaxRequests, c.MaxRequestsPerIP, c.MaxRequestsPerIdentity),
		connections: newQuota("connections", c.MaxConnections, c.MaxConnectionsPerIP, c.MaxConnectionsPerIdentity),
		pulls:       newQuota("waiting requests", c.MaxPulls, c.MaxPullsPerIP, c.MaxPullsPerIdentity),
		input:       newQuota("bytes being sent", c.InputBytes, c.InputBytesPerIP, c.InputBytesPerIdentity),
		answers:     newQuota("bytes being answered", c.AnswerBytes, c.AnswerBytesPerIP, c.AnswerBytesPerIdentity),
	}
}

// each calls f with the quotas and the names that metrics give them.
func (q *quotas) each(f func(name string, q *quota)) {
	f("open", q.open)
	f("requests", q.requests)
	f("connections", q.connections)
	f("pulls", q.pulls)
	f("input_bytes", q.input)
	f("answer_bytes", q.answers)
}

// A visit is a request that was let in. Every request begins with one,
// whatever becomes of it:
//
//	enter: quota of requests ─▶ host ─▶ origin ─▶ who is it ─▶ quota of the identity
//	  ├─ a WebSocket or an event stream: connect ─▶ quota of connections
//	  └─ anything else is answered, and leaves
type visit struct {
	server *Server
	ip     string
	sender sender
	who    atomic.Pointer[Identity]
	holds  []*hold
}

// identity returns who it is: nobody yet, or whom the last token names.
func (v *visit) identity() *Identity {
	if id := v.who.Load(); id != nil {
		return id
	}
	return new(Identity)
}

// enter lets a request in. If it is refused it has been answered. The caller
// calls leave.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) (*visit, bool) {
	v := s.newVisit(r)
	if err := v.admit(w, r); err != nil {
		v.leave()
		var refused *refusal
		if errors.As(err, &refused) {
			s.config.logDebug("stream: request refused", "remote", v.ip, "reason", refused.text)
			refused.write(w)
		}
		return nil, false
	}
	return v, true
}

func (s *Server) newVisit(r *http.Request) *visit {
	from := s.sender(r)
	return &visit{server: s, ip: from.ip, sender: from}
}

func (v *visit) admit(w http.ResponseWriter, r *http.Request) error {
	s := v.server
	request, refused := s.quotas.requests.hold(v.ip, "", 1)
	if refused != nil {
		return refused
	}
	v.holds = append(v.holds, request)
	if refused := s.checkHost(v.sender.host); refused != nil {
		return s.turnAway(refused)
	}
	if !v.allowsOrigin(r) {
		return s.turnAway(&refusal{http.StatusForbidden, "the origin is not allowed"})
	}
	answerOrigin(w, r)
	id, err := s.config.Identify(r)
	if err == nil && id.expired() {
		err = errors.New("expired")
	}
	if err != nil {
		s.config.logDebug("stream: not authorized", "remote", v.ip, "error", err)
		w.Header().Set("WWW-Authenticate", "Bearer")
		return s.turnAway(&refusal{http.StatusUnauthorized, "not authorized"})
	}
	v.who.Store(&id)
	if refused := request.name(id.Name); refused != nil {
		return refused
	}
	return nil
}

// turnAway counts a refusal that is no limit's.
func (s *Server) turnAway(r *refusal) error {
	s.turnedAway.Add(1)
	return r
}

// expired tells whether the identity is one no more.
func (id *Identity) expired() bool {
	return !id.Expires.IsZero() && !time.Now().Before(id.Expires)
}

// connect makes the visit a connection: it counts as one of these instead of as
// a request. If it is refused it has been answered.
func (v *visit) connect(w http.ResponseWriter) bool {
	s := v.server
	if s.draining.Err() != nil {
		(&refusal{http.StatusServiceUnavailable, drainReason}).write(w)
		return false
	}
	h, refused := s.quotas.connections.hold(v.ip, v.identity().Name, 1)
	if refused != nil {
		refused.write(w)
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
	return s.guarded(func(w http.ResponseWriter, r *http.Request) {
		v, ok := s.enter(w, r)
		if !ok {
			return
		}
		defer v.leave()
		f(w, r, v)
	})
}

// guarded returns a handler whose writes have deadlines.
func (s *Server) guarded(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g := &guardedWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: s.config.WriteTimeout, stalls: &s.writes.stalls}
		defer g.end()
		f(g, r)
	}
}

// A guardedWriter gives each part of an answer WriteTimeout. A client may be as
// slow as it likes as long as it takes a part within it.
type guardedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	stalls  *atomic.Uint64
	taken   bool // the connection is somebody else's
}

// answerPart is how much of an answer must be taken within WriteTimeout.
const answerPart = 64 << 10

// Write implements http.ResponseWriter.
func (g *guardedWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		g.renew()
		var part int
		part, err = g.ResponseWriter.Write(b[:min(len(b), answerPart)])
		n, b = n+part, b[part:]
	}
	if isTimeout(err) {
		g.stalls.Add(1)
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
	g.renew()
	_ = g.control.Flush()
	_ = g.control.SetWriteDeadline(time.Time{})
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
