package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/harkbus/pubsub/internal/wire"
)

// A Client subscribes to queries over one connection, and publishes. Its methods
// may be called from any goroutine.
type Client struct {
	conn *Conn
	http *http.Client // for publishing

	mu     sync.Mutex
	up     bool // subs have been sent on the connection there is
	subs   map[int64]*subscription
	lastID int64
}

// Dial connects to a server. The client lives until Close, whatever becomes of
// ctx.
func Dial(ctx context.Context, address string, o Options) (*Client, error) {
	c := &Client{subs: make(map[int64]*subscription)}
	var err error
	if c.conn, err = newConn(context.Background(), address, c, o); err != nil {
		return nil, err
	}
	if _, err := c.conn.open(ctx); err != nil {
		return nil, err
	}
	d := c.conn.options.Dialer
	c.http = &http.Client{Transport: &http.Transport{DialContext: d.NetDialContext, TLSClientConfig: d.TLSClientConfig, Proxy: d.Proxy}}
	return c, nil
}

// Close ends the client and its subscriptions, and waits for that.
func (c *Client) Close() error {
	err := c.conn.Close()
	c.http.CloseIdleConnections()
	return err
}

// Done returns a channel that is closed when the client has ended.
func (c *Client) Done() <-chan struct{} { return c.conn.Done() }

// Error returns why the client ended: nil while it has not, and after Close.
func (c *Client) Error() error { return c.conn.Error() }

// connected implements user: it resumes the subscriptions, the oldest first: of
// two to one query the server has accepted that.
func (c *Client) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = true
	for _, id := range slices.Sorted(maps.Keys(c.subs)) {
		if s := c.subs[id]; s.left {
			delete(c.subs, id)
		} else {
			c.subscribeLocked(s)
		}
	}
}

// lost implements user.
func (c *Client) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = false
}

// receive implements user.
func (c *Client) receive(ctx context.Context, _ int, message []byte) error {
	var r response
	if err := json.Unmarshal(message, &r); err != nil {
		return fmt.Errorf("the server does not speak JSON-RPC: %w", err)
	}
	if r.ID == nil {
		return nil
	}
	c.mu.Lock()
	s := c.subs[*r.ID]
	c.mu.Unlock()
	if s == nil || !c.confirm(s, &r) {
		return nil
	}
	return s.take(ctx, &r)
}

// A request is a message to the server.
type request struct {
	Version string         `json:"jsonrpc"`
	ID      int64          `json:"id"`
	Method  string         `json:"method"`
	Params  map[string]any `json:"params"`
}

func (c *Client) subscribeLocked(s *subscription) {
	s.confirmed = false
	params := map[string]any{"query": s.query, "after": s.after}
	if s.options.Overflow != "" {
		params["overflow"] = s.options.Overflow
	}
	c.sendLocked(s.id, "subscribe", params)
}

func (c *Client) unsubscribeLocked(s *subscription) {
	c.lastID++
	c.sendLocked(c.lastID, "unsubscribe", map[string]any{"query": s.query})
}

// sendLocked sends a request, unless connected will. The caller holds c.mu.
func (c *Client) sendLocked(id int64, method string, params map[string]any) {
	if !c.up {
		return
	}
	message, err := json.Marshal(request{"2.0", id, method, params})
	if err != nil {
		panic(err) // strings
	}
	c.conn.send(message)
}

// An RPCError is an error that the server answered with.
type RPCError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    string `json:"data"`
}

// Error names the code and what the server said.
func (e *RPCError) Error() string {
	return fmt.Sprintf("client: the server answered %d %s: %s", e.Code, e.Message, e.Data)
}

// Names of data that has no type of its own.
const (
	TypeJSON   = wire.TypeJSON   // any JSON value
	TypeBinary = wire.TypeBinary // a string of base64
	TypeError  = wire.TypeError  // a string: the server could not encode the data, and why
)

// Data is what was published, with the name of its type.
type Data struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// unwrap takes data out of the carrier.
func (d Data) unwrap() Data {
	if d.Type != wire.TypeCarrier {
		return d
	}
	var text string
	var inner Data
	if json.Unmarshal(d.Value, &text) != nil || json.Unmarshal([]byte(text), &inner) != nil || inner.Type == "" {
		return d
	}
	return inner
}
