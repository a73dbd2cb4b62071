package delivery

import (
	"context"
	"errors"
	"strconv"

	comet "github.com/cometbft/cometbft/libs/pubsub"
	cometquery "github.com/cometbft/cometbft/libs/pubsub/query"
)

// CometBFT is the server of CometBFT.
var CometBFT = Kind{Name: "CometBFT", Open: openCometBFT}

type cometBFT struct {
	server *comet.Server
	ctx    context.Context
	cancel context.CancelFunc
}

func openCometBFT(readers []*Reader, capacity int) (Bus, error) {
	bus := &cometBFT{server: comet.NewServer()}
	bus.ctx, bus.cancel = context.WithCancel(context.Background())
	if err := bus.server.Start(); err != nil {
		return nil, err
	}
	for i, r := range readers {
		sub, err := bus.server.Subscribe(bus.ctx, strconv.Itoa(i), cometquery.All, capacity)
		if err != nil {
			return nil, errors.Join(err, bus.Close())
		}
		go func() {
			for {
				select {
				case m := <-sub.Out():
					r.Got(m.Data().(*Item).Number)
				case <-sub.Canceled():
					return
				}
			}
		}()
	}
	return bus, nil
}

func (b *cometBFT) Publish(item *Item) error {
	return b.server.PublishWithEvents(b.ctx, item, item.Events)
}

func (b *cometBFT) Close() error {
	defer b.cancel()
	return b.server.Stop()
}
