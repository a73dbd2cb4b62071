package delivery

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// Watermill is Watermill's GoChannel. It starts a goroutine for each message
// and subscriber, so that messages may overtake one another.
var Watermill = Kind{Name: "Watermill", Unordered: true, Open: openWatermill}

type mill struct{ bus *gochannel.GoChannel }

func openWatermill(readers []*Reader, capacity int) (Bus, error) {
	b := mill{gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: int64(capacity)}, watermill.NopLogger{})}
	for _, r := range readers {
		messages, err := b.bus.Subscribe(context.Background(), topic)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		go func() {
			for m := range messages {
				r.Got(binary.LittleEndian.Uint64(m.Payload))
				m.Ack()
			}
		}()
	}
	return b, nil
}

func (b mill) Publish(item *Item) error {
	return b.bus.Publish(topic, message.NewMessage("", item.Payload))
}

func (b mill) Close() error { return b.bus.Close() }
