// Package env reads where the server is from the environment.
//
//	PUBSUB_ADDR=127.0.0.1:8080                 host and port
//	PUBSUB_ADDR=wss://events.example.com/path  a WebSocket URL
//
// Clients take it as the server to connect to, [URL]; a server takes it as the
// address to listen on, [Listen].
package env

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// Addr is the name of the variable.
const Addr = "PUBSUB_ADDR"

// ErrNoAddr is the error when the variable is not set.
var ErrNoAddr = errors.New("env: " + Addr + " is not set: set it to host:port or to a ws:// or wss:// URL")

// URL returns the WebSocket URL of the server.
func URL() (*url.URL, error) {
	addr := os.Getenv(Addr)
	if addr == "" {
		return nil, ErrNoAddr
	}
	return ParseURL(addr)
}

// ParseURL reads a host:port or a WebSocket URL.
func ParseURL(addr string) (*url.URL, error) {
	if !strings.Contains(addr, "://") {
		addr = "ws://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil {
		return nil, errors.New("env: the address is no URL") // the error would have the password in it
	}
	if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("env: the address %s is neither host:port nor a ws:// or wss:// URL", u.Redacted())
	}
	return u, nil
}

// Listen returns the host:port that a server listens on, "" if the variable is
// not set.
func Listen() (string, error) {
	if os.Getenv(Addr) == "" {
		return "", nil
	}
	u, err := URL()
	if err != nil {
		return "", err
	}
	if u.Port() == "" {
		port := map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
		return net.JoinHostPort(u.Hostname(), port), nil
	}
	return u.Host, nil
}
