package remote

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// GoRedis is PUBLISH by go-redis, 64 to a pipeline, received by its channel.
var GoRedis = Kind{Name: "go-redis PUBLISH", Open: openGoRedis}

type goRedis struct {
	client  *redis.Client
	sub     *redis.PubSub
	payload []byte
}

func openGoRedis(addr string, got func()) (Way, error) {
	g := &goRedis{client: redis.NewClient(&redis.Options{Addr: addr}), payload: payload()}
	g.sub = g.client.Subscribe(background, "go-redis")
	if _, err := g.sub.Receive(background); err != nil {
		return nil, err
	}
	messages := g.sub.Channel(redis.WithChannelSize(2 * window))
	go func() {
		for range messages {
			got()
		}
	}()
	return g, nil
}

func (g *goRedis) Publish(n int) error {
	return batches(n, func(n int) error {
		pipe := g.client.Pipeline()
		for range n {
			pipe.Publish(background, "go-redis", g.payload)
		}
		_, err := pipe.Exec(background)
		return err
	})
}

func (g *goRedis) Close() error { return errors.Join(g.sub.Close(), g.client.Close()) }
