package stream

import (
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// quotas are the limits of a server, one for each thing that costs.
type quotas struct {
	open        *quota // network connections of HTTPServer that no WebSocket has taken over
	requests    *quota // requests being answered
	connections *quota // WebSockets and event streams
	pulls       *quota // events requests that wait
	input       *quota // bytes of messages and bodies, until they are dealt with
	answers     *quota // bytes of answers, until they are taken

	adminOpen     *quota // open and requests of administrators, whom nobody else shuts out
	adminRequests *quota
}

// maxAdmin bounds the network connections of AdminServer, and the requests to
// Admin.
const maxAdmin = 100

func newQuotas(c *Config) quotas {
	return quotas{
		open:        newQuota("open connections", c.MaxOpen, c.MaxOpenPerIP, 0),
		requests:    newQuota("requests", c.MaxRequests, c.MaxRequestsPerIP, c.MaxRequestsPerIdentity),
		connections: newQuota("connections", c.MaxConnections, c.MaxConnectionsPerIP, c.MaxConnectionsPerIdentity),
		pulls:       newQuota("waiting requests", c.MaxPulls, c.MaxPullsPerIP, c.MaxPullsPerIdentity),
		input:       newQuota("bytes being sent", c.InputBytes, c.InputBytesPerIP, c.InputBytesPerIdentity),
		answers:     newQuota("bytes being answered", c.AnswerBytes, c.AnswerBytesPerIP, c.AnswerBytesPerIdentity),

		adminOpen:     newQuota("open connections", maxAdmin, 0, 0),
		adminRequests: newQuota("requests", maxAdmin, 0, 0),
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
	f("admin_open", q.adminOpen)
	f("admin_requests", q.adminRequests)
}

// A quota bounds how much of one thing there is at once: in total, of one
// address and of one identity. Nobody waits for it: what does not fit is
// refused and counted. Its methods may be called from any goroutine.
type quota struct {
	what                      string // as in "too many connections"
	total, perIP, perIdentity int64  // 0: no limit

	refusals [scopes]atomic.Uint64
	refused  func(ip, identity string) // is notified; does not wait

	mu         sync.Mutex
	used       int64
	ips        map[string]int64
	identities map[string]int64
}

// A scope is what a limit is for.
type scope int

const (
	ofAll scope = iota
	ofAddress
	ofIdentity
	scopes
)

func newQuota(what string, total, perIP, perIdentity int) *quota {
	return &quota{
		what: what, total: int64(total), perIP: int64(perIP), perIdentity: int64(perIdentity),
		ips: map[string]int64{}, identities: map[string]int64{}, refused: func(string, string) {},
	}
}

// A hold is what one request or connection has of a quota. It is for one
// goroutine at a time.
type hold struct {
	quota    *quota
	ip       string
	identity string // "": none, or not known yet
	n        int64
}

// hold takes n for an address and an identity, which may be empty.
func (q *quota) hold(ip, identity string, n int64) (*hold, *refusal) {
	h := &hold{quota: q, ip: networkOf(ip), identity: identity}
	if refused := h.more(n); refused != nil {
		return nil, refused
	}
	return h, nil
}

// more takes n more.
func (h *hold) more(n int64) *refusal {
	q := h.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.total > 0 && q.used+n > q.total:
		return q.refuse(ofAll, h)
	case q.perIP > 0 && q.ips[h.ip]+n > q.perIP:
		return q.refuse(ofAddress, h)
	case h.identity != "" && q.perIdentity > 0 && q.identities[h.identity]+n > q.perIdentity:
		return q.refuse(ofIdentity, h)
	}
	h.n += n
	q.used += n
	add(q.ips, h.ip, n)
	if h.identity != "" {
		add(q.identities, h.identity, n)
	}
	return nil
}

// name says whose what was taken is, once that is known.
func (h *hold) name(identity string) *refusal {
	if identity == "" {
		return nil
	}
	q := h.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.perIdentity > 0 && q.identities[identity]+h.n > q.perIdentity {
		return q.refuse(ofIdentity, &hold{ip: h.ip, identity: identity})
	}
	h.identity = identity
	add(q.identities, identity, h.n)
	return nil
}

// release gives everything back. It may be called again.
func (h *hold) release() {
	q := h.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= h.n
	add(q.ips, h.ip, -h.n)
	if h.identity != "" {
		add(q.identities, h.identity, -h.n)
	}
	h.n = 0
}

// add adds to a count, and keeps no entry for nothing.
func add(counts map[string]int64, key string, n int64) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// refuse counts a refusal. The caller holds q.mu.
func (q *quota) refuse(s scope, h *hold) *refusal {
	q.refusals[s].Add(1)
	q.refused(h.ip, h.identity)
	switch s {
	case ofAddress:
		return &refusal{http.StatusTooManyRequests, "too many " + q.what + " from your address"}
	case ofIdentity:
		return &refusal{http.StatusTooManyRequests, "too many " + q.what + " of yours"}
	default:
		return &refusal{http.StatusServiceUnavailable, "too many " + q.what}
	}
}

func (q *quota) held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used
}

// networkOf returns what limits for an address count: an IPv4 address, or the
// 64 bits of an IPv6 address that a subscriber of a provider has to himself.
func networkOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.String()
}

// A refusal is an HTTP answer to a request that is not let in.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return "stream: " + r.text }

// passes tells whether the same request may be let in later.
func (r *refusal) passes() bool {
	return r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests
}

func (r *refusal) write(w http.ResponseWriter) {
	if r.passes() {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, r.text, r.status)
}

// A budget counts the bytes that all connections of a server have queued.
// Nobody waits for it as such: once it is used up, a connection that has
// something queued takes no more until its own queue is written, and one that
// has nothing queued goes on. So the sum stays below the limit plus one frame
// for each connection, and one that keeps up does not wait for one that does
// not.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) exceeded() bool { return b.used.Load() >= b.limit }
func (b *budget) take(n int)     { b.used.Add(int64(n)) }
func (b *budget) give(n int)     { b.used.Add(-int64(n)) }

// A refusedReason says why something was refused that no quota bounds.
type refusedReason int

const (
	refusedHost          refusedReason = iota // the request names a host that is not ours
	refusedOrigin                             // a page of another origin sent it
	refusedIdentity                           // nobody knows who sent it
	refusedRight                              // the sender may not do that
	refusedRequest                            // no route takes it, or its role at a topic is none
	refusedDraining                           // the server ends
	refusedSize                               // a message or a body is too large
	refusedTime                               // one did not come in time, or the client was silent
	refusedClients                            // too many connections with a subscription
	refusedSubscriptions                      // too many of one connection
	refusedQuery                              // a query is too long
	refusedExpressions                        // regular expressions have too many instructions
	refusedReasons
)

var refusedNames = [refusedReasons]string{
	"host", "origin", "identity", "right", "request", "draining", "size", "time", "clients", "subscriptions", "query", "expressions",
}

// refusals counts what was refused, by reason.
type refusals [refusedReasons]atomic.Uint64

func (r *refusals) stats() []RefusalStats {
	all := make([]RefusalStats, refusedReasons)
	for i := range r {
		all[i] = RefusalStats{refusedNames[i], r[i].Load()}
	}
	return all
}

// RefusalStats is how often something was refused for a reason.
type RefusalStats struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// A limitError says that a limit keeps a subscription away.
type limitError struct {
	reason refusedReason
	text   string
}

func (e *limitError) Error() string { return e.text }

// refused counts that the visitor was refused something.
func (v *visit) refused(why refusedReason) {
	v.server.refusals[why].Add(1)
	v.server.notice("refused", refusedNames[why], v.ip, v.identity().Name, 1)
}

// refusedFor counts err if it is a refusal, and returns it.
func (v *visit) refusedFor(err error) error {
	var limit *limitError
	if errors.As(err, &limit) {
		v.refused(limit.reason)
	}
	return err
}

// refusedInput counts err if what the client sends is too large or too slow.
func (v *visit) refusedInput(err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		v.refused(refusedSize)
	case isTimeout(err):
		v.refused(refusedTime)
	}
}

// slow notes that the client does not take what it is sent.
func (v *visit) slow(why string, n uint64) {
	v.server.notice("slow", why, v.ip, v.identity().Name, n)
}

// stalled notes that the client has taken nothing for WriteTimeout.
func (v *visit) stalled() {
	v.server.writes.stalls.Add(1)
	v.slow("stalled", 1)
}

func (s *Server) notice(kind, reason, ip, identity string, n uint64) {
	s.webhook.add(noticeKey{kind, reason, ip, truncateUTF8(identity, maxLoggedPath)}, n)
}
