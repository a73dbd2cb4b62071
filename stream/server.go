package stream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
)

// A Server offers a bus over HTTP. It is an http.Handler; its methods may be
// called from any goroutine.
type Server struct {
	bus        *pubsub.Server
	config     Config
	identifies bool // Config.Identify was set
	encodings  encodings
	upgrader   websocket.Upgrader
	topics     topics
	routes     map[string]http.HandlerFunc
	admin      *http.ServeMux
	scraped    atomic.Pointer[http.Handler]
	unobserve  func()
	delivered  atomic.Uint64 // sequence up to which the bus has delivered

	ctx    context.Context // ends when everything is cut
	cancel context.CancelFunc

	draining context.Context // ends when nobody is let in any more
	drain    context.CancelFunc

	quotas      quotas
	compressors compressors
	expressions expressions
	queued      budget
	held        holdings
	writes      writeCounts
	clients     atomic.Int64 // connections with a subscription
	requests    atomic.Uint64

	refusals refusals // but for those of quotas
	webhook  webhook
	presence presence

	topicOptions  SubscriptionOptions
	topicUpgrader websocket.Upgrader
	eventsDropped atomic.Uint64
	lastID        atomic.Uint64

	outlets sync.Map // name on the bus → *outlet

	mu       sync.Mutex
	conns    map[*connection]struct{}
	arriving int           // visits that have been let in to be one of conns
	empty    chan struct{} // closed when there are neither; made by Shutdown
}

// New returns a server for a bus. The bus need not run yet; Shutdown does not
// stop it. The error names the field of the configuration that is wrong.
func New(bus *pubsub.Server, c Config) (*Server, error) {
	if bus == nil {
		return nil, errors.New("stream: the bus is nil")
	}
	identifies := c.Identify != nil
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{bus: bus, config: c, identifies: identifies, conns: make(map[*connection]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.draining, s.drain = context.WithCancel(s.ctx)
	s.quotas = newQuotas(&c)
	s.presence.init(s)
	s.webhook.init(c.Webhook, c.Logger)
	s.quotas.each(func(name string, q *quota) {
		q.refused = func(ip, identity string) { s.notice("refused", name, ip, identity, 1) }
	})
	s.expressions = expressions{most: int64(c.AllExpressions), turn: make(chan struct{}, 1)}
	s.queued.limit = int64(c.TotalBytes)
	s.held.init(c.HeldBytes)
	s.encodings = encodings{encoder: c.Encoder, cursor: c.History.Cursor, failed: s.encodingFailed, limit: int64(c.EncodingBytes), packs: &s.compressors}
	s.compressors.init(c.Compressors)
	s.upgrader.EnableCompression, s.topicUpgrader.EnableCompression = c.Compress, c.Compress
	checked := func(*http.Request) bool { return true } // by the visit
	s.upgrader.CheckOrigin, s.topicUpgrader.CheckOrigin = checked, checked
	if c.Topics != nil {
		s.topicOptions = *c.Topics
	}
	s.routes, s.admin = s.newRoutes(), s.newAdmin()
	s.unobserve = bus.Observe(s.observe)
	return s, nil
}

// observe appends what is published to the history. When a publication comes
// those before it have been delivered.
func (s *Server) observe(m pubsub.Message) {
	s.delivered.Store(m.Sequence() - 1)
	s.config.History.Append(m)
	s.held.note(s, m)
}

// settled returns the last place up to which all subscriptions have been given
// what matches.
func (s *Server) settled() history.Cursor { return s.config.History.Cursor(s.delivered.Load()) }

func (s *Server) encodingFailed(m pubsub.Message, err error) {
	s.config.logError("stream: a publication cannot be encoded", "sequence", m.Sequence(), "type", fmt.Sprintf("%T", m.Data()), "error", err)
}

func (c *Config) logDebug(msg string, keyvals ...any) {
	if c.Logger != nil {
		c.Logger.Debug(msg, keyvals...)
	}
}

func (c *Config) logError(msg string, keyvals ...any) {
	if c.Logger != nil {
		c.Logger.Error(msg, keyvals...)
	}
}

func (s *Server) nextID(kind string) string {
	return kind + "-" + strconv.FormatUint(s.lastID.Add(1), 10)
}

// compile reads a query that a client sent, and narrows it to what the client
// may see.
func (s *Server) compile(id Identity, text string) (compiled, error) {
	if len(text) > s.config.MaxQuery {
		return compiled{}, errQueryTooLong
	}
	q, err := s.parse(text)
	if err != nil {
		return compiled{}, err
	}
	narrow, err := s.narrow(id, q)
	return compiled{key: q.String(), instructions: q.Instructions(), narrow: narrow}, err
}

var errQueryTooLong = &limitError{refusedQuery, "maximum query length exceeded"}

// compiled is a query as the client sent it, and as it may see it.
type compiled struct {
	key          string // canonical text of what the client sent
	instructions int    // of its regular expressions
	narrow       *query.Query
}

// resumePoint reads a cursor and refuses one that this server cannot have
// given. One that lies beyond the history may: what was accepted is given a
// cursor before it is dispatched.
func (s *Server) resumePoint(text string) (history.Cursor, error) {
	cursor, err := history.ParseCursor(text)
	if err != nil {
		return history.Cursor{}, err
	}
	accepted := s.config.History.Cursor(s.bus.Sequence())
	if _, newest := s.config.History.Bounds(); accepted.Before(newest) {
		accepted = newest
	}
	if cursor.Epoch == accepted.Epoch && accepted.Before(cursor) {
		return history.Cursor{}, fmt.Errorf("stream: cursor %s is beyond the newest publication, %s", text, accepted)
	}
	return cursor, nil
}

// narrow returns what a client may see of q.
func (s *Server) narrow(id Identity, q *query.Query) (*query.Query, error) {
	narrow, err := s.config.Narrow(id, q)
	if err == nil && narrow == nil {
		err = errors.New("nothing is left of the query")
	}
	if err != nil {
		return nil, &limitError{refusedRight, "not allowed: " + err.Error()}
	}
	return s.presence.hide(id, narrow), nil
}

// ServeWebSocket upgrades a request to JSON-RPC over WebSocket.
func (s *Server) ServeWebSocket(w http.ResponseWriter, r *http.Request) {
	s.visited(s.serveWebSocket)(w, r)
}

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, v *visit) {
	form, err := s.formOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !v.connect(w) {
		return
	}
	sess := &session{socket: &socket{}, form: form}
	sess.connection.init(s.ctx, "ws", v)
	sess.counted = true
	sess.refusal = sess.refuseNow
	c := &s.config
	if err := sess.upgrade(&s.upgrader, timing{c.PingInterval, c.ReadTimeout, c.WriteTimeout, c.CloseTimeout}, c.MaxFrame, w, r, nil); err != nil {
		return
	}
	v.kept = true
	go sess.serve(sess.receive, v.end)
}

// Shutdown lets nobody in any more, tells every subscription and connection
// that it ends, and returns when all connections have ended. When ctx is done
// before that, it cuts those that are left and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginDrain()
	all, empty := s.connections()
	for _, c := range all {
		go c.shutdown(endDrain)
	}
	var err error
	select {
	case <-empty:
	case <-ctx.Done():
		err = ctx.Err()
		s.cancel()
		all, empty = s.connections()
		for _, c := range all {
			c.kill()
		}
		<-empty
	}
	s.presence.close(ctx)
	s.unobserve()
	s.webhook.close(ctx)
	s.cancel()
	return err
}

// formOf returns how a connection wants its data.
func (s *Server) formOf(r *http.Request) (form, error) {
	switch v := r.URL.Query().Get("carrier"); strings.ToLower(v) {
	case "":
		if s.config.Carrier {
			return carrier, nil
		}
		return plain, nil
	case "on", "1", "true":
		return carrier, nil
	case "off", "0", "false":
		return plain, nil
	default:
		return plain, fmt.Errorf("stream: carrier is %q: use on or off", truncateUTF8(v, 32))
	}
}
