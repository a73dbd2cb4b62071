package redisbridge

import (
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub"
)

func newTestOutbox(count, bytes int) *outbox {
	return newOutbox(&Options{OutboxCount: count, OutboxBytes: bytes})
}

// heavy is a message of which a guess knows little.
func heavy(keys, bytes int) pubsub.Message {
	events := make(map[string][]string)
	for i := range keys {
		events[strings.Repeat("k", i+1)] = []string{strings.Repeat("v", bytes)}
	}
	return pubsub.NewMessage(nil, events)
}

func exactly(m pubsub.Message) int { return new(measure).sizeOf(m) }

func TestOfferedItemsAreWeighedForWhoeverTakes(t *testing.T) {
	o, s := newTestOutbox(10_000, 4<<20), &scale{}
	m := heavy(3, 1000)
	for range firstGuessed {
		o.offer(m, &measure{}, false)
	}
	require.Less(t, o.queued.bytes, firstGuessed*exactly(m), "guessed")
	require.Len(t, o.weigh, 1, "there is much to weigh")
	o.weighGuessed(s)
	require.Equal(t, firstGuessed*exactly(m), o.queued.bytes)

	o.offer(m, &measure{}, false)
	require.Less(t, o.queued.bytes, (firstGuessed+1)*exactly(m), "guessed again")
	items, _ := o.take(s, nil, 1000, 4<<20)
	require.Equal(t, firstGuessed+1, len(items))
	require.Equal(t, load{len(items), len(items) * exactly(m)}, o.flying, "what is taken is weighed in any case")
	o.weighGuessed(s)
	require.Zero(t, o.queued, "and never again")
}

func TestGuessesAreNoMoreThanHalfOfWhatMayBeHeld(t *testing.T) {
	const limit = 1 << 20
	for _, bytes := range []int{1, 100, 1000, 10_000, limit / 4, limit} {
		o, s := newTestOutbox(1<<20, limit), &scale{}
		m := heavy(1, bytes)
		o.offer(m, &measure{}, false)
		o.weighGuessed(s)
		for range 2 * limit / bytes {
			o.offer(m, &measure{}, false) // and nobody weighs
		}
		held := o.queue.len() * exactly(m)
		require.LessOrEqual(t, held, limit+limit/2+exactly(m), "%d bytes", bytes)
		require.Positive(t, o.dropped, "%d bytes", bytes)
		require.GreaterOrEqual(t, held+exactly(m), limit-maxGuessed*(messageSize+guessPerKey), "%d bytes: nothing is dropped for a guess", bytes)
	}
}

func TestEmptyValuesTakeRoomInTheOutbox(t *testing.T) {
	o := newTestOutbox(10, 1<<20)
	empty := pubsub.NewMessage(nil, map[string][]string{"k": make([]string, 50_000)})
	for range 2 {
		o.offer(empty, &measure{}, false)
		o.weighGuessed(&scale{})
	}
	require.Equal(t, 1, o.queue.len(), "their headers alone are more than half of what it may hold")
}

// Whatever happens, after a weighing the bytes are those of what is there.
func TestOutboxKnowsWhatItHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 50).Draw(t, "count")
		o, s := newTestOutbox(limit, rapid.IntRange(100, 20_000).Draw(t, "bytes")), &scale{}
		offered, seen := 0, 0 // seen: taken, or counted as skipped
		var flying []item
		take := func() {
			items, skipped := o.take(s, nil, 5, 1<<20)
			for _, i := range items {
				require.Equal(t, exactly(i.message), i.size)
				seen += 1 + int(i.skipped)
			}
			seen += int(skipped)
			flying = append(flying, items...)
		}
		release := func(n int) {
			var gone load
			for _, i := range flying[:n] {
				gone.add(1, i.size)
			}
			if n > 0 {
				o.release(gone, flying[n-1].ticket)
				flying = flying[n:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"offer": func(t *rapid.T) {
				o.offer(heavy(rapid.IntRange(0, 4).Draw(t, "keys"), rapid.IntRange(0, 200).Draw(t, "size")), &measure{}, false)
				offered++
			},
			"take":    func(*rapid.T) { take() },
			"release": func(t *rapid.T) { release(rapid.IntRange(0, len(flying)).Draw(t, "n")) },
			"": func(t *rapid.T) {
				o.weighGuessed(s)
				require.LessOrEqual(t, o.queued.count+o.flying.count, limit)
				require.Equal(t, len(flying), o.flying.count)
				want := 0
				for _, m := range queuedMessages(o) {
					want += exactly(m)
				}
				require.Equal(t, want, o.queued.bytes)
			},
		})
		for release(len(flying)); o.queue.len() > 0 || o.skipped > 0; release(len(flying)) {
			take()
		}
		require.Equal(t, offered, seen, "every publication has its sequence")
		require.Equal(t, load{}, o.queued)
		require.Equal(t, load{}, o.flying)
	})
}

func queuedMessages(o *outbox) (all []pubsub.Message) {
	at, c := o.queue.from, o.queue.first
	for range o.queue.len() {
		if at == fifoChunk {
			at, c = 0, c.next
		}
		all = append(all, c.items[at].message)
		at++
	}
	return all
}

func TestPublishersOfferWhileItemsAreWeighed(t *testing.T) {
	o, s := newTestOutbox(3000, 1<<20), &scale{}
	m := heavy(4, 20)
	want := maps.Clone(m.Events())
	const publishers, each = 4, 20_000
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for range each {
				o.offer(m, &measure{}, false)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	seen := 0
	for ended := false; !ended || o.hasQueued(); {
		select {
		case <-done:
			ended = true
		default:
		}
		o.weighGuessed(s)
		items, skipped := o.take(s, nil, takeEvents, 1<<20)
		var gone load
		for _, i := range items {
			require.Equal(t, want, i.message.Events())
			gone.add(1, i.size)
			seen += 1 + int(i.skipped)
		}
		seen += int(skipped)
		if len(items) > 0 {
			o.release(gone, items[len(items)-1].ticket)
		}
	}
	require.Equal(t, publishers*each, seen)
	require.Equal(t, load{}, o.queued)
	require.Equal(t, load{}, o.flying)
}
