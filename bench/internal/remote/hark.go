package remote

import (
	"errors"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/redisbridge"
)

// Hark's own ways: the payload alone, published on a server and seen by an
// observer of another one; and end to end, published by the bridge, with
// attributes that one subscription matches. The window is smaller than the
// outbox, so that Server.Publish drops nothing.
var (
	HarkLive       = Kind{Name: "hark live", Open: harkOpen(redisbridge.Live, false)}
	HarkDurable    = Kind{Name: "hark durable", Open: harkOpen(redisbridge.Durable, false)}
	HarkLiveAll    = Kind{Name: "hark live, end to end", Open: harkOpen(redisbridge.Live, true)}
	HarkDurableAll = Kind{Name: "hark durable, end to end", Open: harkOpen(redisbridge.Durable, true)}
)

type hark struct {
	servers    [2]*pubsub.Server
	bridges    [2]*redisbridge.Bridge
	attributes bool
	payload    []byte
}

func harkOpen(mode redisbridge.Mode, attributes bool) func(addr string, got func()) (Way, error) {
	return func(addr string, got func()) (Way, error) {
		h := &hark{attributes: attributes, payload: payload()}
		redis, err := redisbridge.ParseURL("redis://" + addr)
		if err != nil {
			return nil, err
		}
		for i := range h.servers {
			h.servers[i] = pubsub.NewServer()
			o := redisbridge.Options{Redis: redis, Namespace: "bench", Mode: mode,
				SendOnly: i == 0, ReceiveOnly: i == 1, RetainFrames: 10_000}
			if err = h.servers[i].Start(); err != nil {
				return nil, err
			}
			if h.bridges[i], err = redisbridge.Attach(h.servers[i], o); err != nil {
				return nil, err
			}
		}
		if attributes {
			err = h.subscribe(got)
		} else {
			h.servers[1].Observe(func(pubsub.Message) { got() })
		}
		return h, errors.Join(err, h.bridges[0].Ready(background), h.bridges[1].Ready(background))
	}
}

func (h *hark) subscribe(got func()) error {
	sub, err := h.servers[1].SubscribeWithArgs(background, pubsub.SubscribeArgs{
		ClientID: "bench", Query: query.MustParse("transfer.amount > 50"), Capacity: 2 * window})
	if err != nil {
		return err
	}
	go func() {
		for {
			if _, err := sub.Next(background); err != nil {
				return
			}
			got()
		}
	}()
	return nil
}

func (h *hark) Publish(n int) error {
	publish := h.bridges[0].Publish
	if !h.attributes {
		publish = h.servers[0].PublishWithEvents
	}
	for range n {
		if err := publish(background, h.payload, h.events()); err != nil {
			return err
		}
	}
	return nil
}

// events makes a map for each publication, as a publisher would.
func (h *hark) events() map[string][]string {
	if !h.attributes {
		return nil
	}
	events := make(map[string][]string, len(Attributes))
	for key, value := range Attributes {
		events[key] = []string{value}
	}
	return events
}

func (h *hark) Close() error {
	var errs []error
	for i := range h.servers {
		errs = append(errs, h.bridges[i].Close(), h.servers[i].Stop())
	}
	return errors.Join(errs...)
}
