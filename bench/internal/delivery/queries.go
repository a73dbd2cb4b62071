package delivery

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	comet "github.com/cometbft/cometbft/libs/pubsub"
	cometquery "github.com/cometbft/cometbft/libs/pubsub/query"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/query"
)

// A Queries is a server with a subscription for each of many queries, of which
// a publication matches few: one goroutine publishes and then receives from
// those that match.
type Queries struct {
	name    string
	events  []map[string][]string
	targets [][]int // by event: the subscriptions that must get it
	numbers []number
	next    int            // event
	server  *pubsub.Server // nil: CometBFT's

	publish func(data any, events map[string][]string) error
	receive func(subscription int) (data any, err error)
	settle  func() error // nil: nothing is left to do once all is received
	close   func() error
}

// A number is the data of one event: the pointer to it.
type number struct{ _ int }

// NewHarkQueries has Hark's server serve the queries.
func NewHarkQueries(queries []*query.Query, events []map[string][]string, targets [][]int) (*Queries, error) {
	server := pubsub.NewServer()
	q, ctx := newQueries("hark", events, targets, server.Stop)
	q.server = server
	subs := make([]*pubsub.Subscription, len(queries))
	q.publish = func(data any, events map[string][]string) error {
		return server.PublishWithEvents(ctx, data, events)
	}
	q.receive = func(i int) (any, error) {
		m, err := subs[i].Next(ctx)
		return m.Data(), err
	}
	err := server.Start()
	for i := 0; i < len(subs) && err == nil; i++ {
		subs[i], err = server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{ClientID: strconv.Itoa(i), Query: queries[i]})
	}
	return q.opened(err)
}

// NewCometBFTQueries has CometBFT's server serve the queries.
func NewCometBFTQueries(queries []*query.Query, events []map[string][]string, targets [][]int) (*Queries, error) {
	server := comet.NewServer()
	q, ctx := newQueries("CometBFT", events, targets, server.Stop)
	subs := make([]*comet.Subscription, len(queries))
	q.publish = func(data any, events map[string][]string) error {
		return server.PublishWithEvents(ctx, data, events)
	}
	q.receive = func(i int) (any, error) {
		select {
		case m := <-subs[i].Out():
			return m.Data(), nil
		case <-subs[i].Canceled():
			return nil, subs[i].Err()
		}
	}
	// It hands a message out as soon as it comes to a query that matches, and
	// then goes on trying the others, which belongs to the cost.
	q.settle = func() error {
		if _, err := server.Subscribe(ctx, "settle", cometquery.All); err != nil {
			return err
		}
		return server.Unsubscribe(ctx, "settle", cometquery.All)
	}
	err := server.Start()
	for i := 0; i < len(subs) && err == nil; i++ {
		var compiled *cometquery.Query
		if compiled, err = cometquery.New(queries[i].String()); err == nil {
			subs[i], err = server.Subscribe(ctx, strconv.Itoa(i), compiled, pubsub.DefaultCapacity)
		}
	}
	return q.opened(err)
}

func newQueries(name string, events []map[string][]string, targets [][]int, stop func() error) (*Queries, context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	return &Queries{
		name: name, events: events, targets: targets, numbers: make([]number, len(events)),
		close: func() error {
			cancel()
			return stop()
		},
	}, ctx
}

// opened returns q, closed if there is an error.
func (q *Queries) opened(err error) (*Queries, error) {
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// Close stops the server.
func (q *Queries) Close() error { return q.close() }

// Contender publishes, and receives what was published.
func (q *Queries) Contender() trial.Contender {
	return trial.Contender{Name: q.name, Sample: func(n int) (float64, error) {
		began := time.Now()
		for range n {
			event, err := q.send()
			if err == nil {
				err = q.receiveAll(event)
			}
			if err != nil {
				return 0, err
			}
		}
		if q.settle != nil {
			if err := q.settle(); err != nil {
				return 0, err
			}
		}
		return float64(time.Since(began)) / float64(n), nil
	}}
}

// Publish publishes n events with a pause before each, receives them, and
// appends to took how long each Publish took, in nanoseconds.
func (q *Queries) Publish(n int, pause time.Duration, took []float64) ([]float64, error) {
	for range n {
		time.Sleep(pause)
		began := time.Now()
		event, err := q.send()
		took = append(took, float64(time.Since(began)))
		if err == nil {
			err = q.receiveAll(event)
		}
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

// send publishes the next event.
func (q *Queries) send() (event int, err error) {
	event = q.next
	q.next = (event + 1) % len(q.events)
	return event, q.publish(&q.numbers[event], q.events[event])
}

func (q *Queries) receiveAll(event int) error {
	if len(q.targets[event]) == 0 {
		return errors.New("an event matches nothing")
	}
	for _, target := range q.targets[event] {
		got, err := q.receive(target)
		if err != nil {
			return err
		}
		if got != any(&q.numbers[event]) {
			return fmt.Errorf("subscription %d got another publication than that of event %d", target, event)
		}
	}
	return nil
}
