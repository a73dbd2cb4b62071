package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
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
	connection
	ws     *websocket.Conn
	conn   *watchedConn // below ws
	timing timing
	ping   *time.Timer
	limit  int // bytes of a message

	deflates bool // the client takes compressed messages, and may send them

	// refusal answers a message that comes when the connection is about to
	// close; nil ignores it.
	refusal func(payload []byte)

	inMessage bool // of the reader: a message has begun

	readMu   sync.Mutex
	refusing bool // what is read is refused; the peer's close is awaited
}

// timing is how long things may take on a socket.
type timing struct {
	ping  time.Duration
	read  time.Duration
	write time.Duration
	close time.Duration
}

// upgrade makes a WebSocket of the request that s was made for, and registers
// it. On an error the request has been answered, and s released.
func (s *socket) upgrade(u *websocket.Upgrader, t timing, limit int, w http.ResponseWriter, r *http.Request, header http.Header) error {
	upgrader, v := *u, s.visit
	upgrader.HandshakeTimeout = t.write
	if upgrader.ReadBufferSize == 0 {
		upgrader.ReadBufferSize = 256 // for headers and small requests: what is larger is read past it; 0 would keep the server's 4 KiB
	}
	upgrader.WriteBufferPool = &unusedBuffers
	s.deflates = upgrader.EnableCompression && offersDeflate(r.Header)
	upgrader.EnableCompression = s.deflates
	if !r.ProtoAtLeast(1, 1) {
		s.abandon()
		http.Error(w, "a WebSocket needs HTTP/1.1", http.StatusBadRequest)
		return errOldHTTP
	}
	hijacked := &hijacker{ResponseWriter: w}
	ws, err := upgrader.Upgrade(hijacked, r, header)
	if err != nil {
		s.abandon()
		return err
	}
	s.ws, s.conn, s.timing, s.limit, s.transport = ws, hijacked.conn, t, limit, s
	s.w.init(s.conn.Conn, t.write, s.server.config.QueueBytes, &s.server.queued, &s.server.writes)
	s.w.failed, s.w.slow, s.w.farewell = s.cancel, v.stalled, s.farewell
	s.conn.w = &s.w
	ws.SetReadLimit(int64(limit))
	ws.SetPongHandler(func(string) error { return s.heard() })
	ws.SetPingHandler(func(payload string) error {
		s.w.sendPong([]byte(payload))
		return s.heard()
	})
	ws.SetCloseHandler(s.peerCloses)
	v.entry.answered(http.StatusSwitchingProtocols)
	s.start()
	return nil
}

var errOldHTTP = errors.New("stream: a WebSocket needs HTTP/1.1")

// abandon releases a socket that never was one.
func (s *socket) abandon() {
	s.cancel()
	s.drop()
}

// unusedBuffers keeps gorilla from giving each connection a write buffer.
var unusedBuffers sync.Pool

// A hijacker hands gorilla a connection that is watched.
type hijacker struct {
	http.ResponseWriter
	conn *watchedConn
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &watchedConn{Conn: conn}
	return h.conn, buffered, nil
}

// A watchedConn is the connection that gorilla sees. Once w is set gorilla reads
// from it; it writes nothing that counts, since the socket answers pings, closes
// and faults itself.
type watchedConn struct {
	net.Conn
	w    *writer
	tail [7]byte // what was read last
}

// Write implements net.Conn.
func (c *watchedConn) Write(b []byte) (int, error) {
	if c.w == nil {
		return c.Conn.Write(b)
	}
	return len(b), nil
}

// Read implements net.Conn. A peer is not taken for dead while a write to it
// is under way, which has a timeout of its own: its answer to a ping may wait
// behind what it has still to read.
func (c *watchedConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if n > 0 {
			kept := copy(c.tail[:], c.tail[min(n, len(c.tail)):])
			copy(c.tail[kept:], b[max(0, n-len(c.tail)):n])
		}
		if n > 0 || c.w == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !c.w.isBusy() {
			return n, err
		}
		if err := c.Conn.SetReadDeadline(time.Now().Add(c.w.timeout)); err != nil {
			return 0, err
		}
	}
}

// endsInBadClose tells whether the last frame was a close frame with a payload
// of one byte, which gorilla takes for an empty one: its header, its mask and
// the byte.
func (c *watchedConn) endsInBadClose() bool {
	return c.tail[0] == finalBit|opClose && c.tail[1] == maskBit|1
}

// SetWriteDeadline implements net.Conn.
func (c *watchedConn) SetWriteDeadline(t time.Time) error {
	if c.w == nil {
		return c.Conn.SetWriteDeadline(t)
	}
	return nil
}

// serve reads until the connection ends, and cleans up after it.
func (s *socket) serve(handle func(kind int, payload []byte) error, ended func()) {
	s.ping = time.AfterFunc(math.MaxInt64, s.pingNow)
	s.ping.Reset(s.timing.ping) // not before ping is set
	err := s.read(handle)
	s.answerFault(err)
	s.server.config.logDebug("stream: connection ends", "connection", s.id, "reason", err)
	if s.isClosing() {
		s.linger(isCloseError(err))
	}
	s.ping.Stop()
	_ = s.conn.Close()
	s.release()
	ended()
	s.server.remove(&s.connection)
}

// peerCloses answers the peer's close frame with its own code. What is queued
// is for nobody now.
func (s *socket) peerCloses(code int, _ string) error {
	s.w.drop()
	if code == websocket.CloseNoStatusReceived && s.conn.endsInBadClose() {
		s.w.finish(closePayload(websocket.CloseProtocolError, "bad close frame"))
		return nil
	}
	s.w.finish(websocket.FormatCloseMessage(code, ""))
	return nil
}

// answerFault closes a connection whose peer has broken the protocol, or sent
// too much.
func (s *socket) answerFault(err error) {
	text, fault := strings.CutPrefix(err.Error(), "websocket: ")
	closed := isCloseError(err)
	if isTimeout(err) && !s.isClosing() {
		s.visit.refused(refusedTime)
	}
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		s.visit.refused(refusedSize)
		s.w.drop()
		s.w.finish(closePayload(websocket.CloseMessageTooBig, fmt.Sprintf("a message may have %d bytes", s.limit)))
	case fault && !closed:
		s.w.drop()
		s.w.finish(closePayload(websocket.CloseProtocolError, text))
	}
}

func isCloseError(err error) bool {
	var closed *websocket.CloseError
	return errors.As(err, &closed)
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
	buf := s.visit.newReadBuffer()
	defer buf.release()
	if s.deflates {
		buf.extra = inflaterBytes
		r = &inflated{r, s.limit}
	}
	payload, err := buf.readAll(r, kind == websocket.TextMessage)
	if err == errNotUTF8 && !s.isClosing() {
		s.goodbye(ending{websocket.CloseInvalidFramePayloadData, "text is not UTF-8"})
	}
	var refused *refusal
	if errors.As(err, &refused) {
		s.goodbye(ending{closeTryAgainLater, refused.text})
	}
	if err != nil {
		return err
	}
	s.inMessage = false
	if s.isClosing() {
		if s.refusal != nil {
			s.refusal(payload)
		}
		return nil // the peer has not seen our close yet
	}
	return aside(func() error { return handle(kind, payload) })
}

// An inflated message is read up to a limit, which gorilla keeps of what is on
// the wire alone.
type inflated struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (i *inflated) Read(b []byte) (int, error) {
	n, err := i.r.Read(b[:min(len(b), i.left+1)])
	if i.left -= n; i.left < 0 {
		return 0, websocket.ErrReadLimit
	}
	return n, err
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
	s.readMu.Lock()
	defer s.readMu.Unlock()
	if s.refusing || s.inMessage {
		return nil
	}
	return s.ws.SetReadDeadline(time.Now().Add(s.timing.read))
}

// isClosing tells whether either side has begun to close.
func (s *socket) isClosing() bool {
	s.readMu.Lock()
	refusing := s.refusing
	s.readMu.Unlock()
	return refusing || s.w.isClosing()
}

// refuse implements transport.
func (s *socket) refuse() {
	s.readMu.Lock()
	s.refusing = true
	s.readMu.Unlock()
}

// goodbye implements transport: the peer gets CloseTimeout to answer.
func (s *socket) goodbye(e ending) {
	s.w.finish(closePayload(e.code, e.reason))
	s.readMu.Lock()
	defer s.readMu.Unlock()
	s.refusing = true
	_ = s.ws.SetReadDeadline(time.Now().Add(s.timing.close))
}

// cut implements transport.
func (s *socket) cut() { _ = s.conn.Close() }

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
	half, ok := s.conn.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || s.conn.SetReadDeadline(deadline) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(s.conn, lingerBytes))
}

// lingerBytes is how much is read of a peer that goes on sending.
const lingerBytes = 4 << 20
