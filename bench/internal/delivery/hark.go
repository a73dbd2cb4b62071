package delivery

import (
	"context"
	"errors"
	"strconv"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// Hark, with the default policy for slow subscribers (Cancel) and readers in
// Next; and its other ways to read.
var (
	Hark         = Kind{Name: "hark", Open: harkWith(readNext)}
	HarkBatch    = Kind{Name: "hark NextBatch", Open: harkWith(readBatch)}
	HarkMessages = Kind{Name: "hark Messages", Open: harkWith(readMessages)}
	HarkOut      = Kind{Name: "hark Out", Open: harkWith(readOut)}
)

type hark struct {
	server *pubsub.Server
	ctx    context.Context
	cancel context.CancelFunc
}

func harkWith(read func(context.Context, *pubsub.Subscription, *Reader)) func([]*Reader, int) (Bus, error) {
	return func(readers []*Reader, capacity int) (Bus, error) {
		bus := &hark{server: pubsub.NewServer()}
		bus.ctx, bus.cancel = context.WithCancel(context.Background())
		if err := bus.server.Start(); err != nil {
			return nil, err
		}
		for i, r := range readers {
			sub, err := bus.server.SubscribeWithArgs(bus.ctx, pubsub.SubscribeArgs{
				ClientID: strconv.Itoa(i),
				Query:    query.All,
				Capacity: capacity,
			})
			if err != nil {
				return nil, errors.Join(err, bus.Close())
			}
			go read(bus.ctx, sub, r)
		}
		return bus, nil
	}
}

func readNext(ctx context.Context, sub *pubsub.Subscription, r *Reader) {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		r.Got(m.Data().(*Item).Number)
	}
}

func readBatch(ctx context.Context, sub *pubsub.Subscription, r *Reader) {
	batch := make([]pubsub.Message, 64)
	for {
		n, err := sub.NextBatch(ctx, batch)
		if err != nil {
			return
		}
		for i := range batch[:n] {
			r.Got(batch[i].Data().(*Item).Number)
		}
	}
}

func readMessages(ctx context.Context, sub *pubsub.Subscription, r *Reader) {
	for m, err := range sub.Messages(ctx) {
		if err != nil {
			return
		}
		r.Got(m.Data().(*Item).Number)
	}
}

func readOut(ctx context.Context, sub *pubsub.Subscription, r *Reader) {
	for out := sub.Out(); ; {
		select {
		case m := <-out:
			r.Got(m.Data().(*Item).Number)
		case <-sub.Canceled():
			return
		}
	}
}

func (b *hark) Publish(item *Item) error {
	return b.server.PublishWithEvents(b.ctx, item, item.Events)
}

func (b *hark) Close() error {
	defer b.cancel()
	return b.server.Stop()
}
