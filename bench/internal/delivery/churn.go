package delivery

import (
	"context"
	"errors"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// Churn subscribes and unsubscribes without a pause, beside whatever else a
// server does.
type Churn struct {
	server  *pubsub.Server
	queries []*query.Query
	begun   chan struct{} // closed before the first one
	stop    chan struct{} // closed by Stop
	ended   chan error

	Count int // subscriptions made and ended, once it has stopped
}

// StartChurn begins to subscribe to the queries, which the server of q does
// not have, one after the other, and returns when it has begun.
func (q *Queries) StartChurn(queries []*query.Query) *Churn {
	c := &Churn{server: q.server, queries: queries, begun: make(chan struct{}), stop: make(chan struct{}), ended: make(chan error)}
	go func() { c.ended <- c.run() }()
	<-c.begun
	return c
}

// Stop ends it.
func (c *Churn) Stop() error {
	close(c.stop)
	return <-c.ended
}

func (c *Churn) run() error {
	ctx := context.Background()
	close(c.begun)
	for {
		select {
		case <-c.stop:
			return nil
		default:
		}
		q := c.queries[c.Count%len(c.queries)]
		_, subscribed := c.server.Subscribe(ctx, "churn", q)
		if err := errors.Join(subscribed, c.server.Unsubscribe(ctx, "churn", q)); err != nil {
			return err
		}
		c.Count++
	}
}
