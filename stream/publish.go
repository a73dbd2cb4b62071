package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/wire"
)

// A submission is what POST /publish takes, and a client.Publication sends.
type submission struct {
	Topic  string          `json:"topic,omitempty"` // a path; published as the events "topic" and "publisher"
	Data   json.RawMessage `json:"data"`
	Events events          `json:"events"`
}

// events are those of a publication. In JSON a value may stand alone
// where there is one: {"a.b": "x"} for {"a.b": ["x"]}.
type events map[string][]string

// UnmarshalJSON implements json.Unmarshaler.
func (e *events) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return fmt.Errorf("events must be an object: %w", err)
	}
	*e = make(events, len(fields))
	for key, raw := range fields {
		var one string
		if json.Unmarshal(raw, &one) == nil && raw[0] == '"' {
			(*e)[key] = []string{one}
			continue
		}
		var many []string
		if err := json.Unmarshal(raw, &many); err != nil {
			return fmt.Errorf("event %q must be a string or a list of strings: %w", truncateUTF8(key, 64), err)
		}
		(*e)[key] = many
	}
	return nil
}

// published is the answer to a POST of publications.
type published struct {
	Published int    `json:"published"`
	Cursor    string `json:"cursor,omitempty"` // of the last one
	Error     string `json:"error,omitempty"`
}

// ServePublish publishes the body of a POST: application/json is one
// publication or a list of them, application/x-ndjson is one a line. A page of
// another origin cannot send either without asking first. Each publication is
// accepted by itself: on an error those before it have been published, and the
// answer says how many.
//
// With the parameter flatten each is any JSON object: it is the data, and its
// events are what package jsonevents makes of it. The parameter prefix is put in
// front of all keys, with a dot.
func (s *Server) ServePublish(w http.ResponseWriter, r *http.Request) {
	s.posted("POST publications", s.servePublish)(w, r)
}

func (s *Server) servePublish(w http.ResponseWriter, r *http.Request, v *visit) {
	waits, cancel := v.waits(r.Context())
	defer cancel()
	p := publisher{server: s, visit: v, waits: waits}
	var err error
	if p.documents, err = documentsOf(r.URL.Query(), s.config.MaxFrame); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/json":
		err = p.publishJSON(w, r)
	case "application/x-ndjson":
		err = p.publishLines(w, r)
	default:
		http.Error(w, "Content-Type must be application/json or application/x-ndjson", http.StatusUnsupportedMediaType)
		return
	}
	p.answer(w, err)
}

// A publisher publishes what one request carries.
type publisher struct {
	server    *Server
	visit     *visit
	waits     context.Context // of publishing
	documents *documents      // nil: it carries publications
	done      published
}

// errNotAllowed is wrapped by what AllowPublish refuses.
var errNotAllowed = errors.New("not allowed")

func (p *publisher) answer(w http.ResponseWriter, err error) {
	status := http.StatusOK
	if errors.Is(err, context.Canceled) && p.server.draining.Err() != nil {
		p.visit.refused(refusedDraining)
		err = &refusal{http.StatusServiceUnavailable, wire.Draining}
	}
	if err != nil {
		p.done.Error = err.Error()
		status = statusOf(err)
		p.visit.refusedInput(err)
		w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	body, err := json.Marshal(p.done)
	if err != nil {
		panic(err) // strings and a number
	}
	writeJSON(w, status, body)
}

func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return refused.status
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errNotAllowed):
		return http.StatusForbidden
	case errors.Is(err, pubsub.ErrServerStopped), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	case isTimeout(err):
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}

func (p *publisher) publishJSON(w http.ResponseWriter, r *http.Request) error {
	buf, err := p.server.readBody(w, r, p.visit)
	if err != nil {
		return err
	}
	defer buf.release()
	body := buf.b
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '[' {
		return p.publish(body)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	for i, one := range list {
		if err := p.publish(one); err != nil {
			return fmt.Errorf("publication %d: %w", i+1, err)
		}
	}
	return nil
}

func (p *publisher) publishLines(w http.ResponseWriter, r *http.Request) error {
	buf, lines := p.visit.newReadBuffer(), bufio.NewReader(r.Body)
	defer buf.release()
	limit := p.visit.limitReads(w, r)
	defer limit.end()
	err := limit.next()
	for n := 1; err == nil; n++ {
		var line []byte
		line, err = buf.readLine(lines, p.server.config.MaxFrame)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || len(bytes.TrimSpace(line)) == 0 { // which gives no time for the next
			continue
		}
		if err := p.publish(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		err = limit.next()
	}
	return fmt.Errorf("after %d publications: %w", p.done.Published, limit.reason(err))
}

// publish publishes one publication. It does not keep text.
func (p *publisher) publish(text []byte) error {
	one, err := p.submission(text)
	if err != nil {
		return err
	}
	topics, err := one.topics()
	if err != nil {
		return err
	}
	if err := p.allowed(one, topics); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.waits, p.server.config.PublishTimeout)
	defer cancel()
	if err := p.toTopics(ctx, one, topics); err != nil {
		return err
	}
	if p.server.draining.Err() != nil { // waits may end a little later
		return context.Canceled
	}
	sequence, err := p.server.bus.PublishWithArgs(ctx, pubsub.PublishArgs{Data: one.Data, Events: one.Events})
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if t := p.server.topics.find(topic); t != nil {
			t.published(sequence, len(one.Data))
		}
	}
	p.done.Published++
	p.done.Cursor = p.server.config.History.Cursor(sequence).String()
	return nil
}

// submission reads one publication. It does not keep text.
func (p *publisher) submission(text []byte) (*submission, error) {
	if p.documents != nil {
		return p.documents.submission(text)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("no publication: it is not UTF-8")
	}
	var one submission
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&one); err != nil {
		return nil, fmt.Errorf("no publication: %s", brief(err))
	}
	if dec.InputOffset() < int64(len(bytes.TrimRight(text, " \t\r\n"))) {
		return nil, errors.New("no publication: there is something after it")
	}
	if one.Data == nil {
		one.Data = json.RawMessage("null")
	}
	return &one, nil
}

// topics returns the topics that a publication reaches: the field's, and those
// that its events name.
func (one *submission) topics() ([]string, error) {
	if one.Events[PublisherKey] != nil {
		return nil, fmt.Errorf("event %q is set by the server", PublisherKey)
	}
	for key := range one.Events {
		if key == PresenceKey || strings.HasPrefix(key, PresenceKey+".") {
			return nil, fmt.Errorf("event %q is set by the server", truncateUTF8(key, 64))
		}
	}
	named := one.Events[TopicKey]
	if one.Topic != "" {
		named = append([]string{one.Topic}, named...)
	}
	var topics []string
	for _, topic := range named {
		switch {
		case slices.Contains(topics, topic):
		case !strings.HasPrefix(topic, "/"):
			return nil, fmt.Errorf("topic %q must be a path that begins with /", truncateUTF8(topic, 64))
		case len(topics) == maxTopics:
			return nil, fmt.Errorf("a publication may be on %d topics", maxTopics)
		default:
			topics = append(topics, topic)
		}
	}
	return topics, nil
}

// maxTopics bounds the topics of a publication, each of which needs a right.
const maxTopics = 100

// allowed asks whether the client may publish to each topic, or, if there is
// none or there are other events, with the events.
func (p *publisher) allowed(one *submission, topics []string) error {
	for _, topic := range topics {
		if err := p.allow(topic, one.Events); err != nil {
			return err
		}
	}
	others := len(one.Events)
	if one.Events[TopicKey] != nil {
		others--
	}
	if len(topics) > 0 && others == 0 {
		return nil
	}
	return p.allow("", one.Events)
}

func (p *publisher) allow(topic string, events events) error {
	if err := p.waits.Err(); err != nil {
		return err
	}
	if err := p.server.config.AllowPublish(*p.visit.identity(), topic, events); err != nil {
		p.visit.refused(refusedRight)
		return fmt.Errorf("%w: %w", errNotAllowed, err)
	}
	return nil
}

// toTopics adds the events of topics, and waits for their subscribers.
func (p *publisher) toTopics(ctx context.Context, one *submission, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	if one.Events == nil {
		one.Events = events{}
	}
	one.Events[TopicKey] = topics
	one.Events[PublisherKey] = []string{p.visit.newClientID("")}
	for _, topic := range topics {
		if t := p.server.topics.find(topic); t != nil {
			if err := t.await(ctx, len(one.Data)); err != nil {
				return err
			}
		}
	}
	return nil
}
