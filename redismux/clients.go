package redismux

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/rueidis"
)

var errNoClient = errors.New("redismux: the factory returned no client")

// clients holds the one client that all links take their connections from.
type clients struct {
	factory Factory

	mu      sync.Mutex // held while the factory runs: links wait for the same client
	current rueidis.Client
}

func (c *clients) get(ctx context.Context) (rueidis.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if c.current != nil {
		return c.current, nil
	}
	client, err := c.factory(ctx)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, errNoClient
	}
	c.current = client
	return client, nil
}

// forget makes the next get call the factory, and tells whether failed, a
// client that could not connect, is to be closed: another link may have been
// faster. Connections that were taken from it stay.
func (c *clients) forget(failed rueidis.Client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != failed {
		return false
	}
	c.current = nil
	return true
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.Close()
		c.current = nil
	}
}
