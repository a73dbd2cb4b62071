package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/wire"
)

// SubscribeOptions say how to subscribe.
type SubscribeOptions struct {
	After    string // a cursor to resume after; "" is from now on
	Overflow string // the server's policy for a full buffer: "cancel", "close", "drop-oldest", "drop-newest"; "" is its default
	Buffer   int    // results that wait for the loop; default 64
	Accepted func() // called when the server has accepted it first; may be nil
}

// A Result is what a subscription received.
type Result struct {
	Cursor history.Cursor      // of the publication
	Data   Data                // zero with a Gap
	Events map[string][]string // nil with a Gap

	// Gap is not nil where something is missing; then there is no event.
	Gap *history.Gap
}

// DataAs decodes the data of a result.
func DataAs[T any](r Result) (T, error) {
	var v T
	if err := json.Unmarshal(r.Data.Value, &v); err != nil {
		return v, fmt.Errorf("client: data of type %s as %T: %w", r.Data.Type, v, err)
	}
	return v, nil
}

// Subscribe iterates over the results of a query. It ends with one error: that
// of ctx, an *RPCError if the server refuses the query or ends the subscription
// for good, ErrClosed, or why the client ended. Leaving the loop unsubscribes.
func (c *Client) Subscribe(ctx context.Context, query string, o SubscribeOptions) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		s := c.add(query, o)
		defer c.remove(s)
		for {
			result, err := s.next(ctx)
			if !yield(result, err) || err != nil {
				return
			}
		}
	}
}

// A subscription is one loop of Subscribe.
type subscription struct {
	client  *Client
	id      int64
	query   string
	options SubscribeOptions
	out     chan Result
	failed  chan struct{} // closed when err is set
	gone    chan struct{} // closed when the loop is over
	err     error

	// Guarded by the client's mu.
	after     string // where to resume
	accepted  bool   // once by the server
	confirmed bool   // by the server, on the connection there is
	left      bool   // the loop is over; whether there is something to unsubscribe is not known yet
}

func (c *Client) add(query string, o SubscribeOptions) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	s := &subscription{
		client: c, id: c.lastID, query: query, options: o, after: o.After,
		out: make(chan Result, cmp.Or(max(o.Buffer, 0), 64)), failed: make(chan struct{}), gone: make(chan struct{}),
	}
	c.subs[s.id] = s
	c.subscribeLocked(s)
	return s
}

// remove unsubscribes, once the server has confirmed the subscription: if it
// refuses it, the query is that of another loop, which goes on.
func (c *Client) remove(s *subscription) {
	close(s.gone)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.subs[s.id] == nil: // the server has ended it
	case c.up && !s.confirmed:
		s.left = true
	default:
		delete(c.subs, s.id)
		c.unsubscribeLocked(s)
	}
}

// confirm takes note that the server has answered, and tells whether there is
// still a loop.
func (c *Client) confirm(s *subscription, r *response) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.left {
		s.confirmed = s.confirmed || r.Error == nil
		return true
	}
	delete(c.subs, s.id)
	if r.Error == nil {
		c.unsubscribeLocked(s)
	}
	return false
}

// A response is a message of the server.
type response struct {
	ID     *int64    `json:"id"`
	Result result    `json:"result"`
	Error  *RPCError `json:"error"`
}

type result struct {
	Query  *string             `json:"query"`
	Cursor string              `json:"cursor"`
	Data   Data                `json:"data"`
	Events map[string][]string `json:"events"`
	Gap    *history.Gap        `json:"gap"`
}

// isHeartbeat tells whether a result has nothing but a cursor, as the answer to
// subscribe has.
func (r *result) isHeartbeat() bool {
	return r.Query == nil || r.Gap == nil && r.Data.Type == ""
}

// take hands a response to the loop.
func (s *subscription) take(ctx context.Context, r *response) error {
	if r.Error != nil {
		return s.refused(r.Error)
	}
	cursor, err := history.ParseCursor(r.Result.Cursor)
	if err != nil {
		return err
	}
	if !r.Result.isHeartbeat() {
		select {
		case s.out <- Result{Cursor: cursor, Data: r.Result.Data.unwrap(), Events: r.Result.Events, Gap: r.Result.Gap}:
		case <-s.gone:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.moved(r.Result.Cursor) && s.options.Accepted != nil {
		s.options.Accepted()
	}
	return nil
}

// moved takes note of a cursor, and tells whether it is the first.
func (s *subscription) moved(cursor string) (first bool) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	first = !s.accepted
	s.after, s.accepted = cursor, true
	return first
}

// canceled is the code of an error that ends a subscription.
const canceled = -32000

// resumable are reasons for which the server ends a subscription that can be
// resumed on the same connection.
var resumable = []string{wire.TooSlow, wire.Unreading, pubsub.ErrOutOfCapacity.Error(), pubsub.ErrServerStopped.Error()}

// refused ends the loop, or subscribes again where that may help.
func (s *subscription) refused(e *RPCError) error {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	says := func(reason string) bool { return strings.Contains(e.Data, reason) }
	switch {
	case c.conn.options.NoReconnect:
	case e.Code == canceled && (says(wire.Draining) || says(wire.Held)):
		return nil // the connection ends, and the next one subscribes again
	case e.Code == canceled && slices.ContainsFunc(resumable, says):
		c.subscribeLocked(s)
		return nil
	case s.accepted && (strings.HasPrefix(e.Data, "max_subscription") || strings.HasPrefix(e.Data, "max_expressions ")):
		return e // the connection that was lost still counts: dial again, later
	}
	delete(c.subs, s.id)
	s.err = e
	close(s.failed)
	return nil
}

// next returns the next result. What was received comes before the error.
func (s *subscription) next(ctx context.Context) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	select {
	case r := <-s.out:
		return r, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-s.failed:
	case <-s.client.Done():
	}
	select {
	case r := <-s.out: // it came before the end
		return r, nil
	default:
		return Result{}, s.reason()
	}
}

// reason returns why the loop ends, by the server or with the client.
func (s *subscription) reason() error {
	select {
	case <-s.failed:
		return s.err
	default:
	}
	if err := s.client.Error(); err != nil {
		return err
	}
	return ErrClosed
}
