package stream

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// AllowHosts returns a rule for Config.AllowHost: which hosts requests to an
// address may name. On a loopback address these are loopback addresses,
// elsewhere all addresses, and in any case localhost, which no resolver of a
// browser gives to anybody else, and names; "*" stands for all. A page
// whose own name resolves to this machine (DNS rebinding) names another one.
func AllowHosts(listen string, names ...string) func(host string) bool {
	loopback := isLoopback(hostOf(listen))
	return func(host string) bool {
		if slices.ContainsFunc(names, func(name string) bool { return name == "*" || strings.EqualFold(name, host) }) {
			return true
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			return ip.Unmap().IsLoopback() || !loopback
		}
		return strings.EqualFold(host, "localhost")
	}
}

// ParseProxies reads addresses and networks, "10.0.0.0/8", for
// Config.TrustedProxies.
func ParseProxies(list []string) (proxies []netip.Prefix, err error) {
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, failed := netip.ParseAddr(text)
			if failed != nil {
				return nil, fmt.Errorf("stream: %q is neither an address nor a network like 10.0.0.0/8", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

// A sender is where a request came from and what it was sent to, as the nearest
// proxy that is trusted has it, or the network.
type sender struct {
	ip     string
	scheme string
	host   string // as in the header Host
}

// sender reads the headers X-Forwarded-For, -Proto and -Host, or Forwarded
// (RFC 7239), of a request that a trusted proxy sent. Each proxy adds the address that
// it got the request from at the end, so the list is read backward, as long as
// what is there is a trusted proxy: what comes before that the client made up.
func (s *Server) sender(r *http.Request) sender {
	from := sender{ip: hostOf(r.RemoteAddr), scheme: "http", host: r.Host}
	if r.TLS != nil {
		from.scheme = "https"
	}
	hops := s.forwarded(r.Header)
	for i := len(hops) - 1; i >= 0 && s.trusts(from.ip); i-- {
		hop := hops[i]
		if hop.ip == "" {
			return from
		}
		from.ip = hop.ip
		if hop.scheme == "http" || hop.scheme == "https" {
			from.scheme = hop.scheme
		}
		if hop.host != "" {
			from.host = hop.host
		}
	}
	return from
}

func (s *Server) trusts(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && slices.ContainsFunc(s.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr.Unmap().WithZone("")) })
}

// forwarded returns what proxies say, the nearest one last. It reads the headers
// that the configuration names and no others: a proxy passes on those that it
// does not know, as the client has made them up.
func (s *Server) forwarded(header http.Header) (hops []sender) {
	if s.config.ForwardedHeader {
		for _, element := range elements(header, "Forwarded") {
			hops = append(hops, parseForwarded(element))
		}
		return hops
	}
	list, protos, hosts := elements(header, "X-Forwarded-For"), elements(header, "X-Forwarded-Proto"), elements(header, "X-Forwarded-Host")
	for i, text := range list {
		hop := sender{ip: nodeIP(text)}
		hop.scheme = strings.ToLower(aligned(protos, i-len(list)))
		hop.host = aligned(hosts, i-len(list))
		hops = append(hops, hop)
	}
	return hops
}

// aligned returns the element that is as far from the end as i is below 0; a
// list of one is for all.
func aligned(list []string, i int) string {
	switch {
	case len(list) == 1:
		return list[0]
	case len(list)+i >= 0 && len(list) > 0:
		return list[len(list)+i]
	}
	return ""
}

func elements(header http.Header, name string) (list []string) {
	for _, line := range header.Values(name) {
		for _, element := range strings.Split(line, ",") {
			list = append(list, strings.TrimSpace(element))
		}
	}
	return list
}

// parseForwarded reads for=…;proto=…;host=….
func parseForwarded(element string) (hop sender) {
	for _, pair := range strings.Split(element, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(key) {
		case "for":
			hop.ip = nodeIP(value)
		case "proto":
			hop.scheme = strings.ToLower(value)
		case "host":
			hop.host = value
		}
	}
	return hop
}

// nodeIP returns the address of a node, "192.0.2.1", "192.0.2.1:80" or
// "[2001:db8::1]:80", or "" if it hides.
func nodeIP(node string) string {
	if addr, err := netip.ParseAddrPort(node); err == nil {
		return addr.Addr().Unmap().String()
	}
	if addr, err := netip.ParseAddr(strings.Trim(node, "[]")); err == nil {
		return addr.Unmap().String()
	}
	return ""
}

// hostName returns the host without the port, a final dot and brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}

// checkHost refuses a request that names a host which is not ours.
func (s *Server) checkHost(host string) *refusal {
	name := hostName(host)
	if name == "" || s.config.AllowHost == nil || s.config.AllowHost(name) { // browsers always name one
		return nil
	}
	return &refusal{http.StatusMisdirectedRequest, fmt.Sprintf("the host %q is not allowed: add it with --allowed-host, or Config.AllowHost", truncateUTF8(name, 64))}
}

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
		w.Header().Set("Vary", "Origin")
	}
}

// isPreflight tells whether a browser asks if a page may send a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// servePreflight answers a browser that asks.
func (s *Server) servePreflight(w http.ResponseWriter, r *http.Request, v *visit) {
	if refused := v.checkOrigin(r); refused != nil {
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
