package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/backoff"
)

// ClientOptions configure a [Client]. A zero field stands for its default.
type ClientOptions struct {
	Header      http.Header       // of the requests, "Authorization" for instance; not modified
	Dialer      *websocket.Dialer // default websocket.DefaultDialer
	ReadTimeout time.Duration     // silence of the server, which pings; default 60 s
	MaxMessage  int64             // largest message that is taken, in bytes; default 16 MiB
	Buffer      int               // results that wait for one loop; default 64
	NoReconnect bool              // end with the first connection

	// Wait has Dial try again while the server cannot be reached, until its
	// context is done.
	Wait bool

	// OnConnection is told how the connection is: nil once there is one, or why
	// it was lost or an attempt failed. It is called by one goroutine at a time
	// and must not wait. Default: nobody is told.
	OnConnection func(error)
}

// A Client subscribes to queries over one connection. When the connection is
// lost it dials again and resumes every subscription after the last result it
// received: what is missing comes as a Gap. Its methods may be called from any
// goroutine.
//
//	client, err := stream.Dial(ctx, "ws://127.0.0.1:26657/websocket", stream.ClientOptions{})
//	defer client.Close()
//	for result, err := range client.Subscribe(ctx, "tm.event = 'Tx'", stream.SubscribeOptions{}) {
//		…
//	}
//
// All loops share the connection: while one of them does not read, the others
// wait once its Buffer is full, and the server's policy for slow clients
// applies.
type Client struct {
	url     string
	options ClientOptions
	ctx     context.Context // ends with the client
	cancel  context.CancelFunc
	done    chan struct{} // closed when serve is over
	http    *http.Client  // for publishing

	mu     sync.Mutex
	ws     *websocket.Conn // nil while it is dialled again
	subs   map[int64]*clientSubscription
	lastID int64
	err    error // why it ended, if done is closed
}

// ErrClientClosed is the error of a client after Close.
var ErrClientClosed = errors.New("stream: the client is closed")

// A Result is what a subscription received.
type Result struct {
	Cursor history.Cursor      // of the publication
	Data   Data                // zero with a Gap
	Events map[string][]string // nil with a Gap

	// Gap is not nil where something is missing; then there is no event.
	Gap *history.Gap
}

// DataAs decodes the data of a result.
func DataAs[T any](r Result) (T, error) {
	var v T
	if err := json.Unmarshal(r.Data.Value, &v); err != nil {
		return v, fmt.Errorf("stream: data of type %s as %T: %w", r.Data.Type, v, err)
	}
	return v, nil
}

// An RPCError is an error that the server answered with.
type RPCError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    string `json:"data"`
}

// Error names the code and what the server said.
func (e *RPCError) Error() string {
	return fmt.Sprintf("stream: the server answered %d %s: %s", e.Code, e.Message, e.Data)
}

// SubscribeOptions say how to subscribe.
type SubscribeOptions struct {
	After    string   // a cursor to resume after; "" is from now on
	Overflow Overflow // "" is the server's
	Accepted func()   // called when the server has accepted it first; may be nil
}

// Dial connects to a server. The client lives until Close, whatever becomes of
// ctx. A server that answers with a status of 4xx is not asked again.
func Dial(ctx context.Context, address string, o ClientOptions) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" {
		return nil, errors.New("stream: the address must be a ws:// or wss:// URL")
	}
	if u.User != nil {
		return nil, errors.New("stream: the address must have no user or password: send a token in the header Authorization")
	}
	if o.Dialer == nil {
		o.Dialer = websocket.DefaultDialer
	}
	o.ReadTimeout = orDefault(o.ReadTimeout, 60*time.Second)
	o.MaxMessage = orDefault(o.MaxMessage, 16<<20)
	o.Buffer = orDefault(o.Buffer, 64)
	if o.OnConnection == nil {
		o.OnConnection = func(error) {}
	}
	c := &Client{url: address, options: o, http: httpClient(o.Dialer), done: make(chan struct{}), subs: make(map[int64]*clientSubscription)}
	ws, err := c.dial(ctx)
	if err != nil && o.Wait && isTemporary(err) {
		ws, err = c.dialAgain(ctx, isTemporary)
	}
	if err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.serve(ws)
	return c, nil
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Close ends the client and its subscriptions, and waits for that.
func (c *Client) Close() error {
	c.cancel()
	<-c.done
	c.http.CloseIdleConnections()
	return nil
}

// A dialError is the answer of a server that does not upgrade a connection.
type dialError struct {
	status int // of HTTP
	err    error
}

func (e *dialError) Error() string {
	return fmt.Sprintf("%v: the server answered %d %s", e.err, e.status, http.StatusText(e.status))
}

func (e *dialError) Unwrap() error { return e.err }

// isTemporary tells whether dialling again may help.
func isTemporary(err error) bool {
	var refused *dialError
	if errors.As(err, &refused) {
		return refused.status >= 500 || refused.status == http.StatusTooManyRequests
	}
	var certificate *tls.CertificateVerificationError
	return !errors.As(err, &certificate)
}

func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	ws, response, err := c.options.Dialer.DialContext(ctx, c.url, c.options.Header.Clone())
	if err != nil {
		if response != nil {
			err = &dialError{response.StatusCode, err}
		}
		err = fmt.Errorf("stream: connect: %w", err)
		if ctx.Err() == nil {
			c.options.OnConnection(err)
		}
		return nil, err
	}
	ws.SetReadLimit(c.options.MaxMessage)
	c.options.OnConnection(nil)
	return ws, nil
}

// serve reads, and dials again, until the client ends.
func (c *Client) serve(ws *websocket.Conn) {
	defer close(c.done)
	for ws != nil {
		c.connected(ws)
		err := c.read(ws)
		_ = ws.Close()
		err = c.lost(err)
		if c.ctx.Err() != nil || c.options.NoReconnect {
			return
		}
		c.options.OnConnection(err)
		if ws, err = c.dialAgain(c.ctx, always); err != nil {
			_ = c.lost(err)
		}
	}
}

// connected resumes the subscriptions.
func (c *Client) connected(ws *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws = ws
	for _, sub := range c.subs {
		c.sendSubscribeLocked(sub)
	}
}

// lost takes note of the end of the connection and returns the error for those
// who wait.
func (c *Client) lost(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws = nil
	if c.err = fmt.Errorf("stream: connection lost: %w", err); c.ctx.Err() != nil {
		c.err = ErrClientClosed
	}
	return c.err
}

// Delays before attempts to dial again: a random part of one that doubles.
const (
	minRedial = 50 * time.Millisecond
	maxRedial = 5 * time.Second
)

// dialAgain dials until there is a connection, ctx is done, or an error is not
// worth another attempt.
func (c *Client) dialAgain(ctx context.Context, worthwhile func(error) bool) (*websocket.Conn, error) {
	for retry := backoff.New(minRedial, maxRedial); ; {
		if err := retry.Wait(ctx); err != nil {
			return nil, err
		}
		if ws, err := c.dial(ctx); err == nil || !worthwhile(err) {
			return ws, err
		}
	}
}

// always is for a client that was let in before: a token may be renewed, a
// path come back.
func always(error) bool { return true }

// read dispatches what the server sends.
func (c *Client) read(ws *websocket.Conn) error {
	defer context.AfterFunc(c.ctx, func() { _ = ws.Close() })()
	heard := func() { _ = ws.SetReadDeadline(time.Now().Add(c.options.ReadTimeout)) }
	answer := ws.PingHandler()
	ws.SetPingHandler(func(payload string) error {
		heard()
		return answer(payload)
	})
	for {
		heard()
		_, message, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		var response clientResponse
		if err := json.Unmarshal(message, &response); err != nil {
			return fmt.Errorf("the server does not speak JSON-RPC: %w", err)
		}
		if err := c.dispatch(&response); err != nil {
			return err
		}
	}
}

// clientResponse is a message of the server.
type clientResponse struct {
	ID     *int64       `json:"id"`
	Result clientResult `json:"result"`
	Error  *RPCError    `json:"error"`
}

type clientResult struct {
	Query  *string             `json:"query"`
	Cursor string              `json:"cursor"`
	Data   Data                `json:"data"`
	Events map[string][]string `json:"events"`
	Gap    *history.Gap        `json:"gap"`
}

func (c *Client) dispatch(r *clientResponse) error {
	if r.ID == nil {
		return nil
	}
	c.mu.Lock()
	sub := c.subs[*r.ID]
	c.mu.Unlock()
	if sub == nil {
		return nil
	}
	return sub.take(r)
}

// Subscribe iterates over the results of a query. It ends with one error: that
// of ctx, an *RPCError if the server refuses the query or ends the
// subscription for good, ErrClientClosed, or that of the connection under
// NoReconnect. Leaving the loop unsubscribes.
func (c *Client) Subscribe(ctx context.Context, query string, o SubscribeOptions) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		sub := c.add(query, o)
		defer c.remove(sub)
		for {
			result, err := sub.next(ctx)
			if !yield(result, err) || err != nil {
				return
			}
		}
	}
}

// A clientSubscription is one loop of Subscribe.
type clientSubscription struct {
	client *Client
	id     int64
	query  string
	out    chan Result
	failed chan struct{} // closed when err is set
	gone   chan struct{} // closed when the loop is over
	err    error

	// Guarded by the client's mu.
	options  SubscribeOptions // After is where to resume
	accepted bool             // once by the server
}

func (c *Client) add(query string, o SubscribeOptions) *clientSubscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	sub := &clientSubscription{
		client: c, id: c.lastID, query: query, options: o,
		out: make(chan Result, c.options.Buffer), failed: make(chan struct{}), gone: make(chan struct{}),
	}
	c.subs[sub.id] = sub
	c.sendSubscribeLocked(sub)
	return sub
}

// remove unsubscribes.
func (c *Client) remove(sub *clientSubscription) {
	close(sub.gone)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, sub.id)
	select {
	case <-sub.failed:
	default:
		c.lastID++
		c.sendLocked(map[string]any{"jsonrpc": "2.0", "id": c.lastID, "method": "unsubscribe", "params": map[string]any{"query": sub.query}})
	}
}

func (c *Client) sendSubscribeLocked(sub *clientSubscription) {
	params := map[string]any{"query": sub.query, "after": sub.options.After}
	if sub.options.Overflow != "" {
		params["overflow"] = sub.options.Overflow
	}
	c.sendLocked(map[string]any{"jsonrpc": "2.0", "id": sub.id, "method": "subscribe", "params": params})
}

// sendLocked sends a request, if there is a connection. The caller holds c.mu.
// An error shows in the reader, which dials again and resumes.
func (c *Client) sendLocked(request map[string]any) {
	if c.ws == nil {
		return
	}
	if c.ws.SetWriteDeadline(time.Now().Add(c.options.ReadTimeout)) != nil || c.ws.WriteJSON(request) != nil {
		_ = c.ws.Close()
	}
}

// transient are reasons for which the server ends a subscription that can be
// resumed on the same connection.
var transient = []string{"too slow", "does not read", "out of capacity", "the server is stopped"}

// take hands a response to the loop.
func (s *clientSubscription) take(r *clientResponse) error {
	if r.Error != nil {
		return s.refused(r.Error)
	}
	cursor, err := history.ParseCursor(r.Result.Cursor)
	if err != nil {
		return err
	}
	if r.Result.Query != nil && (r.Result.Gap != nil || r.Result.Data.Type != "") { // else it is a heartbeat
		result := Result{Cursor: cursor, Data: unwrap(r.Result.Data), Events: r.Result.Events, Gap: r.Result.Gap}
		select {
		case s.out <- result:
		case <-s.gone:
			return nil
		case <-s.client.ctx.Done():
			return s.client.ctx.Err()
		}
	}
	s.client.mu.Lock()
	first := !s.accepted
	s.options.After, s.accepted = r.Result.Cursor, true
	s.client.mu.Unlock()
	if first && s.options.Accepted != nil {
		s.options.Accepted()
	}
	return nil
}

// refused ends the loop, or subscribes again where that may help.
func (s *clientSubscription) refused(e *RPCError) error {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.options.NoReconnect:
	case e.Code == -32000 && strings.Contains(e.Data, drainReason):
		return nil // the connection ends, and the next one subscribes again
	case e.Code == -32000 && isTransient(e.Data):
		c.sendSubscribeLocked(s)
		return nil
	case s.accepted && (strings.HasPrefix(e.Data, "max_subscription") || strings.HasPrefix(e.Data, "max_expressions ")):
		return e // the connection that was lost still counts: dial again, later
	}
	delete(c.subs, s.id)
	s.err = e
	close(s.failed)
	return nil
}

func isTransient(text string) bool {
	return slices.ContainsFunc(transient, func(reason string) bool { return strings.Contains(text, reason) })
}

// next returns the next result. What was received comes before the error.
func (s *clientSubscription) next(ctx context.Context) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	select {
	case r := <-s.out:
		return r, nil
	default:
	}
	select {
	case r := <-s.out:
		return r, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-s.failed:
	case <-s.client.done:
	}
	select {
	case r := <-s.out: // it came before the end
		return r, nil
	default:
	}
	select {
	case <-s.failed:
		return Result{}, s.err
	default:
	}
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return Result{}, s.client.err
}

// unwrap takes data out of the carrier.
func unwrap(d Data) Data {
	if d.Type != carrierType {
		return d
	}
	var text string
	var inner Data
	if json.Unmarshal(d.Value, &text) != nil || json.Unmarshal([]byte(text), &inner) != nil || inner.Type == "" {
		return d
	}
	return inner
}

// Publish publishes over POST /publish of the same server and returns the
// cursor.
func (c *Client) Publish(ctx context.Context, p Publication) (history.Cursor, error) {
	_, cursor, err := c.PublishAll(ctx, []Publication{p})
	return cursor, err
}

// PublishAll publishes several, in order, and returns how many were accepted,
// also if there is an error: the server did not take the one after them.
func (c *Client) PublishAll(ctx context.Context, list []Publication) (n int, last history.Cursor, err error) {
	body, err := json.Marshal(list)
	if err != nil {
		return 0, history.Cursor{}, fmt.Errorf("stream: publish: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, publishURL(c.url), bytes.NewReader(body))
	if err != nil {
		return 0, history.Cursor{}, fmt.Errorf("stream: publish: %w", err)
	}
	if header := c.options.Header.Clone(); header != nil {
		request.Header = header
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return 0, history.Cursor{}, fmt.Errorf("stream: publish: %w", err)
	}
	defer response.Body.Close()
	return readPublished(response)
}

// A PublishError says that the server did not accept a publication.
type PublishError struct {
	Status int    // of HTTP
	Reason string // what the server said
}

// Error says what the server said.
func (e *PublishError) Error() string {
	return fmt.Sprintf("stream: publish: the server answered %d: %s", e.Status, e.Reason)
}

func readPublished(response *http.Response) (n int, last history.Cursor, err error) {
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, history.Cursor{}, fmt.Errorf("stream: publish: %w", err)
	}
	var answer published
	if json.Unmarshal(text, &answer) != nil {
		return 0, history.Cursor{}, &PublishError{response.StatusCode, string(bytes.TrimSpace(text))}
	}
	if answer.Cursor != "" {
		if last, err = history.ParseCursor(answer.Cursor); err != nil {
			return answer.Published, last, err
		}
	}
	if response.StatusCode != http.StatusOK {
		err = &PublishError{response.StatusCode, answer.Error}
	}
	return answer.Published, last, err
}

// httpClient returns a client that connects as the dialer does.
func httpClient(d *websocket.Dialer) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: d.NetDialContext, TLSClientConfig: d.TLSClientConfig, Proxy: d.Proxy}}
}

// publishURL returns where to publish on the server of a WebSocket's URL.
func publishURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // Dial has parsed it
	}
	u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/websocket"), "/v1") + "/publish"
	u.RawQuery = ""
	return u.String()
}
