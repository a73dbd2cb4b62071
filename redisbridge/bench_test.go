package redisbridge

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"
)

// BenchmarkTransport moves opaque payloads of 100 bytes from one server to
// another.
func BenchmarkTransport(b *testing.B) {
	for _, mode := range []Mode{Live, Durable} {
		b.Run(mode.String(), func(b *testing.B) {
			payload := make([]byte, 100)
			benchmarkBridge(b, mode, observed, func(sender *Bridge, i int) error {
				return sender.Publish(background(), payload, nil)
			})
		})
	}
}

// BenchmarkEndToEnd moves publications with four attributes, of which one
// subscription matches all.
func BenchmarkEndToEnd(b *testing.B) {
	for _, mode := range []Mode{Live, Durable} {
		b.Run(mode.String(), func(b *testing.B) {
			payload := make([]byte, 100)
			benchmarkBridge(b, mode, subscribed, func(sender *Bridge, i int) error {
				return sender.Publish(background(), payload, map[string][]string{
					"tm.event": {"Tx"}, "tx.height": {strconv.Itoa(i)}, "transfer.amount": {"80uatom"}, "message.action": {"send"},
				})
			})
		})
	}
}

// observed and subscribed count what arrives at a server.
func observed(_ *testing.B, server *pubsub.Server, got *atomic.Int64) {
	server.Observe(func(pubsub.Message) { got.Add(1) })
}

func subscribed(b *testing.B, server *pubsub.Server, got *atomic.Int64) {
	sub, err := server.SubscribeWithArgs(background(), pubsub.SubscribeArgs{
		ClientID: "bench", Query: query.MustParse("transfer.amount > 50"), Capacity: 2 * benchWindow})
	require.NoError(b, err)
	go func() {
		for {
			if _, err := sub.Next(background()); err != nil {
				return
			}
			got.Add(1)
		}
	}()
}

const benchWindow = 1 << 15 // publications on their way

func benchmarkBridge(b *testing.B, mode Mode, count func(*testing.B, *pubsub.Server, *atomic.Int64), publish func(sender *Bridge, i int) error) {
	redis := redistest.Start(b)
	o := Options{Mode: mode, Redis: optionOf(redis.Addr), RetainFrames: 10_000}
	o.SendOnly = true
	from := attach(b, startServer(b), o)
	o.SendOnly, o.ReceiveOnly = false, true
	server := startServer(b)
	to := attach(b, server, o)
	require.NoError(b, from.Ready(background()))
	require.NoError(b, to.Ready(background()))
	var got atomic.Int64
	count(b, server, &got)
	await := func(n int) {
		for got.Load() < int64(n) {
			time.Sleep(20 * time.Microsecond)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%1024 == 0 {
			await(i - benchWindow)
		}
		if err := publish(from, i); err != nil {
			b.Fatal(err)
		}
	}
	await(b.N)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/float64(b.Elapsed().Seconds()), "events/s")
	require.Zero(b, to.Stats().Lost)
}

// BenchmarkServerPublish shows what a bridge adds to Server.Publish.
func BenchmarkServerPublish(b *testing.B) {
	events := map[string][]string{"tm.event": {"Tx"}, "tx.height": {"5"}, "transfer.amount": {"80uatom"}, "message.action": {"send"}}
	payload := make([]byte, 100)
	run := func(b *testing.B, server *pubsub.Server) {
		b.ReportAllocs()
		for b.Loop() {
			_ = server.PublishWithEvents(background(), payload, events)
		}
	}
	b.Run("alone", func(b *testing.B) { run(b, startServer(b)) })
	b.Run("dead", func(b *testing.B) {
		s := startServer(b)
		attach(b, s, Options{Redis: optionOf("127.0.0.1:1"), Mode: Durable, CloseTimeout: 1, OutboxCount: 1 << 20, OutboxBytes: 1 << 30})
		run(b, s)
	})
	b.Run("full", func(b *testing.B) {
		s := startServer(b)
		attach(b, s, Options{Redis: optionOf("127.0.0.1:1"), Mode: Durable, CloseTimeout: 1, OutboxCount: 1})
		run(b, s)
	})
	b.Run("alive", func(b *testing.B) {
		redis := redistest.Start(b)
		s := startServer(b)
		br := attach(b, s, Options{Redis: optionOf(redis.Addr), Mode: Durable, SendOnly: true, RetainFrames: 1000})
		require.NoError(b, br.Ready(background()))
		run(b, s)
	})
}
