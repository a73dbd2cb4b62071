package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// ServeRPC answers JSON-RPC over POST: one request, or a batch. Subscribing
// needs a connection.
func (s *Server) ServeRPC(w http.ResponseWriter, r *http.Request) {
	id, ok := s.identifyPost(w, r, "POST a JSON-RPC request, or open a WebSocket at /websocket")
	if !ok {
		return
	}
	body, err := s.readBody(w, r)
	if err != nil {
		refuseBody(w, err)
		return
	}
	caller := &caller{server: s, ctx: r.Context(), identity: id}
	writeJSON(w, http.StatusOK, caller.answer(body))
}

// identifyPost is identify for what is only POSTed; hint says what.
func (s *Server) identifyPost(w http.ResponseWriter, r *http.Request, hint string) (Identity, bool) {
	id, ok := s.identify(w, r)
	if ok && r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, hint, http.StatusMethodNotAllowed)
		return id, false
	}
	return id, ok
}

// readBody reads a whole body, within the limits of size and time.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	s.limitRead(w)
	return io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.config.MaxFrame)))
}

func refuseBody(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "the body cannot be read", http.StatusBadRequest)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
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
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok := s.identify(w, r)
		if !ok {
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		caller := &caller{server: s, ctx: r.Context(), identity: id}
		writeJSON(w, http.StatusOK, caller.answerOne([]byte(`{"id":-1,"method":"`+method+`"}`)))
	}
}
