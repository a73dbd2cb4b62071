package stream

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/service"
	"github.com/harkbus/pubsub/stream/comet"
)

// Config says how a [Server] behaves. The zero value is usable: every field
// that is zero stands for the default it states.
type Config struct {
	MaxConnections            int // WebSocket and SSE together; default 900
	MaxConnectionsPerIP       int // default: no limit of its own
	MaxConnectionsPerIdentity int // by Identity.Name, if not empty; default: no limit of its own
	MaxClients                int // connections with a subscription; default 100

	MaxOpen                int // network connections of HTTPServer, without WebSockets; default 2,000
	MaxOpenPerIP           int
	MaxRequests            int // being answered; default 1,000
	MaxRequestsPerIP       int // like the ones below, default: no limit of its own
	MaxRequestsPerIdentity int
	MaxPulls               int // events requests that wait; default 500
	MaxPullsPerIP          int
	MaxPullsPerIdentity    int

	InputBytes             int // of messages and bodies that are being sent, beyond 4 KiB of each; default 128 MiB
	InputBytesPerIP        int
	InputBytesPerIdentity  int
	AnswerBytes            int // of answers to events requests, until they are taken; default 64 MiB
	AnswerBytesPerIP       int
	AnswerBytesPerIdentity int

	MaxSubscriptions int // of one connection, with its requests that wait; default 5

	// Regular expressions cost time on the path of all publications, so their
	// instructions are limited, which query.Limits counts; the budget of the
	// bus, pubsub.ExpressionBudget, bounds what is left, and ends subscriptions.
	MaxExpression  int   // instructions in one query; default 100
	MaxExpressions int   // in the queries of one connection; default 200
	AllExpressions int   // in the queries of all connections; default 2,000
	ReplaySteps    int64 // steps of a query over the history, for one request; default 500,000,000

	Buffer   int      // messages that wait for one subscription; default 200
	Overflow Overflow // what happens to the one that does not fit; default OverflowCancel

	MaxFrame       int           // bytes of one message or body of a client; default 1,000,000
	MaxQuery       int           // bytes of a query; default 512
	MaxResults     int           // of one events request; default 100
	MaxWait        time.Duration // of one events request; default 30 s
	MaxAnswer      int           // bytes of one answer to events requests, beyond the first item; default 4 MiB
	MaxBatch       int           // requests in one body; default 10
	PingInterval   time.Duration // default 27 s
	Compressors    int           // messages that are compressed at once; the others go out as they are; default 4
	Heartbeat      time.Duration // a client with cursors is told where it is; default 5 s
	ReadTimeout    time.Duration // silence of a client, and time to send one message; default 30 s
	WriteTimeout   time.Duration // of one write; default 10 s
	CloseTimeout   time.Duration // for the client's half of a close; default 5 s
	QueueBytes     int           // queued for one connection, besides one frame; default 256 KiB
	TotalBytes     int           // queued for all, besides one frame each; default 64 MiB
	HeldBytes      int           // that wait for clients, in buffers and to be written, for all; 0: any number
	EncodingBytes  int           // encodings kept to be shared; default 32 MiB
	PublishTimeout time.Duration // how long a publication may wait for the bus; default 10 s

	// History keeps publications for clients that come back; default
	// history.NewWindow(0, 0).
	History history.History

	// Encoder encodes what was published; default the Encode of an empty
	// Registry.
	Encoder Encoder

	// Carrier sends all data as strings in a type that CometBFT's Go client
	// knows. A connection chooses for itself with ?carrier=on or off.
	Carrier bool

	// Compress has messages compressed for clients that ask for it:
	// permessage-deflate on WebSockets, gzip for Server-Sent Events.
	Compress bool

	// Origins are the web origins, "https://app.example.com", from which
	// browsers may connect and publish besides the one that the request was
	// sent to. "*" allows all.
	Origins []string

	// AllowHost says which hosts requests may be sent to, by the name or
	// address in their Host header; AllowHosts makes a rule. It is what keeps
	// out pages whose name resolves to this machine. Default: all.
	AllowHost func(host string) bool

	// TrustedProxies are networks of proxies whose headers X-Forwarded-For,
	// -Proto and -Host are believed; see ParseProxies. They must set all three,
	// or remove those that they do not set: what a client made up would pass.
	// Default: none.
	TrustedProxies []netip.Prefix

	// ForwardedHeader has the header Forwarded (RFC 7239) of trusted proxies
	// believed, and not X-Forwarded-….
	ForwardedHeader bool

	// Identify says who sends a request, before anything else is done with it.
	// Its error refuses the request. Default: everybody is the zero Identity.
	Identify func(*http.Request) (Identity, error)

	// Refresh says whose a token is that a client sends over its WebSocket with
	// the method authenticate, usually Tokens.Refresh. Default: the method is
	// refused.
	Refresh func(token string) (Identity, error)

	// Narrow returns what a client gets to see of what it asks for, usually
	// query.And(q, …). It is asked on every way in. The client is told its own
	// query back. Its error refuses the subscription.
	Narrow func(Identity, *query.Query) (*query.Query, error)

	// AllowPublish may refuse a publication: to a topic, or, if topic is
	// empty, with events. Default: everybody may publish.
	AllowPublish func(id Identity, topic string, events map[string][]string) error

	// Presence has the server tell who is subscribed: by the method presence, by
	// GET /presence, and by publications with the events PresenceKey and those
	// below it when somebody subscribes or leaves. It returns what an identity may
	// see of these, as a query over their events: nil is all, an error nothing.
	// Default: there is no presence.
	Presence func(Identity) (*query.Query, error)

	// Status is the result of the status method; default [comet.NodeStatus] of a
	// node that has nothing to tell.
	Status func() any

	// Ready may keep /readyz from saying that all is well: its error is what is
	// not. Default: nothing.
	Ready func() error

	// Topics says how topics behave; see SubscriptionOptions.
	Topics *SubscriptionOptions

	// Logger is told of connections and failures, never of tokens or data;
	// default: silence.
	Logger service.Logger

	// AccessLog gets a line for each request when it has been answered, and for
	// each connection when it ends: method, path, status, bytes, duration,
	// identity and remote, the address behind trusted proxies. It is called by
	// the request's own goroutine. Default: none.
	AccessLog *slog.Logger

	// Webhook is where refused and slow clients are reported; default: nowhere.
	Webhook *Webhook
}

// An Identity is who sent a request.
type Identity struct {
	Name    string         // for limits and logs; not a secret
	Admin   bool           // may see everybody's subscriptions and end them
	Expires time.Time      // when its connections are closed; zero: never
	Claims  map[string]any // whatever Identify knows

	parsed *parsedRights // of Claims; nil: they are parsed each time
}

// Overflow says what happens when the buffer of a subscription is full.
type Overflow string

// The policies. A client chooses with the parameter "overflow" of subscribe.
const (
	OverflowCancel     Overflow = "cancel"      // the subscription ends; the connection stays
	OverflowClose      Overflow = "close"       // the connection is closed with 1013
	OverflowDropOldest Overflow = "drop-oldest" // the client is told how many were dropped
	OverflowDropNewest Overflow = "drop-newest" // the same
)

// bus returns the policy of the bus that does it.
func (o Overflow) bus() (pubsub.Overflow, error) {
	switch o {
	case "", OverflowCancel, OverflowClose:
		return pubsub.Cancel, nil
	case OverflowDropOldest:
		return pubsub.DropOldest, nil
	case OverflowDropNewest:
		return pubsub.DropNewest, nil
	}
	return 0, fmt.Errorf("stream: overflow %q: use cancel, close, drop-oldest or drop-newest", truncateUTF8(string(o), 32))
}

func (o Overflow) drops() bool { return o == OverflowDropOldest || o == OverflowDropNewest }

// withDefaults returns the configuration with defaults in place of what is not
// set, or an error that names the field that is wrong.
func (c Config) withDefaults() (Config, error) {
	if err := c.validate(); err != nil {
		return c, err
	}
	c.MaxConnections = cmp.Or(c.MaxConnections, 900)
	c.MaxClients = cmp.Or(c.MaxClients, 100)
	c.MaxOpen = cmp.Or(c.MaxOpen, 2000)
	c.MaxRequests = cmp.Or(c.MaxRequests, 1000)
	c.MaxPulls = cmp.Or(c.MaxPulls, 500)
	c.InputBytes = cmp.Or(c.InputBytes, 128<<20)
	c.AnswerBytes = cmp.Or(c.AnswerBytes, 64<<20)
	c.MaxAnswer = cmp.Or(c.MaxAnswer, 4<<20)
	c.MaxSubscriptions = cmp.Or(c.MaxSubscriptions, 5)
	c.MaxExpression = cmp.Or(c.MaxExpression, 100)
	c.MaxExpressions = cmp.Or(c.MaxExpressions, 200)
	c.AllExpressions = cmp.Or(c.AllExpressions, 2000)
	c.ReplaySteps = cmp.Or(c.ReplaySteps, 500_000_000)
	c.Buffer = cmp.Or(c.Buffer, 200)
	c.Overflow = cmp.Or(c.Overflow, OverflowCancel)
	c.MaxFrame = cmp.Or(c.MaxFrame, 1_000_000)
	c.MaxQuery = cmp.Or(c.MaxQuery, 512)
	c.MaxResults = cmp.Or(c.MaxResults, 100)
	c.MaxWait = cmp.Or(c.MaxWait, 30*time.Second)
	c.MaxBatch = cmp.Or(c.MaxBatch, 10)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 30*time.Second)
	c.PingInterval = cmp.Or(c.PingInterval, c.ReadTimeout*9/10)
	c.Compressors = cmp.Or(c.Compressors, 4)
	c.Heartbeat = cmp.Or(c.Heartbeat, 5*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.CloseTimeout = cmp.Or(c.CloseTimeout, 5*time.Second)
	c.QueueBytes = cmp.Or(c.QueueBytes, 256<<10)
	c.TotalBytes = cmp.Or(c.TotalBytes, 64<<20)
	c.EncodingBytes = cmp.Or(c.EncodingBytes, 32<<20)
	c.PublishTimeout = cmp.Or(c.PublishTimeout, 10*time.Second)
	if c.History == nil {
		c.History = history.NewWindow(0, 0)
	}
	if c.Encoder == nil {
		c.Encoder = new(Registry).Encode
	}
	if c.Identify == nil {
		c.Identify = func(*http.Request) (Identity, error) { return Identity{}, nil }
	}
	if c.Narrow == nil {
		c.Narrow = func(_ Identity, q *query.Query) (*query.Query, error) { return q, nil }
	}
	if c.Status == nil {
		c.Status = func() any { return comet.NewNodeStatus("hark", "tcp://127.0.0.1:26657") }
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.AllowPublish == nil {
		c.AllowPublish = func(Identity, string, map[string][]string) error { return nil }
	}
	return c, nil
}

// largest returns the bytes of the largest message that a client may send.
func (c *Config) largest() int {
	topics := c.Topics
	if topics == nil {
		topics = new(SubscriptionOptions)
	}
	return max(c.MaxFrame, topics.maxMessage())
}

func (c *Config) validate() error {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"MaxConnections", int64(c.MaxConnections)},
		{"MaxConnectionsPerIP", int64(c.MaxConnectionsPerIP)},
		{"MaxConnectionsPerIdentity", int64(c.MaxConnectionsPerIdentity)},
		{"MaxClients", int64(c.MaxClients)},
		{"MaxOpen", int64(c.MaxOpen)},
		{"MaxOpenPerIP", int64(c.MaxOpenPerIP)},
		{"MaxRequests", int64(c.MaxRequests)},
		{"MaxRequestsPerIP", int64(c.MaxRequestsPerIP)},
		{"MaxRequestsPerIdentity", int64(c.MaxRequestsPerIdentity)},
		{"MaxPulls", int64(c.MaxPulls)},
		{"MaxPullsPerIP", int64(c.MaxPullsPerIP)},
		{"MaxPullsPerIdentity", int64(c.MaxPullsPerIdentity)},
		{"InputBytes", int64(c.InputBytes)},
		{"InputBytesPerIP", int64(c.InputBytesPerIP)},
		{"InputBytesPerIdentity", int64(c.InputBytesPerIdentity)},
		{"AnswerBytes", int64(c.AnswerBytes)},
		{"AnswerBytesPerIP", int64(c.AnswerBytesPerIP)},
		{"AnswerBytesPerIdentity", int64(c.AnswerBytesPerIdentity)},
		{"MaxAnswer", int64(c.MaxAnswer)},
		{"MaxSubscriptions", int64(c.MaxSubscriptions)},
		{"MaxExpression", int64(c.MaxExpression)},
		{"MaxExpressions", int64(c.MaxExpressions)},
		{"AllExpressions", int64(c.AllExpressions)},
		{"ReplaySteps", c.ReplaySteps},
		{"Buffer", int64(c.Buffer)},
		{"MaxFrame", int64(c.MaxFrame)},
		{"MaxQuery", int64(c.MaxQuery)},
		{"MaxResults", int64(c.MaxResults)},
		{"MaxWait", int64(c.MaxWait)},
		{"MaxBatch", int64(c.MaxBatch)},
		{"PingInterval", int64(c.PingInterval)},
		{"Compressors", int64(c.Compressors)},
		{"Heartbeat", int64(c.Heartbeat)},
		{"ReadTimeout", int64(c.ReadTimeout)},
		{"WriteTimeout", int64(c.WriteTimeout)},
		{"CloseTimeout", int64(c.CloseTimeout)},
		{"QueueBytes", int64(c.QueueBytes)},
		{"TotalBytes", int64(c.TotalBytes)},
		{"HeldBytes", int64(c.HeldBytes)},
		{"EncodingBytes", int64(c.EncodingBytes)},
		{"PublishTimeout", int64(c.PublishTimeout)},
	} {
		if field.value < 0 {
			return fmt.Errorf("stream: Config.%s is %d: it must be 0 (for the default) or more", field.name, field.value)
		}
	}
	if c.HeldBytes > 0 && c.HeldBytes < c.largest() {
		return fmt.Errorf("stream: Config.HeldBytes is %d: it must have room for a message of %d", c.HeldBytes, c.largest())
	}
	if c.PingInterval > 0 && c.ReadTimeout > 0 && c.PingInterval >= c.ReadTimeout {
		return errors.New("stream: Config.PingInterval is not below ReadTimeout: clients would be cut between pings")
	}
	if _, err := c.Overflow.bus(); err != nil {
		return fmt.Errorf("stream: Config.Overflow: %w", err)
	}
	if c.Webhook != nil {
		if err := c.Webhook.validate(); err != nil {
			return err
		}
	}
	return checkOrigins(c.Origins)
}
