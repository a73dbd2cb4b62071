package redismux_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// BenchmarkSubscribe10k measures from the call to the last of 10,000
// confirmations, against rueidis alone, which sends batches of 512 without
// knowing any listener: one Do after the other, and all in one DoMulti. All
// start with a connection that stands; they take turns.
func BenchmarkSubscribe10k(b *testing.B) {
	server := redistest.Start(b)
	all := names("channel:", 10_000)
	var raw, pipelined, mux []time.Duration
	for b.Loop() {
		raw = append(raw, subscribeRaw(b, server, all, doEach))
		mux = append(mux, subscribeMux(b, server, all))
		pipelined = append(pipelined, subscribeRaw(b, server, all, doAll))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(median(raw)), "raw-ms")
	b.ReportMetric(milliseconds(median(pipelined)), "pipelined-ms")
	b.ReportMetric(milliseconds(median(mux)), "mux-ms")
	b.ReportMetric(float64(median(mux))/float64(median(raw)), "mux/raw")
	b.ReportMetric(float64(median(mux))/float64(median(pipelined)), "mux/pipelined")
}

func doEach(ctx context.Context, client rueidis.DedicatedClient, commands []rueidis.Completed) (results []rueidis.RedisResult) {
	for _, command := range commands {
		results = append(results, client.Do(ctx, command))
	}
	return results
}

func doAll(ctx context.Context, client rueidis.DedicatedClient, commands []rueidis.Completed) []rueidis.RedisResult {
	return client.DoMulti(ctx, commands...)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func subscribeRaw(b *testing.B, server *redistest.Server, all []string, do func(context.Context, rueidis.DedicatedClient, []rueidis.Completed) []rueidis.RedisResult) time.Duration {
	client, err := rueidis.NewClient(server.Option())
	require.NoError(b, err)
	defer client.Close()
	dedicated, _ := client.Dedicate()
	defer dedicated.Close()
	var confirmed atomic.Int64
	done := make(chan struct{})
	dedicated.SetPubSubHooks(rueidis.PubSubHooks{OnSubscription: func(rueidis.PubSubSubscription) {
		if confirmed.Add(1) == int64(len(all)) {
			close(done)
		}
	}})
	require.NoError(b, dedicated.Do(b.Context(), dedicated.B().Ping().Build()).Error())
	began := time.Now()
	var commands []rueidis.Completed
	for batch := range slices.Chunk(all, 512) {
		commands = append(commands, dedicated.B().Subscribe().Channel(batch...).Build())
	}
	for _, result := range do(b.Context(), dedicated, commands) {
		require.NoError(b, result.Error())
	}
	<-done
	return time.Since(began)
}

func subscribeMux(b *testing.B, server *redistest.Server, all []string) time.Duration {
	mux := redismux.New(redismux.FromOption(server.Option()))
	defer mux.Stop()
	confirmed, done := 0, make(chan struct{})
	sub := mux.NewChannelSubscription(func(string, []byte) {}, nil, func(string) {
		if confirmed++; confirmed == len(all) {
			close(done)
		}
	})
	eventually(b, func() bool { return mux.Stats().Connected })
	began := time.Now()
	require.NoError(b, sub.Add(all...))
	<-done
	return time.Since(began)
}

// BenchmarkPublishWithWaitingPromises measures 1,000 pipelined PUBLISH of 100 B
// to a channel that nobody waits for, on a server without a subscription and on
// one with 10,000 promises waiting. They take turns.
func BenchmarkPublishWithWaitingPromises(b *testing.B) {
	without, with := redistest.Start(b), redistest.Start(b)
	mux := redismux.New(redismux.FromOption(with.Option()))
	defer mux.Stop()
	sub := mux.NewPromiseSubscription("promise:")
	require.NoError(b, sub.WaitForActivation(b.Context()))
	for i := range 10_000 {
		_, err := sub.NewPromise(fmt.Sprint(i), time.Hour)
		require.NoError(b, err)
	}
	plain, promised := without.Client(b), with.Client(b)
	var none, waiting []time.Duration
	for b.Loop() {
		none = append(none, publishMany(b, plain))
		waiting = append(waiting, publishMany(b, promised))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(median(none)), "none-ms")
	b.ReportMetric(milliseconds(median(waiting)), "waiting-ms")
	b.ReportMetric(float64(median(waiting))/float64(median(none)), "waiting/none")
}

func publishMany(b *testing.B, client rueidis.Client) time.Duration {
	load := string(make([]byte, 100))
	commands := make(rueidis.Commands, 1000)
	for i := range commands {
		commands[i] = client.B().Publish().Channel("elsewhere").Message(load).Build()
	}
	began := time.Now()
	for _, result := range client.DoMulti(b.Context(), commands...) {
		require.NoError(b, result.Error())
	}
	return time.Since(began)
}

// BenchmarkReceive measures messages of 100 B on one channel, from PUBLISH to
// the callback.
func BenchmarkReceive(b *testing.B) {
	server := redistest.Start(b)
	client := server.Client(b)
	mux := redismux.New(redismux.FromOption(server.Option()))
	defer mux.Stop()
	const pipeline = 1000
	got, done, active := 0, make(chan struct{}), make(chan struct{})
	sub := mux.NewChannelSubscription(func(string, []byte) {
		if got++; got == pipeline {
			got = 0
			done <- struct{}{}
		}
	}, nil, func(string) { close(active) })
	require.NoError(b, sub.Add("c"))
	<-active
	load := string(make([]byte, 100))
	b.ReportAllocs()
	for b.Loop() {
		commands := make(rueidis.Commands, pipeline)
		for i := range commands {
			commands[i] = client.B().Publish().Channel("c").Message(load).Build()
		}
		client.DoMulti(context.Background(), commands...)
		<-done
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N*pipeline), "ns/message")
}
