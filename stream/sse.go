package stream

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// An eventStream is one client of Server-Sent Events.
type eventStream struct {
	feed
	query   string
	prefix  []byte
	out     http.ResponseWriter
	control *http.ResponseController
	cancel  context.CancelFunc
	buf     []byte
}

// ServeEvents sends what matches ?query= as Server-Sent Events:
//
//	id: the cursor
//	data: {"query":…,"data":…,"events":…}
//
// With a Last-Event-ID, or ?after=, it resumes there. What is missing comes as
// "event: gap", with a Gap as data. The last event is "event: end", with
// {"reason":…} as data.
func (s *Server) ServeEvents(w http.ResponseWriter, r *http.Request) {
	id, leave, ok := s.admit(w, r)
	if !ok {
		return
	}
	defer leave()
	stream, err := s.newEventStream(w, r, id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer stream.cancel()
	if !s.clientEnters() {
		http.Error(w, "max_subscription_clients "+strconv.Itoa(s.config.MaxClients)+" reached", http.StatusServiceUnavailable)
		return
	}
	defer s.clients.Add(-1)
	s.add(stream)
	defer s.remove(stream)
	if at := id.Expires; !at.IsZero() {
		defer time.AfterFunc(time.Until(at), func() { stream.end("the token has expired") }).Stop()
	}
	stream.serve()
}

func (s *Server) newEventStream(w http.ResponseWriter, r *http.Request, id Identity) (*eventStream, error) {
	values := r.URL.Query()
	stream := &eventStream{query: values.Get("query"), out: w, control: http.NewResponseController(w)}
	compiled, err := s.compile(id, stream.query)
	if err != nil {
		return nil, err
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = values.Get("after")
	}
	stream.feed.server, stream.narrow, stream.client = s, compiled.narrow, s.nextID("sse")
	stream.overflow = Overflow(values.Get("overflow"))
	if stream.overflow == "" {
		stream.overflow = s.config.Overflow
	}
	if _, err := stream.overflow.bus(); err != nil {
		return nil, err
	}
	if after != "" {
		stream.resume = true
		if stream.at, err = resumePoint(after, s.config.History); err != nil {
			return nil, err
		}
	}
	stream.prefix = append(appendString([]byte(`data: {"query":`), stream.query), ',')
	stream.ctx, stream.cancel = context.WithCancel(r.Context())
	context.AfterFunc(s.ctx, stream.cancel)
	return stream, nil
}

// serve writes until the client leaves or the server ends the stream.
func (s *eventStream) serve() {
	if err := s.begin(); err != nil {
		http.Error(s.out, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.leaveBus()
	header := s.out.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // for nginx, which would hold events back
	s.out.WriteHeader(http.StatusOK)
	err := s.flush()
	if err == nil {
		err = s.replay(s.emit)
	}
	if err == nil {
		err = s.follow()
	}
	if s.ctx.Err() == nil {
		s.sayEnd(err)
	}
}

// follow sends what the bus delivers, and a comment when there is nothing, so
// that proxies keep the connection and a client that has gone is noticed.
func (s *eventStream) follow() error {
	live := s.live.Load()
	for {
		if live.Len() == 0 || len(s.buf) >= batchSize {
			if err := s.flush(); err != nil {
				return err
			}
		}
		m, err := s.nextOrPing(live)
		if err != nil {
			return err
		}
		if gap, ok := s.dropGap(live); ok {
			s.appendGap(gap, s.at)
		}
		s.appendMessage(m)
	}
}

func (s *eventStream) nextOrPing(live *pubsub.Subscription) (pubsub.Message, error) {
	for {
		ctx, cancel := context.WithTimeout(s.ctx, s.server.config.PingInterval)
		m, err := live.Next(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || s.ctx.Err() != nil {
			return m, err
		}
		s.buf = append(s.buf, ":\n\n"...)
		if err := s.flush(); err != nil {
			return m, err
		}
	}
}

// emit sends an entry of the history.
func (s *eventStream) emit(entry history.Entry) error {
	if entry.Gap != nil {
		s.appendGap(*entry.Gap, entry.Cursor)
		return s.flush()
	}
	s.appendMessage(entry.Message)
	if len(s.buf) < batchSize {
		return nil
	}
	return s.flush()
}

func (s *eventStream) appendMessage(m pubsub.Message) {
	e := &s.server.encodings
	result, _ := e.encode(e.of(m), plain)
	s.at = e.cursor(m.Sequence())
	s.buf = append(s.at.Append(append(s.buf, "id: "...)), '\n')
	s.buf = append(append(s.buf, s.prefix...), result[:len(result)-1]...) // without the brace of the response
	s.buf = append(s.buf, "\n\n"...)
}

func (s *eventStream) appendGap(gap history.Gap, at history.Cursor) {
	data, err := json.Marshal(gap)
	if err != nil {
		panic(err) // a Gap is always encoded
	}
	s.buf = append(at.Append(append(s.buf, "event: gap\nid: "...)), "\ndata: "...)
	s.buf = append(append(s.buf, data...), "\n\n"...)
}

func (s *eventStream) sayEnd(err error) {
	reason := s.reason.Load()
	if reason == nil {
		text := err.Error()
		reason = &text
	}
	s.buf = appendString(append(s.buf, "event: end\ndata: {\"reason\":"...), *reason)
	s.buf = append(s.buf, "}\n\n"...)
	_ = s.flush()
}

// flush writes what there is.
func (s *eventStream) flush() error {
	err := s.control.SetWriteDeadline(time.Now().Add(s.server.config.WriteTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.out.Write(s.buf); err != nil {
		return err
	}
	s.buf = s.buf[:0]
	return s.control.Flush()
}

// shutdown implements connection.
func (s *eventStream) shutdown(_ int, reason string) { s.end(reason) }

// kill implements connection.
func (s *eventStream) kill() {
	s.cancel()
	_ = s.control.SetWriteDeadline(time.Now())
}
