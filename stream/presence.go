package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/harkbus/pubsub/query"
)

// Keys of the events that tell who subscribes and who leaves; see Config.Presence.
const (
	PresenceKey         = "hark.presence"          // "join", "leave", or "lost": ask again who is there
	PresenceQueryKey    = "hark.presence.query"    // canonical text of what the client asked for
	PresenceTopicKey    = "hark.presence.topic"    // the topic, if that is one
	PresenceClientKey   = "hark.presence.client"   // unlike that of any other subscription
	PresenceIdentityKey = "hark.presence.identity" // if it has a name
)

// presence knows who is subscribed to what. Who subscribes or leaves is
// published by a goroutine that nobody waits for: what happens within
// presenceGather is published together, presenceBatch changes at most, and who
// has left before being mentioned is not mentioned.
type presence struct {
	server *Server
	off    bool

	mu       sync.Mutex
	last     uint64              // number of a member
	subjects map[string]*subject // by canonical query
	changes  []*member           // not yet published, oldest first
	lost     bool                // a change was, since there were too many
	running  bool                // a goroutine is in run
	closed   bool

	closing chan struct{}   // closed by close
	ctx     context.Context // of publishing
	cancel  context.CancelFunc
	task    sync.WaitGroup
}

const (
	presenceGather  = 100 * time.Millisecond
	presenceBatch   = 100
	presenceChanges = 10_000 // that wait to be published
	presenceGrace   = time.Second
)

// A subject is a query that somebody is subscribed to. Members are in the order
// of their numbers; those who have gone are removed many at a time.
type subject struct {
	members []*member
	gone    int
}

// A member is a subscription.
type member struct {
	number          uint64
	client          string
	identity        string
	since           time.Time
	subject, topic  string
	mentioned, left bool // guarded by the mu of presence
}

func (p *presence) init(s *Server) {
	p.server, p.off = s, s.config.Presence == nil
	p.subjects, p.closing = make(map[string]*subject), make(chan struct{})
	p.ctx, p.cancel = context.WithCancel(context.Background())
}

// enter adds a subscription; nil if nobody wants to know.
func (p *presence) enter(o *outlet) *member {
	if p.off {
		return nil
	}
	m := &member{client: o.client, identity: o.conn.visit.identity().Name, since: time.Now().UTC(), subject: o.key, topic: o.topic}
	if m.topic == "" {
		m.topic = topicOf(o.key)
	} else {
		m.subject = subjectOf(m.topic)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	m.number = p.last
	s := p.subjects[m.subject]
	if s == nil {
		s = new(subject)
		p.subjects[m.subject] = s
	}
	s.members = append(s.members, m)
	p.changedLocked(m)
	return m
}

// leave removes a subscription.
func (p *presence) leave(m *member) {
	if m == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m.left = true
	s := p.subjects[m.subject]
	if s.gone++; s.gone == len(s.members) {
		delete(p.subjects, m.subject)
	} else if s.gone > len(s.members)/2 {
		s.members = slices.DeleteFunc(s.members, func(m *member) bool { return m.left })
		s.gone = 0
	}
	if m.mentioned { // else it waits to be, and will not
		p.changedLocked(m)
	}
}

// changedLocked has a change published. The caller holds p.mu.
func (p *presence) changedLocked(m *member) {
	if len(p.changes) >= presenceChanges || p.closed {
		p.lost = true
		m.mentioned = true // its end is told, if there is room for that
		return
	}
	p.changes = append(p.changes, m)
	if !p.running {
		p.running = true
		p.task.Go(p.run)
	}
}

// run publishes until there is no change left.
func (p *presence) run() {
	for {
		select {
		case <-time.After(presenceGather):
		case <-p.closing:
		}
		batch := p.take()
		if batch == nil {
			return
		}
		for _, events := range batch {
			data, err := json.Marshal(presenceData(events))
			if err == nil {
				err = p.server.bus.PublishWithEvents(p.ctx, json.RawMessage(data), events)
			}
			if err != nil {
				p.server.config.logDebug("stream: presence is not published", "error", err)
			}
		}
	}
}

// presenceData returns the only value of each key, without the prefix of the keys.
func presenceData(events map[string][]string) map[string]string {
	one := make(map[string]string, len(events))
	for key, values := range events {
		name := strings.TrimPrefix(strings.TrimPrefix(key, PresenceKey), ".")
		if name == "" {
			name = "action"
		}
		one[name] = values[0]
	}
	return one
}

// take returns the events of the next changes; nil if there are none, and then
// run is over.
func (p *presence) take() (batch []map[string][]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost && len(p.changes) < presenceChanges/2 {
		p.lost = false
		batch = append(batch, map[string][]string{PresenceKey: {"lost"}})
	}
	n := min(len(p.changes), presenceBatch)
	for _, m := range p.changes[:n] {
		switch {
		case !m.mentioned && m.left:
		case !m.mentioned:
			m.mentioned = true
			batch = append(batch, m.events("join"))
		default:
			batch = append(batch, m.events("leave"))
		}
	}
	p.changes = slices.Delete(p.changes, 0, n)
	p.running = n > 0 || batch != nil
	if p.running && batch == nil {
		batch = []map[string][]string{} // all have left
	}
	return batch
}

// events are those of the publication that mentions the member.
func (m *member) events(action string) map[string][]string {
	events := map[string][]string{PresenceKey: {action}, PresenceQueryKey: {m.subject}}
	for key, value := range map[string]string{PresenceTopicKey: m.topic, PresenceClientKey: m.client, PresenceIdentityKey: m.identity} {
		if value != "" {
			events[key] = []string{value}
		}
	}
	return events
}

// close publishes what is left, until ctx is done, but has presenceGrace for it
// in any case: those who are cut at the end of a drain leave, too.
func (p *presence) close(ctx context.Context) {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
	p.mu.Unlock()
	grace, cancel := context.WithTimeout(context.Background(), presenceGrace)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		<-grace.Done()
		p.cancel()
	})()
	p.task.Wait()
}

// subjectOf returns the canonical query of a topic.
func subjectOf(topic string) string {
	q, err := topicQuery(topic)
	if err != nil {
		return ""
	}
	return q.String()
}

// topicOf returns the topic that a canonical query asks for, and nothing else;
// "" if it does not.
func topicOf(canonical string) string {
	topic, ok := strings.CutPrefix(canonical, TopicKey+" = '")
	if !ok {
		return ""
	}
	topic = strings.ReplaceAll(strings.TrimSuffix(topic, "'"), "''", "'")
	if subjectOf(topic) != canonical {
		return ""
	}
	return topic
}

// notPresence is what those see who may not see presence.
var (
	notPresence  = query.MustParse("NOT " + PresenceKey + " EXISTS")
	lostPresence = query.MustParse(PresenceKey + " = 'lost'")
)

// hide returns what is left of q for an identity.
func (p *presence) hide(id Identity, q *query.Query) *query.Query {
	if p.off {
		return q
	}
	seen, err := p.server.config.Presence(id)
	switch {
	case err != nil:
		return query.And(q, notPresence)
	case seen == nil:
		return q
	}
	return query.And(q, query.Or(notPresence, query.Or(lostPresence, seen)))
}

// present is the result of the method presence.
type present struct {
	Clients []presentClient `json:"clients"`
	Total   int             `json:"total"`
	More    bool            `json:"more"` // after the number of the last one
}

type presentClient struct {
	Number   uint64    `json:"number"`
	Client   string    `json:"client"`
	Identity string    `json:"identity,omitempty"`
	Since    time.Time `json:"since"`
}

// of returns who is subscribed, after a number, up to n of them.
func (p *presence) of(name string, after uint64, n int) present {
	p.mu.Lock()
	defer p.mu.Unlock()
	result := present{Clients: []presentClient{}}
	s := p.subjects[name]
	if s == nil {
		return result
	}
	result.Total = len(s.members) - s.gone
	i := sort.Search(len(s.members), func(i int) bool { return s.members[i].number > after })
	for _, m := range s.members[i:] {
		switch {
		case m.left:
			continue
		case len(result.Clients) == n:
			result.More = true
			return result
		}
		result.Clients = append(result.Clients, presentClient{m.number, m.client, m.identity, m.since})
	}
	return result
}

// presence is the method of that name: who is subscribed to a topic or a query.
func (c *caller) presence(_ *rpcRequest, args arguments) (reply, *rpcError) {
	var text, topic string
	var after uint64
	var most int
	for name, value := range map[string]any{"query": &text, "topic": &topic, "after": &after, "max_results": &most} {
		if fault := args.decode(name, value); fault != nil {
			return reply{}, fault
		}
	}
	p := &c.server.presence
	if p.off {
		return reply{}, internalError("presence is off")
	}
	m, err := c.server.presenceSubject(text, topic)
	if err == nil {
		err = p.allows(*c.visit.identity(), m)
	}
	if c.visit.refusedFor(err) != nil {
		return reply{}, internalError(err.Error())
	}
	result, err := json.Marshal(p.of(m.subject, after, limited(most, c.server.config.MaxResults)))
	if err != nil {
		return reply{}, internalError(err.Error())
	}
	return reply{result: result}, nil
}

// presenceSubject reads what presence is asked of: a query or a topic.
func (s *Server) presenceSubject(text, topic string) (m member, err error) {
	switch {
	case (text == "") == (topic == ""):
		return m, fmt.Errorf("say either which topic or which query")
	case len(text) > s.config.MaxQuery || len(topic) > s.config.MaxQuery:
		return m, errQueryTooLong
	case topic != "":
		m = member{subject: subjectOf(topic), topic: topic}
	default:
		q, err := s.parse(text)
		if err != nil {
			return m, err
		}
		m = member{subject: q.String(), topic: topicOf(q.String())}
	}
	return m, nil
}

// allows tells whether an identity may see who subscribes to what m does.
func (p *presence) allows(id Identity, m member) error {
	seen, err := p.server.config.Presence(id)
	if err == nil && seen != nil {
		var ok bool
		if ok, err = seen.Matches(m.events("join")); err == nil && !ok {
			err = fmt.Errorf("you may not see who subscribes to this")
		}
	}
	if err != nil {
		return &limitError{refusedRight, "not allowed: " + err.Error()}
	}
	return nil
}

// servePresence answers GET …/presence?topic= or ?query= as the method does.
func (s *Server) servePresence(w http.ResponseWriter, r *http.Request, v *visit) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	values, params := r.URL.Query(), map[string]any{}
	for _, name := range []string{"topic", "query"} {
		params[name] = values.Get(name)
	}
	for _, name := range []string{"after", "max_results"} {
		if text := values.Get(name); text != "" {
			params[name] = json.Number(text)
		}
	}
	request, err := json.Marshal(map[string]any{"id": -1, "method": "presence", "params": params})
	if err != nil {
		http.Error(w, "after and max_results must be numbers", http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusOK, newCaller(v, r.Context(), r.Context()).answerOne(request))
}
