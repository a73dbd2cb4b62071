package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/rueidis"
)

// A subscriber keeps exact channels of one slot subscribed on a connection of
// its own. In a cluster they are sharded, and the subscriber follows the slot.
type subscriber struct {
	*member
	part     string // for error reports
	channels []string
	message  func(text string) // on the client's reading goroutine: must not wait
	up       func()            // subscribed, again
	down     func()            // not subscribed any more

	addr string // where a MOVED said that the slot is; of the goroutine of run
	once bool   // was up before
}

var errUnsubscribed = errors.New("the server ended the subscription")

// run keeps the subscription until the member ends.
func (s *subscriber) run() {
	s.try(s.part, func(ctx context.Context) (bool, error) {
		client, err := s.awaitLayout(ctx)
		if err != nil {
			return false, err
		}
		err = s.serve(ctx, client)
		s.addr = movedTo(err)
		return false, err
	})
}

// serve is the life of one connection.
func (s *subscriber) serve(ctx context.Context, client rueidis.Client) error {
	conn := s.link.dedicate(client, s.addr)
	ended := sync.OnceFunc(conn.close)
	defer ended()

	unsubscribed := make(chan struct{}, 1)
	lost := conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) {
			s.message(m.Message)
		},
		OnSubscription: func(n rueidis.PubSubSubscription) {
			if n.Kind == "sunsubscribe" || n.Kind == "unsubscribe" {
				select {
				case unsubscribed <- struct{}{}:
				default:
				}
			}
		},
	})
	if err := s.subscribe(ctx, conn); err != nil {
		return err
	}
	if s.once {
		s.counts.reconnects.Add(1)
	}
	s.once = true
	s.notes.works(s.part)
	s.up()
	defer s.down()

	var err error
	select {
	case err = <-lost:
	case <-unsubscribed: // the slot moved
		err = errUnsubscribed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	ended()
	for range lost { // until the client is done with the hooks
	}
	return fmt.Errorf("subscription to %s: %w", s.channels[0], err)
}

// subscribe subscribes to one channel per command, so that one that is refused
// does not take others along.
func (s *subscriber) subscribe(ctx context.Context, conn line) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	for _, channel := range s.channels {
		if err := conn.Do(ctx, s.link.subscribing(conn, channel)).Error(); err != nil {
			return err
		}
	}
	return nil
}

// newLiveReader returns what feeds an inbound from its channel.
func newLiveReader(b *inbound) *subscriber {
	ready := sync.OnceFunc(b.partReady)
	return &subscriber{
		member:   b.member,
		part:     "receive on partition " + strconv.Itoa(b.partition),
		channels: []string{namesOfPartition(b.opt.Namespace, b.partition, b.origin).channel},
		message: func(text string) {
			if a, err := b.admit(text); err == nil && !b.inbox.offer(a) {
				b.counts.overflow.Add(1)
			}
		},
		up: func() {
			b.inbox.offer(arrival{state: lineUp})
			ready()
		},
		down: func() { b.inbox.offer(arrival{state: lineDown}) },
	}
}
