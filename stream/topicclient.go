package stream

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/wire"
	"github.com/harkbus/pubsub/query"
)

// Headers of a request to a topic.
const (
	RoleHeader = wire.RoleHeader // RolePublisher or RoleSubscriber
	NameHeader = wire.NameHeader // optional
)

// Roles at a topic.
const (
	RolePublisher  = wire.Publisher
	RoleSubscriber = wire.Subscriber
)

// maxClientName bounds the name that a client gives itself, in bytes.
const maxClientName = 128

// A topicClient is one connection to a topic.
type topicClient struct {
	socket
	topic    *topic
	clientID string
}

// ServeTopic upgrades a request to a topic, which its path names.
func (s *Server) ServeTopic(w http.ResponseWriter, r *http.Request) { s.guarded(s.serveTopic)(w, r) }

func (s *Server) serveTopic(w http.ResponseWriter, r *http.Request, v *visit) {
	role, name := r.Header.Get(RoleHeader), r.Header.Get(NameHeader)
	if err := checkRole(role, name); err != nil {
		s.refuseTopic(w, r, v, err)
		return
	}
	if !v.enter(w, r) || !v.connect(w) {
		return
	}
	c := &topicClient{clientID: v.newClientID(name)}
	c.connection.init(s.ctx, "topic", v)
	c.single = true
	serve := c.serveSubscriber
	if role == RolePublisher {
		serve = c.servePublisher
	}
	path := r.URL.EscapedPath()
	err := serve(w, r, path)
	if err == nil {
		return
	}
	var refused *refusal
	if errors.As(err, &refused) {
		c.abandon()
		refused.write(w)
		return
	}
	s.tellEvent(c.clientID, path, EventTypeWebsocketUpgradeFailed)
}

// refuseTopic answers a request that no route takes.
func (s *Server) refuseTopic(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	v.refused(refusedRequest)
	s.tellEvent(newClientID(""), r.URL.EscapedPath(), EventTypeBadHTTPHeaders)
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

// newClientID returns what a visitor is called. Where nobody is identified that
// begins with the name that the client gave itself:
//
//	name-UUID
//
// and else with the identity, which no name can be taken for, since that comes
// after the UUID:
//
//	identity-UUID/name
func (v *visit) newClientID(name string) string {
	if !v.server.identifies {
		return newClientID(name)
	}
	id := newClientID(v.identity().Name)
	if name != "" {
		id += "/" + name
	}
	return id
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

func (c *topicClient) servePublisher(w http.ResponseWriter, r *http.Request, path string) error {
	s := c.server
	if err := s.config.AllowPublish(*c.visit.identity(), path, nil); err != nil {
		c.visit.refused(refusedRight)
		return &refusal{http.StatusForbidden, "publishing is not allowed: " + err.Error()}
	}
	if err := c.upgradeTopic(false, w, r); err != nil {
		return err
	}
	c.topic = s.topics.join(path, s.config.QueueBytes)
	s.tellEvent(c.clientID, path, EventTypePublisherJoined)
	c.visit.kept = true
	go c.serve(c.publish, func() {
		s.topics.leave(c.topic)
		s.tellEvent(c.clientID, path, EventTypePublisherLeft)
		c.visit.end()
	})
	return nil
}

func (c *topicClient) upgradeTopic(subscriber bool, w http.ResponseWriter, r *http.Request) error {
	o := &c.server.topicOptions
	header := http.Header{MaxMessageHeader: {strconv.Itoa(o.maxMessage())}}
	return c.upgrade(&c.server.topicUpgrader, o.timing(subscriber), o.maxMessage(), w, r, header)
}

// publish puts a message of a publisher on the bus, once the subscribers have
// room for it.
func (c *topicClient) publish(kind int, payload []byte) error {
	if err := c.topic.await(c.ctx, len(payload)); err != nil {
		return err
	}
	m := TopicMessage{Binary: kind == websocket.BinaryMessage, Payload: append([]byte(nil), payload...)}
	sequence, err := c.server.bus.PublishWithArgs(c.ctx, pubsub.PublishArgs{Data: m, Events: map[string][]string{TopicKey: {c.topic.name}, PublisherKey: {c.clientID}}})
	if err == nil {
		c.topic.published(sequence, len(payload))
	}
	return err
}

// maxSlack bounds the room for publishers of a topic that have passed await
// and not yet published.
const maxSlack = 4096

func (c *topicClient) serveSubscriber(w http.ResponseWriter, r *http.Request, path string) error {
	s := c.server
	narrow, instructions, err := s.topicQuery(r, *c.visit.identity(), path)
	if c.visit.refusedFor(err) != nil {
		return &refusal{http.StatusBadRequest, err.Error()}
	}
	c.topic = s.topics.join(path, s.config.QueueBytes)
	share, read := s.topicOptions.messageBuffer(), new(atomic.Uint64)
	o, err := c.open(wanted{
		query: r.URL.Query().Get("query"), topic: path, client: c.clientID, instructions: instructions, narrow: narrow,
		overflow: OverflowCancel, capacity: share + creditStep + min(s.config.MaxConnections, maxSlack),
		framing: topicFraming{s, s.topicUpgrader.EnableCompression && offersDeflate(r.Header), read}, taken: c.topic.caughtUp,
	})
	if c.visit.refusedFor(err) != nil {
		s.topics.leave(c.topic)
		return &refusal{http.StatusServiceUnavailable, err.Error()}
	}
	if err := c.upgradeTopic(true, w, r); err != nil {
		s.topics.leave(c.topic)
		return err
	}
	sub := &topicSubscriber{live: o.live.Load(), share: share, read: read}
	read.Store(sub.live.After())
	c.w.passed.Store(sub.live.After())
	c.topic.add(sub)
	s.tellEvent(c.clientID, path, EventTypeSubscriberJoined)
	c.spawn(o.pump)
	c.visit.kept = true
	go c.serve(ignore, func() {
		c.topic.remove(sub)
		s.topics.leave(c.topic)
		s.tellEvent(c.clientID, path, EventTypeSubscriberLeft)
		c.visit.end()
	})
	return nil
}

// ignore is what a subscriber's messages are for.
func ignore(int, []byte) error { return nil }

// topicQuery returns what a subscriber of a topic gets: the topic, narrowed by
// ?query= and by what the identity may see, and the instructions of the regular
// expressions in ?query=.
func (s *Server) topicQuery(r *http.Request, id Identity, path string) (narrow *query.Query, instructions int, err error) {
	q, err := topicQuery(path)
	if err != nil {
		return nil, 0, fmt.Errorf("the path is no topic: %w", err)
	}
	if text := r.URL.Query().Get("query"); text != "" {
		if len(text) > s.config.MaxQuery {
			return nil, 0, errQueryTooLong
		}
		more, err := s.parse(text)
		if err != nil {
			return nil, 0, err
		}
		q = query.And(q, more)
	}
	narrow, err = s.narrow(id, q)
	return narrow, q.Instructions(), err
}

// topicFraming is the payload alone. It implements framing.
type topicFraming struct {
	server   *Server
	deflates bool
	read     *atomic.Uint64 // sequence of the last one
}

// result returns the message, compressed once for all who take that.
func (f topicFraming) result(m pubsub.Message, _ uint64) frame {
	f.read.Store(m.Sequence())
	whole := f.payload(m)
	if f.deflates {
		e := &f.server.encodings
		p := e.of(m)
		if packed := e.packOnce(p, &p.payload, whole.tail); packed != nil {
			return frame{opcode: whole.opcode | compressedBit, tail: packed}
		}
	}
	if _, shared := m.Data().(TopicMessage); shared {
		whole.sequence = m.Sequence()
	}
	return whole
}

// payload returns the message as its publisher sent it, or, if it does not come
// from one, the data in JSON.
func (f topicFraming) payload(m pubsub.Message) frame {
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
	case json.RawMessage:
		return textFrame(d)
	}
	data, err := appendData(nil, f.server.config.Encoder, m.Data())
	if err != nil {
		f.server.encodingFailed(m, err)
	}
	return frame{opcode: opText, tail: data}
}

func (topicFraming) gap(history.Gap, history.Cursor) (frame, bool) { return frame{}, false }
func (topicFraming) heartbeat(history.Cursor, bool) (frame, bool)  { return frame{}, false }
func (topicFraming) last(string) (frame, bool)                     { return frame{}, false }

// textFrame sends text as text and other bytes as binary.
func textFrame(payload []byte) frame {
	if utf8.Valid(payload) {
		return frame{opcode: opText, tail: payload}
	}
	return frame{opcode: opBinary, tail: payload}
}
