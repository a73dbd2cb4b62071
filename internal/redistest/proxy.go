package redistest

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Proxy stands between clients and one server and brings faults. At first it
// passes everything. Its methods may be called from any goroutine.
//
//	Cut        ends the connections of now
//	Refuse     nobody listens: a dial is refused at once
//	Blackhole  connections stay and new ones are taken, but no byte passes
//	Delay      every chunk of bytes, both ways, waits before it passes
//	Limit      so many bytes a second pass, each way, of all connections
//	CutOn      ends a connection in which the client says a word
type Proxy struct {
	Addr string // host:port; clients dial it

	target string
	wg     sync.WaitGroup // of every goroutine

	mu       sync.Mutex
	changed  *sync.Cond // on mu: a fault began or ended, or the proxy closed
	listener net.Listener
	conns    map[net.Conn]struct{} // both sides of every connection
	dials    int
	hole     bool
	delay    time.Duration
	rate     int          // bytes a second; 0: as many as come
	free     [2]time.Time // when the link is free again, each way
	passed   [2]int       // bytes, each way
	word     []byte
	closed   bool
}

// StartProxy starts a proxy before the server at target, closed with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := NewProxy(target)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// NewProxy is StartProxy for a TestMain. The caller closes the proxy.
func NewProxy(target string) (*Proxy, error) {
	p := &Proxy{target: target, conns: make(map[net.Conn]struct{})}
	p.changed = sync.NewCond(&p.mu)
	var err error
	for range 20 { // another process may take the port between the look and the bind
		p.Addr = net.JoinHostPort(host, strconv.Itoa(freePort()))
		if err = p.listen(); err == nil {
			return p, nil
		}
	}
	return nil, err
}

func (p *Proxy) listen() error {
	listener, err := net.Listen("tcp", p.Addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.listener = listener
	p.mu.Unlock()
	p.wg.Go(func() { p.accept(listener) })
	return nil
}

// accept ends when the listener is closed.
//
//	accept ── serve ─┬─ pump client → server
//	                 └─ pump server → client
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.dials++
		p.mu.Unlock()
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.add(client) {
		return
	}
	defer p.remove(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.add(server) {
		return
	}
	defer p.remove(server)

	ended := make(chan struct{}, 2)
	p.wg.Go(func() { p.pump(server, client, up, p.isForbidden); ended <- struct{}{} })
	p.wg.Go(func() { p.pump(client, server, down, nil); ended <- struct{}{} })
	<-ended
}

// pump copies until one side ends, or the client says the forbidden word.
func (p *Proxy) pump(to, from net.Conn, way int, forbidden func([]byte) bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.pass(from) || forbidden != nil && forbidden(buf[:n]) {
				return
			}
			if p.forward(to, buf[:n], way) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// The ways through a proxy.
const (
	up   = iota // client → server
	down        // server → client
)

// smallest is how much passes at once where there is a limit.
const smallest = 2 << 10

// forward writes b as fast as the limit allows.
func (p *Proxy) forward(to net.Conn, b []byte, way int) error {
	for len(b) > 0 {
		n, wait := p.take(len(b), way)
		if wait > 0 {
			time.Sleep(wait)
		}
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// take returns how many of n bytes pass next, and when.
func (p *Proxy) take(n, way int) (some int, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate > 0 {
		n = min(n, smallest)
		now := time.Now()
		if p.free[way].Before(now) {
			p.free[way] = now
		}
		p.free[way] = p.free[way].Add(time.Duration(n) * time.Second / time.Duration(p.rate))
		wait = p.free[way].Sub(now)
	}
	p.passed[way] += n
	return n, wait
}

// Limit lets so many bytes a second pass, each way, of all connections
// together; 0 lets all pass.
func (p *Proxy) Limit(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// Passed returns how many bytes have passed to the server and to clients.
func (p *Proxy) Passed() (toServer, toClients int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[up], p.passed[down]
}

// pass waits out a delay and a black hole. It is false when the connection
// ended meanwhile.
func (p *Proxy) pass(conn net.Conn) bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hole && p.isOpenLocked(conn) {
		p.changed.Wait()
	}
	return p.isOpenLocked(conn)
}

// isOpenLocked tells whether conn was neither cut nor closed. The caller holds
// p.mu.
func (p *Proxy) isOpenLocked(conn net.Conn) bool {
	_, open := p.conns[conn]
	return open
}

func (p *Proxy) isForbidden(said []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.word) > 0 && bytes.Contains(said, p.word)
}

func (p *Proxy) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *Proxy) remove(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// Dials returns how many connections clients have made so far.
func (p *Proxy) Dials() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}

// Open returns how many connections of clients stand now.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}

// Cut ends every connection of now with a reset, and returns how many of
// clients they were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.conns) / 2
	for conn := range p.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
		delete(p.conns, conn)
	}
	p.changed.Broadcast()
	return n
}

// Refuse makes every dial fail at once, or ends that. It leaves the
// connections of now alone.
func (p *Proxy) Refuse(t testing.TB, refuse bool) {
	t.Helper()
	p.mu.Lock()
	listener := p.listener
	if refuse {
		p.listener = nil
	}
	p.mu.Unlock()
	switch {
	case refuse && listener != nil:
		require.NoError(t, listener.Close())
	case !refuse && listener == nil:
		require.NoError(t, p.listen())
	}
}

// Blackhole makes every byte disappear from sight, on the connections of now
// and on new ones, or ends that: then what was held back passes.
func (p *Proxy) Blackhole(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = on
	p.changed.Broadcast()
}

// Delay makes every chunk of bytes wait for d before it passes.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// CutOn ends every connection whose client says word, before the server hears
// it; "" ends nothing any more. The word must come within one segment, as it
// does in a pipelined command.
func (p *Proxy) CutOn(word string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.word = []byte(word)
}

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	listener := p.listener
	p.listener = nil
	p.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
	}
	p.Cut()
	p.wg.Wait()
}
