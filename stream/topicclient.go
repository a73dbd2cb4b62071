package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// Headers of a request to a topic.
const (
	RoleHeader = "pubsub"             // RolePublisher or RoleSubscriber
	NameHeader = "pubsub-client-name" // optional
)

// Roles at a topic.
const (
	RolePublisher  = "publisher"
	RoleSubscriber = "subscriber"
)

// maxClientName bounds the name that a client gives itself, in bytes.
const maxClientName = 128

// A topicClient is one connection to a topic.
type topicClient struct {
	*socket
	topic    *topic
	clientID string
}

// ServeTopic upgrades a request to a topic, which its path names.
func (s *Server) ServeTopic(w http.ResponseWriter, r *http.Request) {
	role, name := r.Header.Get(RoleHeader), r.Header.Get(NameHeader)
	if err := checkRole(role, name); err != nil {
		s.refuseTopic(w, r, err)
		return
	}
	id, leave, ok := s.admit(w, r)
	if !ok {
		return
	}
	clientID := newClientID(name)
	client := &topicClient{clientID: clientID}
	path := r.URL.EscapedPath()
	var err error
	if role == RolePublisher {
		err = s.servePublisher(client, w, r, id, path, leave)
	} else {
		err = s.serveSubscriber(client, w, r, id, path, leave)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		leave()
		refused.write(w)
	} else if err != nil {
		leave()
		s.tellEvent(clientID, path, EventWebsocketUpgradeFailed)
	}
}

// refuseTopic answers a request that no route takes.
func (s *Server) refuseTopic(w http.ResponseWriter, r *http.Request, err error) {
	s.tellEvent(newClientID(""), r.URL.EscapedPath(), EventBadHTTPHeaders)
	http.Error(w, err.Error(), http.StatusBadRequest)
}

func checkRole(role, name string) error {
	if role != RolePublisher && role != RoleSubscriber {
		return fmt.Errorf("header %q must be %q or %q", RoleHeader, RolePublisher, RoleSubscriber)
	}
	if len(name) > maxClientName {
		return fmt.Errorf("header %q is longer than %d bytes", NameHeader, maxClientName)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("header %q has a character that cannot be printed", NameHeader)
		}
	}
	return nil
}

// newClientID returns name and a random UUID (RFC 9562, version 4).
func newClientID(name string) string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	if name == "" {
		return id
	}
	return name + "-" + id
}

// tellEvent offers an event to whoever watches the topics.
func (s *Server) tellEvent(clientID, topic string, what EventType) {
	if s.topicOptions.Events == nil {
		return
	}
	select {
	case s.topicOptions.Events <- Event{clientID, topic, what}:
	default:
		s.eventsDropped.Add(1)
	}
}

func (s *Server) servePublisher(c *topicClient, w http.ResponseWriter, r *http.Request, id Identity, path string, leave func()) error {
	if err := s.config.AllowPublish(id, path, nil); err != nil {
		return &refusal{http.StatusForbidden, "publishing is not allowed: " + err.Error()}
	}
	sock, err := s.upgrade(&s.topicUpgrader, s.topicOptions.timing(false), w, r, id)
	if err != nil {
		return err
	}
	c.socket, c.topic = sock, s.topics.join(path)
	s.tellEvent(c.clientID, path, EventPublisherJoined)
	s.start(c, sock, c.publish, func() {
		s.topics.leave(c.topic)
		s.tellEvent(c.clientID, path, EventPublisherLeft)
		leave()
	})
	return nil
}

// publish puts a message of a publisher on the bus, once the subscribers have
// room for it.
func (c *topicClient) publish(kind int, payload []byte) error {
	if err := c.topic.await(c.ctx); err != nil {
		return err
	}
	m := TopicMessage{Binary: kind == websocket.BinaryMessage, Payload: append([]byte(nil), payload...)}
	return c.server.bus.PublishWithEvents(c.ctx, m, map[string][]string{TopicKey: {c.topic.name}, PublisherKey: {c.clientID}})
}

// shutdown implements connection.
func (c *topicClient) shutdown(code int, reason string) {
	c.stopReading()
	c.closeNow(code, reason)
}

// A topicSubscriber sends what is published on a topic.
type topicSubscriber struct {
	topicClient
	bus   *pubsub.Subscription
	share int           // messages that may wait in the buffer before publishers do
	done  chan struct{} // closed when the pump is over
}

// maxSlack bounds the room for publishers of a topic that have passed await
// and not yet published.
const maxSlack = 4096

func (s *Server) serveSubscriber(c *topicClient, w http.ResponseWriter, r *http.Request, id Identity, path string, leave func()) error {
	narrow, err := s.topicQuery(r, id, path)
	if err != nil {
		return &refusal{http.StatusBadRequest, err.Error()}
	}
	share := s.topicOptions.messageBuffer()
	bus, err := s.bus.SubscribeWithArgs(r.Context(), pubsub.SubscribeArgs{
		ClientID: c.clientID,
		Query:    narrow,
		Capacity: share + creditStep + min(s.config.MaxConnections, maxSlack),
	})
	if err != nil {
		return &refusal{http.StatusServiceUnavailable, err.Error()}
	}
	sock, err := s.upgrade(&s.topicUpgrader, s.topicOptions.timing(true), w, r, id)
	if err != nil {
		_ = s.bus.UnsubscribeID(context.Background(), bus.ID())
		return err
	}
	c.socket, c.topic = sock, s.topics.join(path)
	sub := &topicSubscriber{topicClient: *c, bus: bus, share: share, done: make(chan struct{})}
	sock.w.farewell = func() ([]frame, []byte) {
		return nil, closePayload(closeTryAgainLater, "the subscriber does not read")
	}
	c.topic.add(sub)
	s.tellEvent(c.clientID, path, EventSubscriberJoined)
	sock.spawn(sub.pump)
	s.start(sub, sock, sub.ignore, func() {
		c.topic.remove(sub)
		s.topics.leave(c.topic)
		s.tellEvent(c.clientID, path, EventSubscriberLeft)
		leave()
	})
	return nil
}

// topicQuery returns what a subscriber of a topic gets: the topic, narrowed by
// ?query= and by what the identity may see.
func (s *Server) topicQuery(r *http.Request, id Identity, path string) (*query.Query, error) {
	q, err := topicQuery(path)
	if err != nil {
		return nil, fmt.Errorf("the path is no topic: %w", err)
	}
	if text := r.URL.Query().Get("query"); text != "" {
		if len(text) > s.config.MaxQuery {
			return nil, errors.New("maximum query length exceeded")
		}
		more, err := query.New(text)
		if err != nil {
			return nil, fmt.Errorf("failed to parse query: %w", err)
		}
		q = query.And(q, more)
	}
	return s.narrow(id, q)
}

// pump sends until the subscription or the connection ends.
func (s *topicSubscriber) pump() {
	defer close(s.done)
	err := s.follow()
	_ = s.server.bus.UnsubscribeID(context.Background(), s.bus.ID())
	switch {
	case s.ctx.Err() != nil:
	case errors.Is(err, pubsub.ErrOutOfCapacity):
		s.closeNow(closeTryAgainLater, "the subscriber is too slow")
	case errors.Is(err, pubsub.ErrServerStopped):
		s.closeNow(closeServiceRestart, drainReason)
	}
}

func (s *topicSubscriber) follow() error {
	for {
		m, err := s.bus.Next(s.ctx)
		if err != nil {
			return err
		}
		s.topic.caughtUp()
		if err := s.w.send(s.frame(m), s); err != nil {
			return err
		}
	}
}

// fill implements source.
func (s *topicSubscriber) fill(b *batch) {
	for n := s.bus.Len(); n > 0 && b.open(); n-- {
		m, err := s.bus.Next(s.ctx)
		if err != nil {
			return
		}
		b.add(s.frame(m))
	}
	s.topic.caughtUp()
}

// frame returns the message as its publisher sent it, or, if it does not come
// from one, the data in JSON.
func (s *topicSubscriber) frame(m pubsub.Message) frame {
	switch d := m.Data().(type) {
	case TopicMessage:
		if d.Binary {
			return frame{opcode: opBinary, tail: d.Payload}
		}
		return textFrame(d.Payload)
	case []byte:
		return textFrame(d)
	case string:
		return textFrame([]byte(d))
	}
	if d, ok := m.Data().(json.RawMessage); ok {
		return textFrame(d)
	}
	data, err := appendData(nil, s.server.config.Encoder, m.Data())
	if err != nil {
		s.server.encodingFailed(m, err)
	}
	return frame{opcode: opText, tail: data}
}

// textFrame sends text as text and other bytes as binary.
func textFrame(payload []byte) frame {
	if utf8.Valid(payload) {
		return frame{opcode: opText, tail: payload}
	}
	return frame{opcode: opBinary, tail: payload}
}

// shutdown implements connection: what is in the buffer is sent first.
func (s *topicSubscriber) shutdown(code int, reason string) {
	s.stopReading()
	_ = s.server.bus.UnsubscribeID(context.Background(), s.bus.ID())
	<-s.done // the pump ends, now that nothing comes
	s.closeNow(code, reason)
}

// ignore is what a subscriber's messages are for.
func (s *topicSubscriber) ignore(int, []byte) error { return nil }
