package stream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A socket is one WebSocket connection, whatever is spoken over it. gorilla
// does the handshake and reads; all that is written goes through w.
//
//	serve (one goroutine, owns the socket)
//	├─ read ─▶ handle(message)
//	├─ AfterFunc: ping
//	├─ AfterFunc: the identity expires ─▶ shutdown
//	└─ tasks: what spawn started; serve waits for them
type socket struct {
	server   *Server
	ws       *websocket.Conn
	conn     net.Conn // below ws
	w        writer
	timing   timing
	identity Identity
	id       string // unlike that of any other connection of the server
	ip       string

	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	ping   *time.Timer
	expiry *time.Timer // nil: never

	// refuse answers a message that comes when the connection is about to
	// close; nil ignores it.
	refuse func(payload []byte)

	inMessage bool // of the reader: a message has begun

	mu      sync.Mutex
	closing bool // what is read is refused; the peer's close is awaited
	ended   bool // no task may begin
	tasks   sync.WaitGroup
}

// timing is how long things may take on a socket.
type timing struct {
	ping  time.Duration
	read  time.Duration
	write time.Duration
	close time.Duration
}

// upgrade makes a socket of a request that was admitted. On an error the
// request has been answered.
func (s *Server) upgrade(u *websocket.Upgrader, t timing, w http.ResponseWriter, r *http.Request, id Identity) (*socket, error) {
	upgrader := *u
	upgrader.HandshakeTimeout = t.write
	if upgrader.ReadBufferSize == 0 {
		upgrader.ReadBufferSize = 512 // else the server's 4 KiB are kept
	}
	upgrader.WriteBufferPool = &unusedBuffers
	hijacked := &hijacker{ResponseWriter: w}
	ws, err := upgrader.Upgrade(hijacked, r, nil)
	if err != nil {
		return nil, err
	}
	sock := &socket{
		server:   s,
		ws:       ws,
		conn:     hijacked.conn.Conn,
		timing:   t,
		identity: id,
		id:       s.nextID("ws"),
		ip:       clientIP(r),
	}
	sock.ctx, sock.cancel = context.WithCancel(s.ctx)
	sock.w.init(sock.conn, t.write, s.config.QueueBytes, &s.queued, &s.writes)
	hijacked.conn.w = &sock.w
	ws.SetReadLimit(int64(s.config.MaxFrame))
	ws.SetPongHandler(func(string) error { return sock.heard() })
	ws.SetPingHandler(func(payload string) error {
		sock.w.sendPong([]byte(payload))
		return sock.heard()
	})
	return sock, nil
}

// unusedBuffers keeps gorilla from giving each connection a write buffer.
var unusedBuffers sync.Pool

// A hijacker hands gorilla a connection whose writes go through the writer.
type hijacker struct {
	http.ResponseWriter
	conn *controlConn
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &controlConn{Conn: conn}
	return h.conn, buffered, nil
}

// A controlConn is the connection that gorilla sees. Once w is set, gorilla
// writes control frames only, one a Write.
type controlConn struct {
	net.Conn
	w *writer
}

// Write implements net.Conn.
func (c *controlConn) Write(b []byte) (int, error) {
	if c.w == nil {
		return c.Conn.Write(b)
	}
	if len(b) >= 2 && b[0]&0xf == opClose {
		c.w.drop() // the peer closes, or has broken the protocol
		c.w.finish(append([]byte{}, b[2:]...))
	}
	return len(b), nil
}

// Read implements net.Conn. A peer is not taken for dead while a write to it
// is under way, which has a timeout of its own: its answer to a ping may wait
// behind what it has still to read.
func (c *controlConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if n > 0 || c.w == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !c.w.isBusy() {
			return n, err
		}
		if err := c.Conn.SetReadDeadline(time.Now().Add(c.w.timeout)); err != nil {
			return 0, err
		}
	}
}

// SetWriteDeadline implements net.Conn.
func (c *controlConn) SetWriteDeadline(t time.Time) error {
	if c.w == nil {
		return c.Conn.SetWriteDeadline(t)
	}
	return nil
}

// serve reads until the connection ends, and cleans up after it.
func (s *socket) serve(handle func(kind int, payload []byte) error, ended func()) {
	s.ping = time.AfterFunc(s.timing.ping, s.pingNow)
	err := s.read(handle)
	s.server.config.logDebug("stream: connection ends", "connection", s.id, "reason", err)
	if s.isClosing() {
		var said *websocket.CloseError
		s.linger(errors.As(err, &said))
	}
	s.end(ended)
}

// end releases everything. The reader is done.
func (s *socket) end(ended func()) {
	s.cancel()
	s.ping.Stop()
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.w.fail(net.ErrClosed)
	_ = s.conn.Close()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.tasks.Wait()
	if ended != nil {
		ended()
	}
	s.w.await()
}

// spawn runs f in a goroutine that serve waits for, unless it is too late.
func (s *socket) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.tasks.Go(f)
	}
}

func (s *socket) pingNow() {
	if s.ctx.Err() != nil {
		return
	}
	s.w.sendPing()
	s.ping.Reset(s.timing.ping)
}

// read hands each message to handle until one of the two fails. What handle
// gets is valid until it returns.
func (s *socket) read(handle func(kind int, payload []byte) error) error {
	for {
		if err := s.heard(); err != nil {
			return err
		}
		kind, r, err := s.ws.NextReader()
		if err != nil {
			return err
		}
		if err := s.readMessage(kind, r, handle); err != nil {
			return err
		}
	}
}

func (s *socket) readMessage(kind int, r io.Reader, handle func(kind int, payload []byte) error) error {
	s.begin()
	buf := readBuffers.Get().(*readBuffer)
	defer buf.release()
	payload, err := buf.readAll(r, kind == websocket.TextMessage)
	if err == errNotUTF8 && !s.isClosing() {
		s.closeNow(websocket.CloseInvalidFramePayloadData, "text is not UTF-8")
	}
	if err != nil {
		return err
	}
	s.inMessage = false
	if s.isClosing() {
		if s.refuse != nil {
			s.refuse(payload)
		}
		return nil // the peer has not seen our close yet
	}
	return aside(func() error { return handle(kind, payload) })
}

// aside runs f on a goroutine of its own and waits for it. The reader's stack
// then holds no more than reading needs, which is most of what an idle
// connection costs.
func aside(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return <-done
}

var errNotUTF8 = errors.New("stream: text is not UTF-8")

// begin gives the message that begins its time. Pongs in between do not
// lengthen it, so that nobody keeps a connection busy by the byte.
func (s *socket) begin() {
	_ = s.heard()
	s.inMessage = true
}

// heard gives the peer time until it has to be heard of again.
func (s *socket) heard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.inMessage {
		return nil
	}
	return s.ws.SetReadDeadline(time.Now().Add(s.timing.read))
}

// isClosing tells whether either side has begun to close.
func (s *socket) isClosing() bool {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	return closing || s.w.isClosing()
}

// stopReading has messages of the peer refused from now on.
func (s *socket) stopReading() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
}

// closeNow has a close frame written after all that is queued, and gives the
// peer CloseTimeout to answer.
func (s *socket) closeNow(code int, reason string) {
	s.w.finish(closePayload(code, reason))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	_ = s.ws.SetReadDeadline(time.Now().Add(s.timing.close))
}

// linger sees to it that the close frame reaches the peer: closing a
// connection with something unread would make the peer's kernel throw away
// what it has not read. After its close frame there is nothing more of it.
func (s *socket) linger(saidClose bool) {
	deadline := time.Now().Add(s.timing.close)
	timer := time.NewTimer(s.timing.close)
	defer timer.Stop()
	select {
	case <-s.w.over:
	case <-timer.C:
		return
	}
	if saidClose {
		return
	}
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || s.conn.SetReadDeadline(deadline) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(s.conn, lingerBytes))
}

// lingerBytes is how much is read of a peer that goes on sending.
const lingerBytes = 4 << 20

// kill ends the connection without a word.
func (s *socket) kill() { _ = s.conn.Close() }
