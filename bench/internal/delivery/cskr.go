package delivery

import "github.com/cskr/pubsub/v2"

// Cskr is cskr/pubsub: topics, and a channel for each subscriber.
var Cskr = Kind{Name: "cskr/pubsub", Open: openCskr}

type cskr struct{ bus *pubsub.PubSub[string, *Item] }

const topic = "all"

func openCskr(readers []*Reader, capacity int) (Bus, error) {
	b := cskr{pubsub.New[string, *Item](capacity)}
	for _, r := range readers {
		items := b.bus.Sub(topic)
		go func() {
			for item := range items {
				r.Got(item.Number)
			}
		}()
	}
	return b, nil
}

func (b cskr) Publish(item *Item) error {
	b.bus.Pub(item, topic)
	return nil
}

func (b cskr) Close() error {
	b.bus.Shutdown()
	return nil
}
