package pubsub_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

func Example() {
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()
	defer server.Stop()

	sub, err := server.Subscribe(ctx, "wallet", query.MustParse("tm.event = 'Tx' AND transfer.amount > 50"), 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, amount := range []string{"7uatom", "80uatom"} {
		server.PublishWithEvents(ctx, "a transfer of "+amount, map[string][]string{
			"tm.event":        {"Tx"},
			"transfer.amount": {amount},
		})
	}
	msg, err := sub.Next(ctx)
	fmt.Println(msg.Data(), err)
	// Output: a transfer of 80uatom <nil>
}

// A reader that writes to a file or a socket takes what there is and writes it
// in one go.
func ExampleSubscription_NextBatch() {
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()
	sub, err := server.Subscribe(ctx, "writer", query.All, 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 5 {
		server.Publish(ctx, i)
	}
	server.Stop()

	for batch := make([]pubsub.Message, 3); ; {
		n, err := sub.NextBatch(ctx, batch)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print("writing")
		for _, msg := range batch[:n] {
			fmt.Print(" ", msg.Data())
		}
		fmt.Println()
	}
	// Output:
	// writing 0 1 2
	// writing 3 4
	// pubsub: the server is stopped
}

func ExampleServer_SubscribeWithArgs() {
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()
	defer server.Stop()

	ticker, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
		ClientID: "ticker",
		Query:    query.MustParse("price EXISTS"),
		Capacity: 2,
		Overflow: pubsub.DropOldest, // only the latest prices matter
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, price := range []string{"10", "11", "12", "13"} {
		server.PublishWithEvents(ctx, nil, map[string][]string{"price": {price}})
	}
	for ticker.Len() > 0 {
		msg, _ := ticker.Next(ctx)
		for price := range msg.Values("price") {
			fmt.Println(price)
		}
	}
	fmt.Println(ticker.Dropped(), "dropped")
	// Output:
	// 12
	// 13
	// 2 dropped
}

func ExampleSubscription_Messages() {
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()
	sub, err := server.Subscribe(ctx, "reader", query.All, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Publish(ctx, "one")
	server.Publish(ctx, "two")
	server.Stop()

	for msg, err := range sub.Messages(ctx) {
		if err != nil { // once and last, when all messages have been read
			fmt.Println(err)
			break
		}
		fmt.Println(msg.Sequence(), msg.Data())
	}
	// Output:
	// 1 one
	// 2 two
	// pubsub: the server is stopped
}

// Code that selects reads a channel.
func ExampleSubscription_Out() {
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()
	defer server.Stop()
	sub, err := server.Subscribe(ctx, "reader", query.All, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Publish(ctx, "hello")

	select {
	case msg := <-sub.Out():
		fmt.Println(msg.Data())
	case <-sub.Canceled():
		fmt.Println(sub.Err())
	}
	// Output: hello
}

func ExampleDataOf() {
	type Transfer struct {
		To     string
		Amount int
	}
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()
	defer server.Stop()
	sub, err := server.Subscribe(ctx, "wallet", query.All, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Publish(ctx, Transfer{"bob", 7})
	server.Publish(ctx, Transfer{"carol", 8})
	server.Publish(ctx, "not a transfer")

	for transfer, err := range pubsub.DataOf[Transfer](ctx, sub) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(transfer.To, transfer.Amount)
	}
	// Output:
	// bob 7
	// carol 8
	// pubsub: publication 3 carries string, not pubsub_test.Transfer
}

// An observer sees every publication, whether anybody subscribes to it or not.
func ExampleServer_Observe() {
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()
	defer server.Stop()

	remove := server.Observe(func(m pubsub.Message) {
		fmt.Println("published:", m.Sequence(), m.Data())
	})
	server.Publish(ctx, "one")
	server.Publish(ctx, "two")
	remove()
	server.Publish(ctx, "three")
	// Output:
	// published: 1 one
	// published: 2 two
}

// What becomes of the third message for a buffer of two.
func ExampleOverflow() {
	ctx := context.Background()
	server := pubsub.NewServer()
	server.Start()

	subs := make(map[pubsub.Overflow]*pubsub.Subscription)
	policies := []pubsub.Overflow{pubsub.Cancel, pubsub.DropOldest, pubsub.DropNewest, pubsub.Block}
	for _, policy := range policies {
		sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
			ClientID: policy.String(), Query: query.All, Capacity: 2, Overflow: policy,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		subs[policy] = sub
	}
	for i := 1; i <= 3; i++ {
		server.Publish(ctx, i)
	}
	server.Stop() // ends the wait of Block

	for _, policy := range policies {
		fmt.Print(policy, ":")
		for msg, err := range subs[policy].Messages(ctx) {
			switch {
			case errors.Is(err, pubsub.ErrOutOfCapacity):
				fmt.Print(" (cut)")
			case err == nil:
				fmt.Print(" ", msg.Data())
			}
		}
		fmt.Println()
	}
	// Output:
	// cancel: 1 2 (cut)
	// drop-oldest: 2 3
	// drop-newest: 1 2
	// block: 1 2
}
