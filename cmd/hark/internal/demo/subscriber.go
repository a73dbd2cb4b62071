package demo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
	"github.com/harkbus/pubsub/query"
)

// A subscriber is one of those who subscribe, and a row of the table.
type subscriber struct {
	name     string
	query    string
	capacity int
	overflow pubsub.Overflow
	read     func(*subscriber) // reads sub until it ends

	sub *pubsub.Subscription
	cut atomic.Pointer[Event] // nil while it lives

	// Of the goroutine that takes the views.
	last pubsub.SubscriptionStats
	rate meter
}

// cast returns who takes part.
func (d *demo) cast() []*subscriber {
	prompt := func(name, query string) *subscriber {
		// Block, so that nothing is lost however fast the chain is: the
		// publisher's queue fills up first.
		return &subscriber{name: name, query: query, capacity: 1000, overflow: pubsub.Block, read: d.readPromptly}
	}
	return []*subscriber{
		prompt("explorer", "tm.event = 'NewBlock'"),
		prompt("wallet", fmt.Sprintf("transfer.recipient = '%s'", d.chain.Account(0))),
		prompt("whales", "transfer.amount >= 100000000"),
		prompt("governance", "message.module = 'governance' AND NOT proposal_vote.option = 'VOTE_OPTION_YES'"),
		prompt("staking", "message.action MATCHES 'Delegat(e|orReward)$'"),
		prompt("bridge", "send_packet EXISTS AND transfer.amount CONTAINS 'ibc/'"),
		prompt("alerts", "liveness.missed_blocks > 0"),
		{
			name: "dashboard", query: "tm.event IN ('NewBlock', 'Tx')",
			capacity: 1, overflow: pubsub.DropOldest, read: d.readNowAndThen,
		},
		{
			name: "stuck", query: "tm.event = 'Tx'",
			capacity: d.capacityOfStuck(), overflow: pubsub.Cancel, read: d.readUntilStuck,
		},
	}
}

func (s *subscriber) subscribe(ctx context.Context, server *pubsub.Server) error {
	q, err := query.New(s.query)
	if err != nil {
		return err
	}
	s.sub, err = server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
		ClientID: s.name, Query: q, Capacity: s.capacity, Overflow: s.overflow,
	})
	return err
}

// readPromptly takes each message as soon as it comes.
func (d *demo) readPromptly(s *subscriber) {
	for published, err := range pubsub.DataOf[stamped](context.Background(), s.sub) {
		if err == nil {
			d.latency.Record(time.Since(published.at))
		}
	}
}

// glance is how often a dashboard looks.
const glance = 250 * time.Millisecond

// readNowAndThen takes a message four times a second: with a capacity of one
// and DropOldest that is the newest.
func (d *demo) readNowAndThen(s *subscriber) {
	d.tell(fmt.Sprintf("%s takes the newest four times a second; others are dropped", s.name))
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for {
		if _, err := s.sub.Next(context.Background()); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-s.sub.Canceled():
		}
	}
}

// readUntilStuck reads promptly for a while, then not at all.
func (d *demo) readUntilStuck(s *subscriber) {
	ctx, cancel := context.WithTimeout(context.Background(), d.stuckAfter())
	defer cancel()
	for range s.sub.Messages(ctx) {
	}
	if s.sub.Err() == nil {
		d.tell(fmt.Sprintf("%s stops reading: its buffer of %s fills up", s.name, figure.Grouped(uint64(s.capacity))))
	}
	<-s.sub.Canceled()
	if err := s.sub.Err(); err != pubsub.ErrServerStopped {
		s.cut.Store(&Event{time.Since(d.start), err.Error()})
		d.tell(fmt.Sprintf("%s is cut: %v", s.name, err))
		d.tell("the others neither waited for it nor lost a message")
	}
}

// stuckAfter is when stuck stops reading.
func (d *demo) stuckAfter() time.Duration {
	if d.Duration > 0 {
		return d.Duration / 5
	}
	return 2 * time.Second
}

// capacityOfStuck is what fills up in about a tenth of the time.
func (d *demo) capacityOfStuck() int {
	const least, most = 10, 10_000
	if d.Rate == 0 {
		return most
	}
	return int(min(max(d.Rate*d.stuckAfter().Seconds()/2, least), most))
}
