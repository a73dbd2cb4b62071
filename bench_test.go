package pubsub_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// What a publication costs must follow the number of matches (fan-out), not
// the number of subscriptions (publish). bench/ has the same beside other
// software, and the bars.

var sizes = []int{1, 10, 100, 1000, 10_000}

// BenchmarkPublish publishes what one of N distinct queries matches, and
// receives it.
func BenchmarkPublish(b *testing.B) {
	for _, n := range sizes {
		b.Run("subs="+strconv.Itoa(n), func(b *testing.B) {
			server, equality := newServer(b), workloadNamed(b, "equality")
			index := match.New[*pubsub.Subscription]()
			for i, text := range equality.Queries(n) {
				sub := subscribe(b, server, strconv.Itoa(i), text, 100, pubsub.Cancel)
				index.Add(sub.Query().(*query.Query), sub)
			}
			events := equality.Events(1024, n, 1)
			receivers := make([][]*pubsub.Subscription, len(events))
			for i, e := range events {
				receivers[i] = index.Match(e, nil)
			}
			publishAndReceive(b, server, events, func(i int) []*pubsub.Subscription { return receivers[i] })
		})
	}
}

// BenchmarkFanOut publishes what M subscriptions to one query match, and
// receives it M times.
func BenchmarkFanOut(b *testing.B) {
	for _, m := range sizes {
		b.Run("subs="+strconv.Itoa(m), func(b *testing.B) {
			server := newServer(b)
			var subs []*pubsub.Subscription
			for i := range m {
				subs = append(subs, subscribe(b, server, strconv.Itoa(i), "", 100, pubsub.Cancel))
			}
			events := workloadNamed(b, "equality").Events(1024, 1, 1)
			publishAndReceive(b, server, events, func(int) []*pubsub.Subscription { return subs })
		})
	}
}

// publishAndReceive measures publishing and receiving on one goroutine.
func publishAndReceive(b *testing.B, server *pubsub.Server, events []map[string][]string, receivers func(i int) []*pubsub.Subscription) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % len(events) {
		if err := server.PublishWithEvents(ctx, nil, events[i]); err != nil {
			b.Fatal(err)
		}
		for _, sub := range receivers(i) {
			if _, err := sub.Next(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
}

var queries = []string{
	"tm.event = 'NewBlock'",
	"tm.event='Tx' AND transfer.recipient='cosmos1gu6y2a0ffteesyeyeesk23082c6998xyzmt9mz' AND tx.height > 5",
	"tx.height >= 100 AND tx.height <= 200 AND block.time >= TIME 2013-05-03T14:45:00Z AND message.action EXISTS AND transfer.sender CONTAINS 'cosmos1'",
}

func BenchmarkParse(b *testing.B) {
	for _, text := range queries {
		b.Run("bytes="+strconv.Itoa(len(text)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := query.New(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMatch tries one query on one publication. Package match has the
// benchmarks of many.
func BenchmarkMatch(b *testing.B) {
	events := workloadNamed(b, "equality").Events(1024, 1000, 1)
	for _, text := range queries {
		q := query.MustParse(text)
		b.Run(fmt.Sprintf("conditions=%d", len(q.Conditions())), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := q.Matches(events[i%len(events)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSubscribe makes a subscription and ends it, beside N others.
func BenchmarkSubscribe(b *testing.B) {
	for _, n := range sizes {
		b.Run("subs="+strconv.Itoa(n), func(b *testing.B) {
			server := newServer(b)
			equality := workloadNamed(b, "equality")
			for i, text := range equality.Queries(n) {
				subscribe(b, server, strconv.Itoa(i), text, 100, pubsub.Cancel)
			}
			another := query.MustParse(equality.Query(n, n+1))
			b.ReportAllocs()
			for b.Loop() {
				_, err := server.Subscribe(ctx, "another", another)
				if err == nil {
					err = server.Unsubscribe(ctx, "another", another)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func workloadNamed(tb testing.TB, name string) workload.Workload {
	w, ok := workload.Named(name)
	require.True(tb, ok, name)
	return w
}
