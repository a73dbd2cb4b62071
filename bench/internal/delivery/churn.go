package delivery

import (
	"context"
	"errors"
	"time"

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
	close(c.begun)
	for {
		select {
		case <-c.stop:
			return nil
		default:
		}
		if err := c.change(); err != nil {
			return err
		}
	}
}

// change makes and ends one subscription.
func (c *Churn) change() error {
	ctx, q := context.Background(), c.queries[c.Count%len(c.queries)]
	c.Count++
	_, subscribed := c.server.Subscribe(ctx, "churn", q)
	return errors.Join(subscribed, c.server.Unsubscribe(ctx, "churn", q))
}

// TimeOfChange returns how long it takes to subscribe or to unsubscribe while
// nothing else happens.
func (q *Queries) TimeOfChange(queries []*query.Query) (time.Duration, error) {
	c := Churn{server: q.server, queries: queries}
	began := time.Now()
	for range queries {
		if err := c.change(); err != nil {
			return 0, err
		}
	}
	return time.Since(began) / time.Duration(2*len(queries)), nil
}
