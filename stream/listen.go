package stream

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
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
		Handler:           h,
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
