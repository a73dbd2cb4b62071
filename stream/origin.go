package stream

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// allowsOrigin tells whether a page of the request's Origin may use the
// server: no Origin (no browser sent it, or a page of the server's own), the
// origin that the request was sent to, or one of the list. Origins are
// compared whole, so that neither a suffix nor another port or scheme passes.
func allowsOrigin(r *http.Request, to sender, allowed []string) bool {
	origins := r.Header["Origin"]
	switch len(origins) {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	origin := strings.ToLower(origins[0])
	if slices.Contains(allowed, "*") || slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || origin != u.Scheme+"://"+u.Host {
		return false
	}
	return u.Scheme == to.scheme && withPort(u.Host, to.scheme) == withPort(strings.ToLower(to.host), to.scheme)
}

func (v *visit) allowsOrigin(r *http.Request) bool {
	return allowsOrigin(r, v.sender, v.server.config.Origins)
}

// answerOrigin tells the browser of an allowed origin that its page may read
// the answer.
func answerOrigin(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Add("Vary", "Origin")
	}
}

// isPreflight tells whether a browser asks if a page may send a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// servePreflight answers a browser that asks.
func (s *Server) servePreflight(w http.ResponseWriter, r *http.Request, v *visit) {
	if refused := v.checkSite(r); refused != nil {
		refused.write(w)
		return
	}
	answerOrigin(w, r)
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
	w.WriteHeader(http.StatusNoContent)
}

// withPort returns host with the port that the scheme stands for.
func withPort(host, scheme string) string {
	u := url.URL{Host: host}
	if u.Port() != "" {
		return host
	}
	if scheme == "https" {
		return host + ":443"
	}
	return host + ":80"
}

func checkOrigins(origins []string) error {
	for _, origin := range origins {
		if origin == "*" {
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || !strings.EqualFold(origin, u.Scheme+"://"+u.Host) {
			return fmt.Errorf("stream: Config.Origins has %q: write scheme://host or scheme://host:port, without a path", origin)
		}
	}
	return nil
}
