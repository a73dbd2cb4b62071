package stream

import (
	"net"
	"net/http"
	"sync"
)

// An admission counts connections and lets in as many as the limits allow.
type admission struct {
	total, perIP, perIdentity int // 0: no limit

	mu         sync.Mutex
	n          int
	closed     bool
	ips        map[string]int
	identities map[string]int
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

// enter counts a connection.
func (a *admission) enter(ip, identity string) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return &refusal{http.StatusServiceUnavailable, "the server is shutting down"}
	case a.total > 0 && a.n >= a.total:
		return &refusal{http.StatusServiceUnavailable, "too many connections"}
	case a.perIP > 0 && a.ips[ip] >= a.perIP:
		return &refusal{http.StatusTooManyRequests, "too many connections from your address"}
	case a.perIdentity > 0 && identity != "" && a.identities[identity] >= a.perIdentity:
		return &refusal{http.StatusTooManyRequests, "too many connections of yours"}
	}
	if a.ips == nil {
		a.ips, a.identities = map[string]int{}, map[string]int{}
	}
	a.n++
	a.ips[ip]++
	if identity != "" {
		a.identities[identity]++
	}
	return nil
}

// leave takes back enter.
func (a *admission) leave(ip, identity string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n--
	countDown(a.ips, ip)
	if identity != "" {
		countDown(a.identities, identity)
	}
}

func countDown(counts map[string]int, key string) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// close lets nobody in any more.
func (a *admission) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
}

func (a *admission) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

func (a *admission) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
