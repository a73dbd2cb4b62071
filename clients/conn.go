package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/internal/backoff"
)

// Roles of a client.
const (
	Publisher  = "publisher"
	Subscriber = "subscriber"
)

// Headers of the request, and of the answer to it.
const (
	ClientTypeHeader = "pubsub"             // the role
	ClientNameHeader = "pubsub-client-name" // optional
	maxMessageHeader = "pubsub-max-message" // in the answer: bytes of a message that the server takes
)

// A Conn is a client's connection to a topic. Its methods may be called from
// any goroutine.
type Conn struct {
	options Options
	url     string
	role    string
	receive func(ctx context.Context, kind int, message []byte) error

	ctx     context.Context // ends with the connection
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when serve is over
	writing sync.Mutex    // excludes writers of messages; never held with mu

	mu      sync.Mutex
	ws      *websocket.Conn // nil while it is dialled again
	dialled chan struct{}   // closed when ws is set, or the connection ends
	gone    chan struct{}   // closed when ws is lost
	most    int             // bytes of a message that the server takes; 0: not known
	closing bool            // Close was called
	err     error
}

var errClosed = errors.New("clients: the client is closed")

// Dial connects to the topic that the path of u names, in a role. Each message
// is given to receive, one after the other; a nil receive ignores them. The
// response is that of the server, also if it refused; its body need not be
// closed.
func Dial(ctx context.Context, u *url.URL, role string, receive func(ctx context.Context, kind int, message []byte) error, options ...Options) (*Conn, *http.Response, error) {
	if u == nil {
		return nil, nil, errors.New("clients: the URL is nil")
	}
	c := &Conn{options: FlattenClientOptions(options), url: u.String(), role: role, receive: receive, done: make(chan struct{}), dialled: make(chan struct{})}
	ws, response, err := c.dial(ctx)
	if err != nil {
		return nil, response, err
	}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.connected(ws)
	c.options.OnConnection(nil)
	go c.serve(ws)
	return c, response, nil
}

func (c *Conn) dial(ctx context.Context) (*websocket.Conn, *http.Response, error) {
	ws, response, err := c.options.WebsocketDialer.DialContext(ctx, c.url, c.options.header(c.role))
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: the server answered %s", err, response.Status)
		}
		return nil, response, fmt.Errorf("clients: connect: %w", err)
	}
	ws.SetReadLimit(c.options.MaxMessage)
	most, _ := strconv.Atoi(response.Header.Get(maxMessageHeader)) // other servers do not say
	c.mu.Lock()
	c.most = most
	c.mu.Unlock()
	return ws, response, nil
}

func (c *Conn) connected(ws *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws, c.gone = ws, make(chan struct{})
	close(c.dialled)
}

// serve reads, and dials again, until the connection ends.
func (c *Conn) serve(ws *websocket.Conn) {
	defer close(c.done)
	for {
		err := c.read(ws)
		_ = ws.Close()
		if !c.lost(err) {
			return
		}
		c.options.OnConnection(lostBecause(err))
		if ws = c.redial(); ws == nil {
			return
		}
		c.connected(ws)
		c.options.OnConnection(nil)
	}
}

// lost takes note of the end of a WebSocket, and tells whether to dial again.
func (c *Conn) lost(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.gone)
	if c.options.Reconnect && !c.closing && c.ctx.Err() == nil {
		c.ws, c.dialled = nil, make(chan struct{})
		return true
	}
	c.endLocked(err)
	return false
}

// endLocked ends the connection for good. The caller holds c.mu.
func (c *Conn) endLocked(err error) {
	switch {
	case c.closing:
		err = nil
	case c.ctx.Err() != nil:
		err = c.ctx.Err()
	default:
		err = lostBecause(err)
	}
	c.err = err
	if c.ws == nil {
		close(c.dialled)
	}
	c.cancel(errClosed)
}

// lostBecause returns the error for a WebSocket that was lost.
func lostBecause(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		return fmt.Errorf("%w: %w", ErrClosedByServer, closed)
	}
	return fmt.Errorf("clients: %w", err)
}

// Delays before the first and the later attempts to dial again: each is a
// random part of one that doubles.
const (
	minDelay = 100 * time.Millisecond
	maxDelay = 10 * time.Second
)

// redial returns nil if the connection is to end.
func (c *Conn) redial() *websocket.Conn {
	for retry := backoff.New(minDelay, maxDelay); retry.Wait(c.ctx) == nil; {
		ws, _, err := c.dial(c.ctx)
		if err == nil {
			return ws
		}
		if c.ctx.Err() == nil {
			c.options.OnConnection(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(c.ctx.Err())
	return nil
}

// read reads one WebSocket to its end.
func (c *Conn) read(ws *websocket.Conn) error {
	stop := c.keepAlive(ws)
	defer stop()
	heard := func(string) error { return ws.SetReadDeadline(time.Now().Add(*c.options.PongDeadline)) }
	ws.SetPongHandler(heard)
	answer := ws.PingHandler()
	ws.SetPingHandler(func(payload string) error {
		_ = heard("")
		return answer(payload)
	})
	for {
		_ = heard("")
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if c.receive == nil {
			continue
		}
		if err := c.receive(c.ctx, kind, message); err != nil {
			return err
		}
	}
}

// keepAlive pings, and ends the WebSocket with the context.
func (c *Conn) keepAlive(ws *websocket.Conn) (stop func()) {
	interval := *c.options.PongDeadline * 7 / 10
	var ping *time.Timer
	var mu sync.Mutex
	stopped := false
	mu.Lock() // until ping is set
	ping = time.AfterFunc(interval, func() {
		_ = ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(*c.options.PongDeadline/2))
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			ping.Reset(interval)
		}
	})
	mu.Unlock()
	unwatch := context.AfterFunc(c.ctx, func() {
		_ = c.sayGoodbye(ws)
	})
	return func() {
		unwatch()
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		ping.Stop()
	}
}

// sayGoodbye sends a close frame and gives the server CloseDeadline to answer.
func (c *Conn) sayGoodbye(ws *websocket.Conn) error {
	deadline := time.Now().Add(*c.options.CloseDeadline)
	err := ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline)
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) {
		_ = ws.Close()
		return err
	}
	return ws.UnderlyingConn().SetReadDeadline(deadline) // ends a server that goes on sending, too
}

// A TooLargeError says that the server takes no message of this size. The
// connection is as it was.
type TooLargeError struct{ Size, Max int } // in bytes

// Error names the sizes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("clients: the message has %d bytes; the server takes %d", e.Size, e.Max)
}

// Write sends a message. Its error is a *TooLargeError if the server does not
// take one of this size. While the connection is dialled again it waits.
func (c *Conn) Write(kind int, message []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	for {
		c.mu.Lock()
		ws, dialled, lost, most, err := c.ws, c.dialled, c.gone, c.most, c.endedLocked()
		c.mu.Unlock()
		if err == nil && ws != nil && most > 0 && len(message) > most {
			return &TooLargeError{Size: len(message), Max: most}
		}
		if err != nil {
			return err
		}
		if ws == nil {
			<-dialled
			continue
		}
		err = ws.WriteMessage(kind, message)
		if err == nil {
			return nil
		}
		if !c.options.Reconnect {
			return fmt.Errorf("clients: write: %w", err)
		}
		_ = ws.Close() // the reader notices and dials again
		<-lost
	}
}

// endedLocked returns why nothing can be written any more. The caller holds
// c.mu.
func (c *Conn) endedLocked() error {
	switch {
	case c.err != nil:
		return c.err
	case c.closing:
		return errClosed
	}
	return c.ctx.Err()
}

// Close ends the connection and returns when it has ended. The second call
// does nothing but wait.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	c.mu.Unlock()
	if first {
		c.cancel(errClosed)
	}
	<-c.done
	return nil
}

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Error returns why the connection ended: nil while it has not, and after
// Close.
func (c *Conn) Error() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
