package stream

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/harkbus/pubsub/internal/wire"
)

// ServeHTTP routes a request by the end of its path; what comes before, the
// prefix under which a proxy has the server, does not matter:
//
//	header "pubsub"      a topic, at any path
//	…/websocket          JSON-RPC over WebSocket
//	…/ …/v1              JSON-RPC over POST
//	…/status …/health    the same, over GET
//	…/events             Server-Sent Events
//	…/publish            publications over POST
//	…/presence           who is subscribed; see Config.Presence
//	…/livez …/readyz     is it alive, does it take connections
//	/metrics /v1/stats … for administrators; see Admin
//
// Anything else is answered with 400, as a topic without a role.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isPreflight(r) {
		s.guarded(s.servePreflight)(w, r)
		return
	}
	if len(r.Header[http.CanonicalHeaderKey(RoleHeader)]) > 0 {
		s.ServeTopic(w, r)
		return
	}
	if handle, ok := s.routes[lastSegment(r.URL.Path)]; ok {
		handle(w, r)
		return
	}
	if _, pattern := s.admin.Handler(r); pattern != "" {
		s.visited(s.serveAdmin)(w, r)
		return
	}
	s.guarded(func(w http.ResponseWriter, r *http.Request, v *visit) {
		s.refuseTopic(w, r, v, fmt.Errorf("nothing is served at this path without the header %q", RoleHeader))
	})(w, r)
}

// lastSegment returns what is behind the last slash, but for one at the end of
// …/v1/.
func lastSegment(path string) string {
	path = strings.TrimSuffix(path, "v1/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

func (s *Server) newRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"":          s.ServeRPC,
		"v1":        s.ServeRPC,
		"websocket": s.ServeWebSocket,
		"status":    s.serveGet("status"),
		"health":    s.serveGet("health"),
		"events":    s.ServeEvents,
		"publish":   s.ServePublish,
		"presence":  s.visited(s.servePresence),
		"livez":     s.guarded(s.serveLive),
		"readyz":    s.guarded(s.serveReady),
	}
}

// serveLive answers that the process is there.
func (s *Server) serveLive(w http.ResponseWriter, _ *http.Request, _ *visit) {
	_, _ = w.Write([]byte("ok\n"))
}

// serveReady answers whether connections are taken, the bus runs, and
// Config.Ready agrees.
func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request, _ *visit) {
	switch {
	case s.draining.Err() != nil:
		http.Error(w, wire.Draining, http.StatusServiceUnavailable)
	case !s.bus.IsRunning():
		http.Error(w, "the bus does not run", http.StatusServiceUnavailable)
	default:
		if err := s.config.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	}
}
