package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// An eventStream is one client of Server-Sent Events. It implements transport
// for its connection, and pipe for its writer.
type eventStream struct {
	connection
	out     http.ResponseWriter
	control *http.ResponseController
	zip     *gzipper // nil: the client does not ask for it
	saved   int64    // bytes, by zip
}

// ServeEvents sends what matches ?query= as Server-Sent Events:
//
//	data: {"query":…,"data":…,"events":…}
//	id: the cursor
//
// The first event has no data, only the id: a client that is cut before it got
// anything resumes there. While nothing matches the id comes again and again,
// with the place that the server is at. With a Last-Event-ID, or ?after=, the
// stream resumes there. What is missing comes as "event: gap", with a Gap as
// data. The last event is "event: end", with {"reason":…} as data.
//
// An EventSource that comes back, with Accept: text/event-stream and a
// Last-Event-ID, gives up for good on any other status than 200. Where others
// get 503 or 429 it gets a stream that ends at once, and says in retry: when to
// come again.
func (s *Server) ServeEvents(w http.ResponseWriter, r *http.Request) {
	s.guarded(func(w http.ResponseWriter, r *http.Request, v *visit) {
		if comesBack(r.Header) && v.allowsOrigin(r) {
			v.retries = true
			answerOrigin(w, r)
		}
		if v.enter(w, r) {
			s.serveEvents(w, r, v)
		}
	})(w, r)
}

// comesBack tells whether an EventSource sends a request, after a stream that
// has ended.
func comesBack(header http.Header) bool {
	return header.Get("Accept") == eventStreamType && header.Get("Last-Event-ID") != ""
}

const eventStreamType = "text/event-stream"

// writeRetry answers with a stream of no events after which an EventSource
// comes back within 2 to 5 s, not all of them at once.
func (r *refusal) writeRetry(w http.ResponseWriter) {
	setEventHeader(w.Header())
	_, _ = fmt.Fprintf(w, "retry: %d\n: %s\n\n", 2000+rand.N(3000), r.text)
}

func setEventHeader(header http.Header) {
	header.Set("Content-Type", eventStreamType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // for nginx, which would hold events back
}

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, v *visit) {
	wanted, err := s.wantedEvents(r, *v.identity())
	if v.refusedFor(err) != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.ContentLength != 0 { // the HTTP server notices that a client leaves once it has all of a body
		body, err := s.readBody(w, r, v)
		if err != nil {
			refuseBody(w, v, err)
			return
		}
		body.release()
	}
	if !v.connect(w) {
		return
	}
	if g, ok := w.(*guardedWriter); ok {
		w = g.ResponseWriter // deadlines are the writer's affair
	}
	stream := &eventStream{out: w, control: http.NewResponseController(w)}
	stream.connection.init(r.Context(), "sse", v)
	if s.config.Compress && acceptsGzip(r.Header) {
		stream.zip = &gzipper{compressors: &s.compressors}
	}
	stream.counted, stream.single, stream.transport = true, true, stream
	defer context.AfterFunc(s.ctx, stream.cancel)()
	defer stream.cancel()
	o, err := stream.open(wanted)
	if v.refusedFor(err) != nil {
		v.refuse(w, &refusal{http.StatusServiceUnavailable, err.Error()})
		return
	}
	stream.serve(o)
}

// wantedEvents reads a request.
func (s *Server) wantedEvents(r *http.Request, id Identity) (w wanted, err error) {
	values := r.URL.Query()
	w = wanted{query: values.Get("query"), overflow: Overflow(values.Get("overflow")), capacity: s.config.Buffer}
	compiled, err := s.compile(id, w.query)
	if err != nil {
		return w, err
	}
	w.key, w.instructions, w.narrow = compiled.key, compiled.instructions, compiled.narrow
	if w.overflow == "" {
		w.overflow = s.config.Overflow
	}
	if _, err := w.overflow.bus(); err != nil {
		return w, err
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = values.Get("after")
	}
	if after != "" {
		w.resume = true
		w.after, err = s.resumePoint(after)
	}
	prefix := append(appendString([]byte(`data: {"query":`), w.query), ',')
	w.framing = &eventFraming{&s.encodings, prefix}
	return w, err
}

// serve sends until the client leaves or the server ends the stream.
func (s *eventStream) serve(o *outlet) {
	header := s.out.Header()
	setEventHeader(header)
	if s.server.config.Compress {
		header.Add("Vary", "Accept-Encoding")
	}
	if s.zip != nil {
		header.Set("Content-Encoding", "gzip")
	}
	s.out.WriteHeader(http.StatusOK)
	s.visit.entry.answered(http.StatusOK)
	s.w.init(s, s.server.config.WriteTimeout, s.server.config.QueueBytes, &s.server.queued, &s.server.writes)
	s.w.bare, s.w.failed, s.w.slow = true, s.cancel, s.visit.stalled
	s.start()
	defer s.server.remove(&s.connection)
	defer func() { s.visit.entry.sent -= s.saved }()
	defer s.release()
	first, _ := o.framing.heartbeat(o.at, true)
	if s.w.send(first, nil) != nil {
		return
	}
	o.pump()
	select {
	case <-s.w.over:
		s.endZip()
	case <-s.ctx.Done():
	}
}

// endZip ends the gzip stream, of which the last event has been written.
func (s *eventStream) endZip() {
	if s.zip == nil || s.w.end() != errCloseSent {
		return
	}
	_ = s.SetWriteDeadline(time.Now().Add(s.server.config.WriteTimeout))
	end := s.zip.end()
	s.saved -= int64(len(end))
	_, _ = s.out.Write(end)
}

// Write implements pipe.
func (s *eventStream) Write(b []byte) (int, error) {
	out := b
	if s.zip != nil {
		out = s.zip.next(b)
		s.saved += int64(len(b) - len(out))
	}
	_, err := s.out.Write(out)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		return 0, err // what was buffered is lost with the connection
	}
	return len(b), nil
}

// SetWriteDeadline implements pipe.
func (s *eventStream) SetWriteDeadline(t time.Time) error {
	if err := s.control.SetWriteDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// SetReadDeadline implements pipe: the reader, which is the HTTP server's, is
// not waited for.
func (s *eventStream) SetReadDeadline(time.Time) error { return nil }

// Close implements pipe.
func (s *eventStream) Close() error {
	s.cancel()
	return nil
}

// refuse implements transport: the client sends nothing.
func (s *eventStream) refuse() {}

// goodbye implements transport. The reason has been sent as the last event.
func (s *eventStream) goodbye(ending) { s.w.finish([]byte{}) }

// cut implements transport.
func (s *eventStream) cut() {
	s.cancel()
	_ = s.control.SetWriteDeadline(time.Now())
	_ = s.control.SetReadDeadline(time.Now())
}

// eventFraming is Server-Sent Events. It implements framing.
type eventFraming struct {
	encodings *encodings
	prefix    []byte // of each result, up to the encoding
}

func (f *eventFraming) result(m pubsub.Message, _ uint64) frame {
	result, _ := f.encodings.encode(f.encodings.of(m), event)
	return frame{opcode: opBare, head: f.prefix, tail: result}
}

func (f *eventFraming) gap(g history.Gap, at history.Cursor) (frame, bool) {
	text := append(append([]byte("event: gap\ndata: "), encodeGap(g)...), "\nid: "...)
	return frame{opcode: opBare, tail: append(at.Append(text), "\n\n"...)}, true
}

// heartbeat is an id alone, which no client takes for an event. It comes also
// where nothing moved, so that proxies keep the connection, and a client that
// has gone is noticed.
func (f *eventFraming) heartbeat(at history.Cursor, _ bool) (frame, bool) {
	return frame{opcode: opBare, tail: append(at.Append([]byte("id: ")), "\n\n"...)}, true
}

func (f *eventFraming) last(reason string) (frame, bool) {
	text := appendString([]byte("event: end\ndata: {\"reason\":"), reason)
	return frame{opcode: opBare, tail: append(text, "}\n\n"...)}, true
}
