package stream

import (
	"errors"
	"net/http"
	"sync/atomic"
)

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
