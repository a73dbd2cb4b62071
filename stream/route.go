package stream

import (
	"fmt"
	"net/http"
	"strings"
)

// ServeHTTP routes a request:
//
//	header "pubsub"      topic, at any path
//	…/websocket          JSON-RPC over WebSocket
//	/ /v1                JSON-RPC over POST
//	/status /health      the same, over GET
//	/events              Server-Sent Events
//	/publish             publications over POST
//	/livez /readyz       is it there, does it take connections
//	/v1/stats …          for admins; see Admin
//
// Anything else is answered with 400, as a topic without a role.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case len(r.Header[http.CanonicalHeaderKey(RoleHeader)]) > 0:
		s.ServeTopic(w, r)
	case strings.HasSuffix(r.URL.Path, "/websocket"):
		s.ServeWebSocket(w, r)
	default:
		s.refuseTopic(w, r, fmt.Errorf("nothing is served at this path without the header %q", RoleHeader))
	}
}
