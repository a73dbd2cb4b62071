package redisbridge_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/redisbridge"
)

func Example() {
	ctx, redis, end := embedded()
	defer end()

	// Two processes, here in one program.
	shop, warehouse := start("shop", redis), start("warehouse", redis)
	defer shop.stop()
	defer warehouse.stop()
	sub, err := warehouse.server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
		ClientID: "packer",
		Query:    query.MustParse("order.total > 50"),
	})
	check(err)
	check(warehouse.bridge.Ready(ctx))

	check(shop.bridge.Publish(ctx, "three pens", map[string][]string{"order.total": {"9eur"}}))
	check(shop.bridge.Publish(ctx, "one desk", map[string][]string{"order.total": {"180eur"}}))
	check(shop.bridge.Flush(ctx)) // Redis has both

	m, err := sub.Next(ctx)
	check(err)
	fmt.Println(m.Data(), "from", m.Origin().Name)
	// Output: one desk from shop
}

func ExampleReader() {
	ctx, redis, end := embedded()
	defer end()
	shop := start("shop", redis)
	defer shop.stop()
	for _, item := range []string{"pen", "desk", "lamp"} {
		check(shop.bridge.Publish(ctx, item, map[string][]string{"item": {item}}))
	}
	check(shop.bridge.Flush(ctx))

	from := redisbridge.FromFirst()
	for range 3 { // each time, as if this process had been restarted
		reader, err := redisbridge.NewReader(redisbridge.Options{
			Redis: parse(redis), Mode: redisbridge.Durable, From: from,
		}, nil)
		check(err)
		got, err := reader.Next(ctx)
		check(err)
		fmt.Println(got.Data)
		from = redisbridge.FromCursor(reader.Cursor())
		check(reader.Close())
	}
	// Output:
	// pen
	// desk
	// lamp
}

func ExampleBridge_Request() {
	ctx, redis, end := embedded()
	defer end()
	shop, warehouse := start("shop", redis), start("warehouse", redis)
	defer shop.stop()
	defer warehouse.stop()

	sub, err := warehouse.server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
		ClientID: "stock", Query: query.MustParse("ask = 'stock'"),
	})
	check(err)
	check(warehouse.bridge.Ready(ctx))
	answered := make(chan error)
	go func() {
		question, err := sub.Next(ctx)
		if err == nil {
			err = warehouse.bridge.Reply(ctx, question, 7, nil)
		}
		answered <- err
	}()

	reply, err := shop.bridge.Request(ctx, "desk", map[string][]string{"ask": {"stock"}})
	check(err)
	check(<-answered)
	fmt.Println(reply.Data, "in the", reply.Origin.Name)
	// Output: 7 in the warehouse
}

// embedded starts a Redis of our own and returns its address.
func embedded() (ctx context.Context, addr string, end func()) {
	redis := miniredis.NewMiniRedis()
	check(redis.Start())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	return ctx, redis.Addr(), func() { cancel(); redis.Close() }
}

// A process is a server and its bridge.
type process struct {
	server *pubsub.Server
	bridge *redisbridge.Bridge
}

func start(name, addr string) process {
	server := pubsub.NewServer()
	check(server.Start())
	bridge, err := redisbridge.Attach(server, redisbridge.Options{
		Redis: parse(addr), Name: name, Mode: redisbridge.Durable,
	})
	check(err)
	return process{server, bridge}
}

func (p process) stop() {
	check(p.bridge.Close())
	check(p.server.Stop())
}

func parse(addr string) rueidis.ClientOption {
	o, err := redisbridge.ParseURL("redis://" + addr)
	check(err)
	return o
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
