package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/internal/backoff"
	"github.com/harkbus/pubsub/internal/wire"
)

// Options configure a connection. A zero field stands for its default.
type Options struct {
	Header       http.Header       // of the requests, "Authorization" for instance; not modified
	Dialer       *websocket.Dialer // default websocket.DefaultDialer
	ReadTimeout  time.Duration     // silence of the server, which is pinged at 0.7 of it; default 60 s
	CloseTimeout time.Duration     // for the server to take something, or to answer, at the end; default 5 s
	MaxMessage   int64             // largest message that is taken, in bytes; default 32 MiB

	// Wait dials until there is a first connection, or ctx is done. What cannot
	// help is not tried again: an answer of 4xx but 429, a bad certificate.
	Wait bool

	// NoReconnect ends with the first connection.
	NoReconnect bool

	// GiveUpAfter ends a connection that could not be had for so long. Default:
	// never.
	GiveUpAfter time.Duration

	// OnConnection is called with nil when there is a connection, and with the
	// reason when it was lost or an attempt failed, and another will follow. It
	// is called by one goroutine at a time and must not wait.
	OnConnection func(error)
}

func (o Options) withDefaults() Options {
	o.Header = o.Header.Clone()
	if o.Dialer == nil {
		o.Dialer = websocket.DefaultDialer
	}
	o.ReadTimeout = cmp.Or(max(o.ReadTimeout, 0), 60*time.Second)
	o.CloseTimeout = cmp.Or(max(o.CloseTimeout, 0), 5*time.Second)
	o.MaxMessage = cmp.Or(max(o.MaxMessage, 0), 32<<20)
	if o.OnConnection == nil {
		o.OnConnection = func(error) {}
	}
	return o
}

// Errors of a connection that has ended.
var (
	ErrClosed         = errors.New("client: closed")
	ErrClosedByServer = errors.New("the client was closed by the server")
)

// A Conn is a WebSocket that is dialed again when it is lost. Most programs use
// a [Client], or packages pubclient and subclient. Its methods may be called
// from any goroutine.
//
//	serve (one goroutine, owns the WebSocket)
//	├─ read ─▶ user.receive
//	├─ keepAlive: pings; goodbye when ctx ends
//	└─ redial
type Conn struct {
	url     string
	options Options
	user    user

	ctx     context.Context // ends with the connection; its cause is why
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when serve is over
	writing sync.Mutex    // excludes writers of messages; never taken with mu held

	retry *backoff.Backoff // of whoever dials

	mu      sync.Mutex
	changed sync.Cond       // ws is set, or ctx has ended
	ws      *websocket.Conn // nil while there is none
	sent    *delivery       // on ws
	most    int             // bytes of a message that the server takes; 0: it does not say
	why     error           // there is no connection
	giveUp  *time.Timer     // nil: there is a connection, or no limit

	unconfirmed int // messages that were written, on this connection or one before
}

// A user is who has a connection. Its methods are called by one goroutine.
type user interface {
	connected()                                                  // what is sent from now on reaches the server
	lost()                                                       // and now it does not
	receive(ctx context.Context, kind int, message []byte) error // an error ends the WebSocket
}

// receiver is a user who only receives.
type receiver func(ctx context.Context, kind int, message []byte) error

func (receiver) connected() {}
func (receiver) lost()      {}

func (r receiver) receive(ctx context.Context, kind int, message []byte) error {
	if r == nil {
		return nil
	}
	return r(ctx, kind, message)
}

// Connect connects to a ws:// or wss:// URL. The connection ends with ctx. Each
// message is given to receive, one after the other, with a context that ends
// with the connection; its error ends the WebSocket, a nil receive ignores all.
// The response is that of the server, also if it refused; its body need not be
// closed.
func Connect(ctx context.Context, address string, receive func(ctx context.Context, kind int, message []byte) error, o Options) (*Conn, *http.Response, error) {
	c, err := newConn(ctx, address, receiver(receive), o)
	if err != nil {
		return nil, nil, err
	}
	response, err := c.open(ctx)
	if err != nil {
		return nil, response, err
	}
	return c, response, nil
}

// newConn returns a connection that is yet to be opened and ends with ctx.
func newConn(ctx context.Context, address string, u user, o Options) (*Conn, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "ws" && parsed.Scheme != "wss" {
		return nil, errors.New("client: the address must be a ws:// or wss:// URL")
	}
	if parsed.User != nil {
		return nil, errors.New("client: the address must have no user or password: send a token in the header Authorization")
	}
	c := &Conn{url: address, options: o.withDefaults(), user: u, done: make(chan struct{}), retry: newBackoff()}
	c.changed.L = &c.mu
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	return c, nil
}

// open dials for the first time, until ctx is done.
func (c *Conn) open(ctx context.Context) (*http.Response, error) {
	ctx, stop := either(ctx, c.ctx)
	defer stop()
	c.down(errors.New("it does not answer"))
	ws, response, err := c.dial(ctx)
	if err != nil && c.options.Wait && isTemporary(err) {
		ws, response, err = c.redial(ctx, err, isTemporary)
	}
	if err != nil {
		c.cancel(err)
		c.setUp(nil)
		return response, err
	}
	context.AfterFunc(c.ctx, c.wake)
	go c.serve(ws)
	return response, nil
}

// either returns a context that ends with a or with b, for the same cause.
func either(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
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

// isTemporary tells whether dialing again may help.
func isTemporary(err error) bool {
	var refused *dialError
	if errors.As(err, &refused) {
		return refused.status >= 500 || refused.status == http.StatusTooManyRequests
	}
	var certificate *tls.CertificateVerificationError
	return !errors.As(err, &certificate)
}

// always is for whoever was let in before: a token may be renewed, a path come
// back.
func always(error) bool { return true }

func (c *Conn) dial(ctx context.Context) (*websocket.Conn, *http.Response, error) {
	ws, response, err := c.options.Dialer.DialContext(ctx, c.url, c.options.Header.Clone())
	switch {
	case ctx.Err() != nil:
		if err == nil {
			_ = ws.Close()
		}
		return nil, response, c.unconnected(ctx)
	case err != nil && response != nil:
		return nil, response, fmt.Errorf("client: connect: %w", &dialError{response.StatusCode, err})
	case err != nil:
		return nil, nil, fmt.Errorf("client: connect: %w", err)
	}
	ws.SetReadLimit(c.options.MaxMessage)
	most, _ := strconv.Atoi(response.Header.Get(wire.MaxMessageHeader)) // other servers do not say
	c.mu.Lock()
	c.most = most
	c.mu.Unlock()
	c.options.OnConnection(nil)
	return ws, response, nil
}

// unconnected returns why dialing ended with ctx.
func (c *Conn) unconnected(ctx context.Context) error {
	if err := context.Cause(c.ctx); err != nil {
		return err
	}
	return fmt.Errorf("client: connect: %w", context.Cause(ctx))
}

// Delays before attempts to dial again: a random part of one that doubles.
const (
	minDelay = 100 * time.Millisecond
	maxDelay = 10 * time.Second
)

func newBackoff() *backoff.Backoff { return backoff.New(minDelay, maxDelay) }

// redial dials until there is a connection, ctx is done, or an error is not
// worth another attempt.
func (c *Conn) redial(ctx context.Context, why error, worthwhile func(error) bool) (*websocket.Conn, *http.Response, error) {
	for {
		c.down(why)
		c.options.OnConnection(why)
		if c.retry.Wait(ctx) != nil {
			return nil, nil, c.unconnected(ctx)
		}
		ws, response, err := c.dial(ctx)
		if err == nil || ctx.Err() != nil || !worthwhile(err) {
			return ws, response, err
		}
		why = err
	}
}

// down takes note that there is no connection, and has c end if that lasts.
func (c *Conn) down(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws, c.why = nil, why
	if c.giveUp != nil || c.options.GiveUpAfter <= 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(c.options.GiveUpAfter, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.giveUp == timer {
			c.cancel(fmt.Errorf("gave up after %v without the server: %w", c.options.GiveUpAfter, c.why))
		}
	})
	c.giveUp = timer
}

// setUp takes note of a connection, or that none is looked for any more.
func (c *Conn) setUp(ws *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws, c.sent = ws, new(delivery)
	if c.giveUp != nil {
		c.giveUp.Stop()
		c.giveUp = nil
	}
	c.changed.Broadcast()
}

// wake has writers look whether c has ended.
func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}

// serve reads, and dials again, until the connection ends.
func (c *Conn) serve(ws *websocket.Conn) {
	defer close(c.done)
	defer c.setUp(nil)
	for ws != nil {
		c.setUp(ws)
		c.user.connected()
		err := c.read(ws, c.sent)
		c.user.lost()
		if !errors.Is(err, errUnusable) { // else delays go on growing
			c.retry = newBackoff()
		}
		if c.options.NoReconnect {
			c.cancel(err)
		}
		if c.ctx.Err() != nil {
			return
		}
		ws, _, _ = c.redial(c.ctx, err, always)
	}
}

// read reads one WebSocket to its end.
func (c *Conn) read(ws *websocket.Conn, d *delivery) error {
	defer c.keepAlive(ws, d)()
	ws.SetPongHandler(func(payload string) error {
		c.ponged(d, payload)
		return c.heard(ws)
	})
	answer := ws.PingHandler()
	ws.SetPingHandler(func(payload string) error {
		_ = c.heard(ws)
		return answer(payload)
	})
	for {
		_ = c.heard(ws)
		kind, message, err := ws.ReadMessage()
		if err != nil {
			c.ended(d, err)
			return lostBecause(err)
		}
		if err := c.user.receive(c.ctx, kind, message); err != nil {
			return fmt.Errorf("%w: %w", errUnusable, err)
		}
	}
}

// errUnusable is wrapped by the error for a WebSocket that its user had no use
// for.
var errUnusable = errors.New("client: connection ended")

// lostBecause returns the error for a WebSocket that was lost.
func lostBecause(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		return fmt.Errorf("%w: %w", ErrClosedByServer, closed)
	}
	return fmt.Errorf("client: connection lost: %w", err)
}

// heard gives the server time until it has to be heard of again, unless it has
// been told goodbye.
func (c *Conn) heard(ws *websocket.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil
	}
	return ws.SetReadDeadline(time.Now().Add(c.options.ReadTimeout))
}

// keepAlive pings, and says goodbye when ctx ends.
func (c *Conn) keepAlive(ws *websocket.Conn, d *delivery) (stop func()) {
	over := make(chan struct{})
	var pings sync.WaitGroup
	pings.Go(func() {
		ticker := time.NewTicker(c.options.ReadTimeout * 7 / 10)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.keepUp(ws, d)
			case <-over:
				return
			}
		}
	})
	unwatch := context.AfterFunc(c.ctx, func() { c.sayGoodbye(ws, d) })
	return func() {
		unwatch()
		close(over)
		_ = ws.Close()
		pings.Wait()
	}
}

// A TooLargeError says that the server takes no message of this size. The
// connection is as it was.
type TooLargeError struct{ Size, Max int } // in bytes

// Error names the sizes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("client: the message has %d bytes; the server takes %d", e.Size, e.Max)
}

// Write sends a message. Its error is a *TooLargeError if the server does not
// take one of this size. It waits as long as the server does not read, and while
// the connection is dialed again. What was written when a connection broke is
// sent again on the next one.
func (c *Conn) Write(kind int, message []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	var broken *websocket.Conn
	for {
		ws, sent, err := c.await(broken, len(message))
		if err != nil {
			return err
		}
		if err = ws.SetWriteDeadline(time.Time{}); err == nil {
			err = c.writeMessage(ws, sent, kind, message)
		}
		switch {
		case err == nil:
			return nil
		case c.options.NoReconnect:
			return fmt.Errorf("client: write: %w", err)
		}
		_ = ws.Close() // the reader notices and dials again
		broken = ws
	}
}

// await returns a WebSocket that is not broken and takes a message of size
// bytes.
func (c *Conn) await(broken *websocket.Conn, size int) (*websocket.Conn, *delivery, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.ctx.Err() == nil && (c.ws == nil || c.ws == broken) {
		c.changed.Wait()
	}
	if c.ctx.Err() != nil {
		return nil, nil, context.Cause(c.ctx)
	}
	if c.most > 0 && size > c.most {
		return nil, nil, &TooLargeError{Size: size, Max: c.most}
	}
	return c.ws, c.sent, nil
}

// send sends a text message if there is a connection, for a user who says it
// again on the next one.
func (c *Conn) send(message []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	ws := c.ws
	c.mu.Unlock()
	if ws == nil {
		return
	}
	if ws.SetWriteDeadline(time.Now().Add(c.options.ReadTimeout)) != nil || ws.WriteMessage(websocket.TextMessage, message) != nil {
		_ = ws.Close() // the reader notices and dials again
	}
}

// Close ends the connection and returns when it has ended. The server gets
// CloseTimeout for each part of what was written that it takes, and its answer to
// the goodbye confirms all. The error is an *UnconfirmedError if it has not
// confirmed all that was ever written, on connections that were lost too.
func (c *Conn) Close() error {
	c.cancel(ErrClosed)
	<-c.done
	return c.left()
}

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Error returns why the connection ended: nil while it has not, and after
// Close.
func (c *Conn) Error() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	if err := context.Cause(c.ctx); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}
