package redismux_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
)

// embedded starts a Redis server in this process.
func embedded() (*miniredis.Miniredis, rueidis.ClientOption) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	return server, rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true}
}

func Example() {
	server, option := embedded()
	defer server.Close()
	mux := redismux.New(redismux.FromOption(option))
	defer mux.Stop()

	active, done := make(chan string), make(chan struct{})
	sub := mux.NewChannelSubscription(
		func(channel string, message []byte) {
			fmt.Printf("%s: %s\n", channel, message)
			done <- struct{}{}
		},
		func(cause error) { fmt.Println("messages may be lost:", cause) },
		func(name string) { active <- name },
	)
	_ = sub.Add("weather")
	fmt.Println(<-active, "is active")

	server.Publish("weather", "sunny")
	<-done
	sub.Close()
	// Output:
	// weather is active
	// weather: sunny
}

func ExamplePromiseSubscription() {
	server, option := embedded()
	defer server.Close()
	mux := redismux.New(redismux.FromOption(option))
	defer mux.Stop()
	ctx := context.Background()

	replies := mux.NewPromiseSubscription("reply:")
	defer replies.Close()
	promise, err := replies.WaitForNewPromise(ctx, "42", time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Publish("reply:42", "fine") // any program, by PUBLISH reply:42 fine
	message, err := promise.Wait(ctx)
	fmt.Printf("%s %v\n", message, err)

	promise, _ = replies.NewPromise("43", time.Millisecond)
	_, err = promise.Wait(ctx)
	fmt.Println(err)
	// Output:
	// fine <nil>
	// redismux: promise timed out: context deadline exceeded
}

func ExampleMultiplexer_NewPatternSubscription() {
	server, option := embedded()
	defer server.Close()
	mux := redismux.New(redismux.FromOption(option))
	defer mux.Stop()

	active, done := make(chan struct{}), make(chan struct{})
	sub := mux.NewPatternSubscription("user:*:login",
		func(channel string, message []byte) {
			fmt.Printf("%s %s\n", channel, message)
			done <- struct{}{}
		}, nil, func(string) { close(active) })
	defer sub.Close()
	<-active
	server.Publish("user:7:login", "hello")
	server.Publish("user:7:logout", "nobody asked")
	server.Publish("user:8:login", "hi")
	<-done
	<-done
	// Output:
	// user:7:login hello
	// user:8:login hi
}

func ExampleMultiplexer_Messages() {
	server, option := embedded()
	defer server.Close()
	mux := redismux.New(redismux.FromOption(option))
	defer mux.Stop()

	go func() { // until somebody hears it
		for server.Publish("ticks", "tick") == 0 {
			time.Sleep(time.Millisecond)
		}
	}()
	for message, err := range mux.Messages(context.Background(), "ticks") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", message.Channel, message.Data)
		break
	}
	// Output: ticks: tick
}

func ExampleEscapeGlob() {
	fmt.Println(redismux.EscapeGlob("[draft] what?") + "*")
	// Output: \[draft] what\?*
}
