package stream

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

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

func (r *refusal) write(w http.ResponseWriter) {
	if r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, r.text, r.status)
}
