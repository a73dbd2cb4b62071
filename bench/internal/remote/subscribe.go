package remote

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	red "github.com/gomodule/redigo/redis"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub/redismux"
)

// subscribeBatch is how many channels go into one command.
const subscribeBatch = 512

// A Subscriber subscribes to channels, on a connection that stands before its
// clock starts, and returns how long the last confirmation took.
type Subscriber struct {
	Name      string
	Subscribe func(addr string, channels []string) (time.Duration, error)
}

// Subscribing returns Hark, twice, and its peers.
func Subscribing() []Subscriber {
	return []Subscriber{
		{"redismux", subscribeMux},
		{"redismux", subscribeMux},
		{"rueidis", subscribeRueidis(oneByOne)},
		{"rueidis, pipelined", subscribeRueidis(inOnePipeline)},
		{"go-redis", subscribeGoRedis},
		{"redigo", subscribeRedigo},
	}
}

func subscribeMux(addr string, channels []string) (time.Duration, error) {
	mux := redismux.New(redismux.FromOption(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}))
	defer mux.Stop()
	active, done := 0, make(chan struct{})
	sub := mux.NewChannelSubscription(func(string, []byte) {}, nil, func(string) {
		if active++; active == len(channels) {
			close(done)
		}
	})
	for !mux.Stats().Connected {
		time.Sleep(100 * time.Microsecond)
	}
	began := time.Now()
	if err := sub.Add(channels...); err != nil {
		return 0, err
	}
	<-done
	return time.Since(began), nil
}

func oneByOne(conn rueidis.DedicatedClient, commands []rueidis.Completed) (results []rueidis.RedisResult) {
	for _, command := range commands {
		results = append(results, conn.Do(background, command))
	}
	return results
}

func inOnePipeline(conn rueidis.DedicatedClient, commands []rueidis.Completed) []rueidis.RedisResult {
	return conn.DoMulti(background, commands...)
}

func subscribeRueidis(do func(rueidis.DedicatedClient, []rueidis.Completed) []rueidis.RedisResult) func(string, []string) (time.Duration, error) {
	return func(addr string, channels []string) (time.Duration, error) {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true})
		if err != nil {
			return 0, err
		}
		defer client.Close()
		conn, _ := client.Dedicate()
		defer conn.Close()
		var confirmed atomic.Int64
		done := make(chan struct{})
		conn.SetPubSubHooks(rueidis.PubSubHooks{OnSubscription: func(rueidis.PubSubSubscription) {
			if confirmed.Add(1) == int64(len(channels)) {
				close(done)
			}
		}})
		if err := conn.Do(background, conn.B().Ping().Build()).Error(); err != nil {
			return 0, err
		}
		began := time.Now()
		var commands []rueidis.Completed
		for batch := range slices.Chunk(channels, subscribeBatch) {
			commands = append(commands, conn.B().Subscribe().Channel(batch...).Build())
		}
		for _, result := range do(conn, commands) {
			if err := result.Error(); err != nil {
				return 0, err
			}
		}
		<-done
		return time.Since(began), nil
	}
}

func subscribeGoRedis(addr string, channels []string) (_ time.Duration, err error) {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { err = errors.Join(err, client.Close()) }()
	sub := client.Subscribe(background)
	defer func() { err = errors.Join(err, sub.Close()) }()
	if err := sub.Ping(background); err != nil {
		return 0, err
	}
	if _, err := sub.Receive(background); err != nil { // the pong
		return 0, err
	}
	sent := make(chan error, 1)
	began := time.Now()
	go func() {
		var err error
		for batch := range slices.Chunk(channels, subscribeBatch) {
			err = errors.Join(err, sub.Subscribe(background, batch...))
		}
		sent <- err
	}()
	for range channels {
		if _, err := sub.Receive(background); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	return took, <-sent
}

func subscribeRedigo(addr string, channels []string) (_ time.Duration, err error) {
	conn, err := red.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	sub := red.PubSubConn{Conn: conn}
	defer func() { err = errors.Join(err, sub.Conn.Close()) }()
	if _, err := conn.Do("PING"); err != nil {
		return 0, err
	}
	began := time.Now()
	for batch := range slices.Chunk(channels, subscribeBatch) {
		if err := conn.Send("SUBSCRIBE", red.Args{}.AddFlat(batch)...); err != nil {
			return 0, err
		}
	}
	if err := conn.Flush(); err != nil {
		return 0, err
	}
	for range channels {
		if err, failed := sub.Receive().(error); failed {
			return 0, err
		}
	}
	return time.Since(began), nil
}
