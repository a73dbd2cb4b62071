package remote

import (
	"errors"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
)

// Watermill is watermill-redisstream as its documentation uses it: one message
// a call, a consumer group, an acknowledgement for each message. WatermillAll
// has the attributes as metadata.
var (
	Watermill    = Kind{Name: "watermill-redisstream", Open: watermillOpen(false), Slow: true}
	WatermillAll = Kind{Name: "watermill-redisstream, end to end", Open: watermillOpen(true), Slow: true}
)

type mill struct {
	publisher  *redisstream.Publisher
	subscriber *redisstream.Subscriber
	topic      string
	attributes bool
	payload    []byte
}

func watermillOpen(attributes bool) func(addr string, got func()) (Way, error) {
	return func(addr string, got func()) (Way, error) {
		w := &mill{topic: "watermill", attributes: attributes, payload: payload()}
		if attributes {
			w.topic += "-attributes"
		}
		var err error
		log := watermill.NopLogger{}
		w.publisher, err = redisstream.NewPublisher(redisstream.PublisherConfig{Client: redis.NewClient(&redis.Options{Addr: addr}), DefaultMaxlen: 100_000}, log)
		if err != nil {
			return nil, err
		}
		w.subscriber, err = redisstream.NewSubscriber(redisstream.SubscriberConfig{Client: redis.NewClient(&redis.Options{Addr: addr}),
			ConsumerGroup: "bench", OldestId: "0"}, log)
		if err != nil {
			return nil, err
		}
		messages, err := w.subscriber.Subscribe(background, w.topic)
		if err != nil {
			return nil, err
		}
		go func() {
			for m := range messages {
				if !w.attributes || m.Metadata.Get("tm.event") == "Tx" {
					got()
				}
				m.Ack()
			}
		}()
		return w, nil
	}
}

func (w *mill) Publish(n int) error {
	for range n {
		m := message.NewMessage(watermill.NewShortUUID(), w.payload)
		if w.attributes {
			for key, value := range Attributes {
				m.Metadata.Set(key, value)
			}
		}
		if err := w.publisher.Publish(w.topic, m); err != nil {
			return err
		}
	}
	return nil
}

func (w *mill) Close() error {
	return errors.Join(w.publisher.Close(), w.subscriber.Close())
}
