package stream

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/harkbus/pubsub/service"
)

// CheckListen refuses to open a server to other machines by accident: an
// address that is not loopback needs authentication, or somebody who says that
// it is meant so.
func CheckListen(address string, authenticated, insecure bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("stream: listen on %q: %w", address, err)
	}
	if authenticated || insecure || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("stream: listen on %q: everybody who reaches this address could subscribe and publish: "+
		"set up authentication, listen on 127.0.0.1, or say that it is meant to be insecure", address)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// HTTPServer returns an http.Server for h, which calls s in the end; nil is s
// itself. It has limits for what comes before a handler: the number of network
// connections, the time to send a header, its size, and idle connections.
func (s *Server) HTTPServer(h http.Handler) *http.Server {
	if h == nil {
		h = s
	}
	return s.httpServer(h, s.quotas.open)
}

// AdminServer returns an http.Server for Admin, with limits of its own: however
// many connections others open, administrators are let in.
func (s *Server) AdminServer() *http.Server { return s.httpServer(s.Admin(), s.quotas.adminOpen) }

func (s *Server) httpServer(h http.Handler, limit *quota) *http.Server {
	open := &openConns{quota: limit, log: s.config.logError, conns: make(map[net.Conn]*openConn)}
	return &http.Server{
		Handler: h,

		DisableGeneralOptionsHandler: true, // which would look at no host

		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      s.config.MaxWait + s.config.WriteTimeout, // of what sets no deadline of its own
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ConnState:         open.changed,
		ErrorLog:          errorLog(s.config.Logger),
	}
}

// A Certificate is a TLS certificate in files, which is read again when they
// change. Its methods may be called from any goroutine.
type Certificate struct {
	certFile, keyFile string
	log               service.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// checkInterval is how long a certificate is used before its files are looked
// at again.
const checkInterval = time.Second

// LoadCertificate reads a certificate and its key, in PEM.
func LoadCertificate(certFile, keyFile string, log service.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// TLS returns the configuration of a listener: TLS 1.2 or later, HTTP/1.1,
// which WebSockets need.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.get(), nil
		},
	}
}

// get returns the certificate of the files. If they cannot be read the last
// one is used on.
func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= checkInterval {
		c.checked = now
		if err := c.load(); err != nil && c.log != nil {
			c.log.Error("stream: the certificate cannot be read again; the last one is used", "error", err)
		}
	}
	return c.current
}

// load reads the files if they have changed. The caller holds c.mu, or is the
// only one.
func (c *Certificate) load() error {
	var stamp [2]fileStamp
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("stream: certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	if c.current != nil && stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("stream: certificate: %w", err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

// openConns are the network connections of an http.Server that no WebSocket has
// taken over. Beyond the limit the one that has been idle for longest makes
// room; if none is, the new one is closed.
type openConns struct {
	quota *quota
	log   func(msg string, keyvals ...any)

	mu    sync.Mutex
	conns map[net.Conn]*openConn
	said  time.Time // when a refusal was logged last
}

type openConn struct {
	hold  *hold
	idle  bool      // nothing has been asked
	since time.Time // in this state
}

// newcomer is how long a connection may say nothing before it may have to make
// room.
const newcomer = time.Second

// changed is for http.Server.ConnState. A new connection is seen before it is
// read from.
func (o *openConns) changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.open(conn)
	case http.StateIdle, http.StateActive:
		o.mu.Lock()
		defer o.mu.Unlock()
		if c := o.conns[conn]; c != nil {
			c.idle, c.since = state == http.StateIdle, time.Now()
		}
	default:
		o.mu.Lock()
		defer o.mu.Unlock()
		if c := o.conns[conn]; c != nil {
			c.hold.release()
			delete(o.conns, conn)
		}
	}
}

func (o *openConns) open(conn net.Conn) {
	ip := hostOf(conn.RemoteAddr().String())
	o.mu.Lock()
	defer o.mu.Unlock()
	h, refused := o.quota.hold(ip, "", 1)
	if refused != nil && o.makeRoomLocked(networkOf(ip), refused.status == http.StatusTooManyRequests) {
		h, refused = o.quota.hold(ip, "", 1)
	}
	if refused != nil {
		_ = conn.Close()
		if now := time.Now(); now.Sub(o.said) >= time.Second {
			o.said = now
			o.log("stream: connections are refused", "remote", ip, "reason", refused.text)
		}
		return
	}
	o.conns[conn] = &openConn{hold: h, idle: true, since: time.Now()}
}

// makeRoomLocked closes the connection that has been idle for longest, of one
// address or of all, and tells whether there was one. The caller holds o.mu.
func (o *openConns) makeRoomLocked(ip string, own bool) bool {
	var oldest net.Conn
	for conn, c := range o.conns {
		switch {
		case !c.idle, time.Since(c.since) < newcomer, own && c.hold.ip != ip:
		case oldest == nil || c.since.Before(o.conns[oldest].since):
			oldest = conn
		}
	}
	if oldest == nil {
		return false
	}
	o.conns[oldest].hold.release()
	delete(o.conns, oldest)
	_ = oldest.Close()
	return true
}

// errorLog returns what http.Server logs to: connections that cannot be accepted,
// handlers that panic, and, which is of less interest, TLS handshakes that fail.
func errorLog(to service.Logger) *log.Logger { return log.New(&logWriter{to: to}, "", 0) }

// maxLines is how many lines a second a logWriter passes on: strangers cause
// them.
const maxLines = 10

// A logWriter is called by one goroutine at a time, as package log does.
type logWriter struct {
	to     service.Logger
	second time.Time // that lines are counted for
	lines  int
}

// Write implements io.Writer.
func (w *logWriter) Write(b []byte) (int, error) {
	if w.to == nil {
		return len(b), nil
	}
	if now := time.Now().Truncate(time.Second); !now.Equal(w.second) {
		if w.lines > maxLines {
			w.to.Error("stream: http: more of these", "lines", w.lines-maxLines)
		}
		w.second, w.lines = now, 0
	}
	if w.lines++; w.lines > maxLines {
		return len(b), nil
	}
	message := string(bytes.TrimSpace(b))
	if strings.Contains(message, "TLS handshake error") {
		w.to.Info("stream: http", "message", message)
	} else {
		w.to.Error("stream: http", "message", message)
	}
	return len(b), nil
}
