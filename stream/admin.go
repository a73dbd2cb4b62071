package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// Admin returns what administrators get, for a listener of its own; ServeHTTP
// offers the same to identities that are Admin.
//
//	GET    /v1/stats                  {"stream": Stats, "bus": totals}
//	GET    /v1/subscriptions          [SubscriptionStats …], slowest first
//	DELETE /v1/subscriptions/ID       end one; ?reason= is what its client is told
//	GET    /v1/check?query=           is it a query, and if not, why
//	POST   /v1/explain                {"query", "events"}: why it matches or does not
//	GET    /metrics                   what SetMetrics was given
//
// It asks for no identity, but host and origin must be allowed, since the pages
// that an administrator's browser shows reach a loopback listener, too.
func (s *Server) Admin() http.Handler {
	return s.guarded(func(w http.ResponseWriter, r *http.Request, v *visit) {
		request, refused := s.quotas.adminRequests.hold(v.ip, "", 1)
		if refused == nil {
			v.holds = append(v.holds, request)
			refused = v.checkOrigin(r)
		}
		if refused != nil {
			refused.write(w)
			return
		}
		s.admin.ServeHTTP(w, r)
	})
}

func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request, v *visit) {
	if !v.identity().Admin {
		v.refused(refusedRight)
		http.Error(w, "for administrators only", http.StatusForbidden)
		return
	}
	s.admin.ServeHTTP(w, r)
}

func (s *Server) newAdmin() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/stats", s.serveStats)
	mux.HandleFunc("GET /v1/subscriptions", s.serveSubscriptions)
	mux.HandleFunc("DELETE /v1/subscriptions/{id}", s.serveEndSubscription)
	mux.HandleFunc("GET /v1/check", s.serveCheck)
	mux.HandleFunc("POST /v1/explain", s.serveExplain)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) { s.metrics().ServeHTTP(w, r) })
	return mux
}

// SetMetrics says what answers GET /metrics. It is no field of Config because
// collectors need the server that they collect from.
func (s *Server) SetMetrics(h http.Handler) { s.scraped.Store(&h) }

func (s *Server) metrics() http.Handler {
	if h := s.scraped.Load(); h != nil {
		return *h
	}
	return http.NotFoundHandler()
}

// answerJSON answers with v in JSON.
func answerJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// busTotals are the totals of the bus.
type busTotals struct {
	Sequence    uint64  `json:"sequence"`
	Published   uint64  `json:"published"`
	Matched     uint64  `json:"matched"`
	Delivered   uint64  `json:"delivered"`
	Dropped     uint64  `json:"dropped"`
	Cut         uint64  `json:"cut"`
	OverBudget  uint64  `json:"over_budget"`
	PublishRate float64 `json:"publish_rate"`
	MatchRate   float64 `json:"match_rate"`
	Clients     int     `json:"clients"`
	Queued      int     `json:"queued"`
}

func (s *Server) serveStats(w http.ResponseWriter, _ *http.Request) {
	b := s.bus.Stats()
	answerJSON(w, map[string]any{
		"stream": s.Stats(),
		"bus": busTotals{
			Sequence: b.Sequence, Published: b.Published, Matched: b.Matched, Delivered: b.Delivered, Dropped: b.Dropped, Cut: b.Cut, OverBudget: b.OverBudget,
			PublishRate: b.PublishRate, MatchRate: b.MatchRate, Clients: b.Clients, Queued: b.Queued,
		},
	})
}

func (s *Server) serveSubscriptions(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, append([]SubscriptionStats{}, s.Subscriptions()...))
}

func (s *Server) serveEndSubscription(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "the id must be a number", http.StatusBadRequest)
		return
	}
	reason := truncateUTF8(r.URL.Query().Get("reason"), 100)
	if reason == "" {
		reason = "ended by an administrator"
	}
	switch err := s.EndSubscription(id, reason); {
	case errors.Is(err, pubsub.ErrSubscriptionNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// checked is the answer to a check of a query.
type checked struct {
	OK        bool     `json:"ok"`
	Canonical string   `json:"canonical,omitempty"`
	Error     string   `json:"error,omitempty"`
	Offset    int      `json:"offset,omitempty"` // bytes
	Expected  []string `json:"expected,omitempty"`
	Picture   string   `json:"picture,omitempty"` // two lines, with a caret
}

func (s *Server) check(text string) (*query.Query, checked) {
	q, err := s.limits().New(text)
	if err == nil {
		return q, checked{OK: true, Canonical: q.String()}
	}
	answer := checked{Error: err.Error()}
	var syntax *query.SyntaxError
	if errors.As(err, &syntax) {
		answer.Offset, answer.Expected, answer.Picture = syntax.Offset, syntax.Expected, syntax.Picture()
	}
	return nil, answer
}

func (s *Server) serveCheck(w http.ResponseWriter, r *http.Request) {
	_, answer := s.check(r.URL.Query().Get("query"))
	answerJSON(w, answer)
}

// explained is the answer to why a query matches.
type explained struct {
	Matched    bool                 `json:"matched"`
	Conditions []explainedCondition `json:"conditions"`
}

type explainedCondition struct {
	Text   string   `json:"text"`
	Holds  bool     `json:"holds"`
	Looked bool     `json:"looked"` // it had to be looked at
	Values []string `json:"values"` // that satisfy it
}

func (s *Server) serveExplain(w http.ResponseWriter, r *http.Request) {
	v := s.newVisit(r)
	if g, ok := w.(*guardedWriter); ok {
		v = g.visit // who asks is known
	}
	body, err := s.readBody(w, r, v)
	if err != nil {
		refuseBody(w, v, err)
		return
	}
	defer body.release()
	var asked struct {
		Query  string `json:"query"`
		Events events `json:"events"`
	}
	if err := json.Unmarshal(body.b, &asked); err != nil {
		http.Error(w, brief(err), http.StatusBadRequest)
		return
	}
	if len(asked.Query) > s.config.MaxQuery {
		http.Error(w, v.refusedFor(errQueryTooLong).Error(), http.StatusBadRequest)
		return
	}
	q, answer := s.check(asked.Query)
	if !answer.OK {
		answerJSON(w, answer)
		return
	}
	held := newCaller(v, r.Context(), r.Context()).answers
	defer held.release()
	if refused := held.more(explainBytes(asked.Query, asked.Events)); refused != nil {
		refused.write(w)
		return
	}
	e, err := s.explain(v, r, q, asked.Events)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	result, size := explained{Matched: e.Matched, Conditions: []explainedCondition{}}, 0
	for _, c := range e.Conditions {
		for _, value := range c.Values {
			size += len(value) + len(`"",`)
		}
		result.Conditions = append(result.Conditions, explainedCondition{c.String(), c.Holds, c.Looked, append([]string{}, c.Values...)})
	}
	if size > s.config.MaxAnswer {
		http.Error(w, fmt.Sprintf("the answer is too large: it may have %d bytes", s.config.MaxAnswer), http.StatusRequestEntityTooLarge)
		return
	}
	if refused := held.more(int64(size)); refused != nil {
		refused.write(w)
		return
	}
	answerJSON(w, result)
}

// explainBytes returns about how much an explanation may take before it is
// written: each condition, which has more than four bytes, may have each value.
func explainBytes(text string, events events) int64 {
	values := 0
	for _, list := range events {
		values += len(list)
	}
	const value = 16 // without its text, which is that of the events
	return int64(len(text)/4+1) * int64(values) * value
}

// explain explains within the steps of a request, and waits for its turn no
// longer than a request may.
func (s *Server) explain(v *visit, r *http.Request, q *query.Query, events map[string][]string) (e match.Explanation, err error) {
	waits, cancel := v.waits(r.Context())
	defer cancel()
	waits, cancel = context.WithTimeout(waits, s.config.MaxWait)
	defer cancel()
	if steps := match.ExplainSteps(q, events); steps > s.config.ReplaySteps {
		s.expressions.ended.Add(1)
		return e, fmt.Errorf("stream: the query takes too long on these events: %d steps, of which a request may take %d", steps, s.config.ReplaySteps)
	}
	done, err := s.expressions.begin(waits)
	if err != nil {
		return e, err
	}
	defer done()
	return match.Explain(q, events), nil
}
