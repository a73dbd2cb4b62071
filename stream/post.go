package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/harkbus/pubsub/internal/wire"
)

// ServeRPC answers JSON-RPC over POST: one request, or a batch. Subscribing
// needs a connection.
func (s *Server) ServeRPC(w http.ResponseWriter, r *http.Request) {
	s.posted("POST a JSON-RPC request, or open a WebSocket at /websocket", s.serveRPC)(w, r)
}

func (s *Server) serveRPC(w http.ResponseWriter, r *http.Request, v *visit) {
	body, err := s.readBody(w, r, v)
	if err != nil {
		refuseBody(w, v, err)
		return
	}
	defer body.release()
	waits, cancel := v.waits(r.Context())
	defer cancel()
	waits, cancel = context.WithTimeout(waits, s.config.MaxWait) // of all requests of a batch
	defer cancel()
	caller := newCaller(v, r.Context(), waits)
	defer caller.answers.release()
	writeJSON(w, http.StatusOK, caller.answer(body.b))
}

// posted is visited for what is only POSTed; hint says what.
func (s *Server) posted(hint string, f func(w http.ResponseWriter, r *http.Request, v *visit)) http.HandlerFunc {
	return s.visited(func(w http.ResponseWriter, r *http.Request, v *visit) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, hint, http.StatusMethodNotAllowed)
			return
		}
		f(w, r, v)
	})
}

// readBody reads a whole body, within the limits of size and time. The caller
// releases it.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, v *visit) (*readBuffer, error) {
	limit := v.limitReads(w, r)
	defer limit.end()
	body := v.newReadBuffer()
	err := limit.next()
	if err == nil {
		_, err = body.readAll(http.MaxBytesReader(w, r.Body, int64(s.config.MaxFrame)), false)
	}
	if err != nil {
		body.release()
		return nil, limit.reason(err)
	}
	return body, nil
}

// A readLimit bounds how long a body may take: each part of it the time that
// next gives it, and all of it ends with the token, and the drain.
type readLimit struct {
	visit   *visit
	control *http.ResponseController
	waits   context.Context
	cancel  context.CancelFunc
	stop    func() bool
	cut     chan struct{} // closed when reading has been ended
}

func (v *visit) limitReads(w http.ResponseWriter, r *http.Request) *readLimit {
	l := &readLimit{visit: v, control: http.NewResponseController(w), cut: make(chan struct{})}
	l.waits, l.cancel = v.waits(r.Context())
	l.stop = context.AfterFunc(l.waits, func() {
		defer close(l.cut)
		_ = l.control.SetReadDeadline(time.Unix(1, 0))
	})
	return l
}

// next gives the client time to send what comes next.
func (l *readLimit) next() error {
	_ = l.control.SetReadDeadline(time.Now().Add(l.visit.server.config.ReadTimeout))
	return l.waits.Err()
}

// reason returns why reading has failed with err.
func (l *readLimit) reason(err error) error {
	switch {
	case l.waits.Err() == nil:
	case l.visit.identity().expired():
		return &refusal{http.StatusUnauthorized, endExpired.reason}
	case l.visit.server.draining.Err() != nil:
		return &refusal{http.StatusServiceUnavailable, wire.Draining}
	}
	return err
}

// end leaves no deadline behind.
func (l *readLimit) end() {
	if !l.stop() {
		<-l.cut
	}
	l.cancel()
	_ = l.control.SetReadDeadline(time.Time{})
}

func refuseBody(w http.ResponseWriter, v *visit, err error) {
	v.refusedInput(err)
	w.Header().Set("Connection", "close") // the rest is not read
	var refused *refusal
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &refused):
		refused.write(w)
	case errors.As(err, &tooLarge):
		http.Error(w, fmt.Sprintf("the body is too large: it may have %d bytes", tooLarge.Limit), http.StatusRequestEntityTooLarge)
	case isTimeout(err):
		http.Error(w, "the body did not come in time", http.StatusRequestTimeout)
	default:
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
	}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// answer returns the answer to a body, nil if there is none.
func (c *caller) answer(body []byte) []byte {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '[' {
		return c.answerOne(body)
	}
	var batch []json.RawMessage
	if err := json.Unmarshal(body, &batch); err != nil {
		return appendError(nil, nil, parseError(err))
	}
	if len(batch) == 0 {
		return appendError(nil, nil, invalidRequest("the batch is empty"))
	}
	if len(batch) > c.server.config.MaxBatch {
		return appendError(nil, nil, invalidRequest("the batch has too many requests"))
	}
	var answers [][]byte
	for _, one := range batch {
		if answer := c.answerOne(one); answer != nil {
			answers = append(answers, answer)
		}
	}
	if answers == nil {
		return nil
	}
	return append(append([]byte{'['}, bytes.Join(answers, []byte{','})...), ']')
}

func (c *caller) answerOne(body []byte) []byte {
	req, fault := decodeRequest(body)
	if fault != nil {
		return appendError(nil, nil, fault)
	}
	if req.id == nil {
		return nil
	}
	c.server.requests.Add(1)
	reply, fault := c.call(&req)
	if fault != nil {
		return appendError(nil, req.id, fault)
	}
	return appendResult(nil, req.id, reply.result)
}

// serveGet answers a GET as a request for a method without parameters.
func (s *Server) serveGet(method string) http.HandlerFunc {
	return s.visited(func(w http.ResponseWriter, r *http.Request, v *visit) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		writeJSON(w, http.StatusOK, newCaller(v, r.Context(), r.Context()).answerOne([]byte(`{"id":-1,"method":"`+method+`"}`)))
	})
}
