package pubsub_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/query"
)

// A payload is what was published, for the collector to take.
type payload struct {
	number int
	_      [1 << 10]byte
}

// payloads are publications, held weakly.
type payloads []weak.Pointer[payload]

func (p *payloads) publish(t *testing.T, server *pubsub.Server, n int) {
	for range n {
		data := &payload{number: len(*p)}
		*p = append(*p, weak.Make(data))
		require.NoError(t, server.Publish(ctx, data))
	}
}

// alive counts those that something still holds.
func (p payloads) alive() (n int) {
	runtime.GC()
	runtime.GC() // what a pool holds goes in two
	for _, one := range p {
		if one.Value() != nil {
			n++
		}
	}
	return n
}

// slackEach is how many messages beyond what is in the buffers a live
// subscription may have the server hold.
const slackEach = 4

// One that ends or begins to drop takes what is in its buffer along, and holds
// nothing that comes later, while others of the same query read on.
func TestSubscriptionHoldsItsBufferAndNoMore(t *testing.T) {
	const capacity = 20
	tests := map[string]struct {
		policy pubsub.Overflow
		end    func(t *testing.T, server *pubsub.Server)
		held   int
	}{
		"cut":          {pubsub.Cancel, nil, capacity},
		"drops oldest": {pubsub.DropOldest, nil, capacity},
		"drops newest": {pubsub.DropNewest, nil, capacity},
		"unsubscribed": {pubsub.Cancel, func(t *testing.T, server *pubsub.Server) {
			require.NoError(t, server.UnsubscribeAll(ctx, "stalled"))
		}, 5},
	}
	for name, test := range tests {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/out=%v", name, open), func(t *testing.T) {
				server := newServer(t)
				stalled := subscribe(t, server, "stalled", "", capacity, test.policy)
				if open {
					stalled.Out()
				}
				swift := subscribe(t, server, "swift", "", 1000, pubsub.Cancel)
				var sent payloads
				sent.publish(t, server, 5)
				if test.end != nil {
					test.end(t, server)
				}
				for range 30 {
					sent.publish(t, server, 50)
					for swift.Len() > 0 {
						next(t, swift)
					}
				}
				require.LessOrEqual(t, sent.alive(), test.held+slackEach)
				require.Equal(t, test.held, stalled.Len())
				require.NoError(t, server.UnsubscribeAll(ctx, "swift"))
				require.LessOrEqual(t, sent.alive(), test.held+2, "without the other one, nothing but its buffer")

				for stalled.Len() > 0 {
					next(t, stalled)
				}
				require.LessOrEqual(t, sent.alive(), 2)
				runtime.KeepAlive(stalled)
			})
		}
	}
}

// A reader that keeps up lets go of what it has read.
func TestReadMessagesAreReleased(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", pubsub.MaxCapacity, pubsub.Cancel)
	var sent payloads
	sent.publish(t, server, 5000)
	for range 3000 {
		next(t, sub)
	}
	batch := make([]pubsub.Message, 1000)
	n, err := sub.NextBatch(ctx, batch)
	require.NoError(t, err)
	require.Equal(t, 1000, n)
	clear(batch)
	require.LessOrEqual(t, sent.alive(), 1000+slackEach)
	for range 1000 {
		next(t, sub)
	}
	require.LessOrEqual(t, sent.alive(), slackEach)
	runtime.KeepAlive(sub)
}

// What all subscriptions to a query have read is let go of, however they read
// and how many they are, up to a few messages each.
func TestReadMessagesAreReleasedAtAnyNumberOfReaders(t *testing.T) {
	batch := make([]pubsub.Message, 7)
	reads := map[string]func(*pubsub.Subscription){
		"Next": func(sub *pubsub.Subscription) { next(t, sub) },
		"NextBatch": func(sub *pubsub.Subscription) {
			_, err := sub.NextBatch(ctx, batch)
			require.NoError(t, err)
			clear(batch)
		},
		"Out": func(sub *pubsub.Subscription) { <-sub.Out() },
	}
	for name, read := range reads {
		for _, readers := range []int{1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 100} {
			t.Run(fmt.Sprintf("%s/readers=%d", name, readers), func(t *testing.T) {
				server := newServer(t)
				var subs []*pubsub.Subscription
				for i := range readers {
					subs = append(subs, subscribe(t, server, fmt.Sprint(i), "", 1000, pubsub.Cancel))
				}
				var sent payloads
				for _, n := range []int{1, 1, 2, 5, 23, 64, 64, 129, 1} {
					sent.publish(t, server, n)
					for _, sub := range subs {
						for sub.Len() > 0 {
							read(sub)
						}
					}
					require.LessOrEqual(t, sent.alive(), slackEach*readers)
				}
				runtime.KeepAlive(subs)
			})
		}
	}
}

// A query that many subscribed to and few are left with keeps no more than what
// is due to these.
func TestThoseWhoGoLeaveNothingBehind(t *testing.T) {
	for _, unread := range []int{0, 1, 30} {
		for left := 100; left > 0; left /= 2 {
			t.Run(fmt.Sprintf("unread=%d/left=%d", unread, left), func(t *testing.T) {
				server := newServer(t)
				var subs []*pubsub.Subscription
				for i := range 100 {
					subs = append(subs, subscribe(t, server, fmt.Sprint(i), "", 1000, pubsub.Cancel))
				}
				var sent payloads
				sent.publish(t, server, 100+unread)
				for _, sub := range subs {
					for range 100 {
						next(t, sub)
					}
				}
				for _, sub := range subs[left:] {
					require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
				}
				clear(subs[left:]) // they keep what they have not read
				subs = subs[:left]
				require.LessOrEqual(t, sent.alive(), unread+slackEach*left)
				sent.publish(t, server, 10)
				for _, sub := range subs {
					for range unread + 10 {
						next(t, sub)
					}
				}
				require.LessOrEqual(t, sent.alive(), slackEach*left)
				runtime.KeepAlive(subs)
			})
		}
	}
}

// Whoever leaves with much unread leaves nothing of it with one that came
// after it and never got a message.
func TestWhoComesLaterKeepsNothingOfWhatCameBefore(t *testing.T) {
	leave := map[string]func(server *pubsub.Server, sub *pubsub.Subscription){
		"unsubscribed": func(server *pubsub.Server, sub *pubsub.Subscription) {
			require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
		},
		"out": func(server *pubsub.Server, sub *pubsub.Subscription) {
			for range len(sub.Out()) {
				next(t, sub)
			}
		},
		"cut": func(server *pubsub.Server, sub *pubsub.Subscription) {
			publish(t, server, nil)
			<-sub.Canceled()
		},
	}
	for name, leave := range leave {
		for _, came := range []int{1, 2, 20} {
			t.Run(fmt.Sprintf("%s/came=%d", name, came), func(t *testing.T) {
				server := newServer(t)
				goes := subscribe(t, server, "goes", "", 84, pubsub.Cancel)
				var sent payloads
				sent.publish(t, server, 84)
				var stay []*pubsub.Subscription
				for i := range came {
					stay = append(stay, subscribe(t, server, fmt.Sprint(i), "", 100, pubsub.Cancel))
				}
				leave(server, goes)
				if name != "out" {
					goes = nil // it keeps what it has not read
				}
				require.LessOrEqual(t, sent.alive(), slackEach)
				runtime.KeepAlive(stay)
				runtime.KeepAlive(goes)
			})
		}
	}
}

// The last chunk that many shared is not the last one any more when they leave.
func TestThoseWhoDropAndGoLeaveNothingBehind(t *testing.T) {
	server := newServer(t)
	stays := subscribe(t, server, "stays", "", 1000, pubsub.Cancel)
	var sent payloads
	for capacity := range 90 {
		for i := range 15 {
			subscribe(t, server, fmt.Sprint(i), "", 1+capacity, pubsub.DropOldest)
		}
		for range 1 + capacity {
			sent.publish(t, server, 1)
			next(t, stays)
		}
		sent.publish(t, server, 1) // 15 drop
		for i := range 15 {
			require.NoError(t, server.UnsubscribeAll(ctx, fmt.Sprint(i)))
		}
		require.LessOrEqual(t, sent.alive(), 1+slackEach, "capacity %d", 1+capacity)
		next(t, stays)
		sent = nil
	}
}

// Others that come in between, again and again, leave no trace with a reader
// that stands still.
func TestThoseWhoComeAndGoInBetweenTakeNoMemory(t *testing.T) {
	server := newServer(t)
	stays := subscribe(t, server, "stays", "", 100, pubsub.Cancel)
	publish(t, server, 1)
	churn := func(n int) (bytes int64) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			sub := subscribe(t, server, "goes", "", 100, pubsub.Cancel)
			require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		return int64(after.HeapAlloc) - int64(before.HeapAlloc)
	}
	churn(100)
	require.Less(t, churn(5000), int64(50_000))
	require.Equal(t, 1, next(t, stays))
}

// A held is a subscription with the numbers of what is in its buffer, as they
// should be.
type held struct {
	*pubsub.Subscription
	policy pubsub.Overflow
	buffer []int
	ended  bool
}

func (h *held) offer(number int) {
	switch {
	case h.ended:
	case len(h.buffer) < h.Cap():
		h.buffer = append(h.buffer, number)
	case h.policy == pubsub.Cancel:
		h.ended = true
	case h.policy == pubsub.DropOldest:
		h.buffer = append(h.buffer[1:], number)
	}
}

// Whatever subscriptions to a query do one after another, what is held beyond
// their buffers is a few messages for each that is there.
func TestHeldMessagesAreThoseInTheBuffersInAnyHistory(t *testing.T) {
	for seed := range soak.Rounds(t, 12) {
		random := rand.New(rand.NewPCG(seed, 1))
		server := newServer(t)
		var subs []*held
		var sent payloads
		history := ""
		came := 0
		for range 60 {
			switch op := random.IntN(10); {
			case op <= 1 || len(subs) == 0:
				for range 1 + random.IntN(3)*random.IntN(6) {
					policy := pubsub.Overflow(random.IntN(3))
					came++
					sub := subscribe(t, server, fmt.Sprint(came), "", 1+random.IntN(200), policy)
					subs = append(subs, &held{Subscription: sub, policy: policy})
					history += "+"
				}
			case op <= 4:
				n := 1 + random.IntN(90)
				for range n {
					for _, sub := range subs {
						sub.offer(len(sent))
					}
					sent.publish(t, server, 1)
				}
				history += fmt.Sprint(" ", n)
			case op <= 6:
				for range 1 + random.IntN(len(subs)) {
					readSome(t, subs[random.IntN(len(subs))], random)
				}
				history += "r"
			case op == 7:
				subs[random.IntN(len(subs))].Out()
				history += "o"
			case op == 8:
				for range 1 + random.IntN(len(subs)) { // who unsubscribes is not kept
					i := random.IntN(len(subs))
					_ = server.UnsubscribeID(ctx, subs[i].ID())
					subs = slices.Delete(subs, i, i+1)
					history += "-"
				}
			default: // who unsubscribes, and is kept
				sub := subs[random.IntN(len(subs))]
				_ = server.UnsubscribeID(ctx, sub.ID())
				sub.ended = true
				history += "x"
			}
			if random.IntN(4) > 0 {
				continue // looking takes milliseconds
			}
			buffered, there := make(map[int]bool), 0
			for _, sub := range subs {
				require.Equal(t, len(sub.buffer), sub.Len())
				for _, number := range sub.buffer {
					buffered[number] = true
				}
				if !sub.ended {
					there++
				}
			}
			require.LessOrEqual(t, sent.alive(), len(buffered)+slackEach*there, "%d are there; %s", there, history)
		}
		runtime.KeepAlive(subs)
		require.NoError(t, server.Stop())
	}
}

// readSome reads a part of the buffer, or all of it.
func readSome(t *testing.T, sub *held, random *rand.Rand) {
	batch := make([]pubsub.Message, 1+random.IntN(90))
	for len(sub.buffer) > 0 && random.IntN(9) > 0 {
		n, err := sub.NextBatch(ctx, batch)
		require.NoError(t, err)
		for _, m := range batch[:n] {
			require.Equal(t, sub.buffer[0], m.Data().(*payload).number)
			sub.buffer = sub.buffer[1:]
		}
		clear(batch)
	}
}

// A second subscription to a query, or one fewer, changes how its messages are
// held, while the others read on.
func TestNothingIsLostAsOthersComeAndGo(t *testing.T) {
	server := newServer(t)
	stays := subscribe(t, server, "stays", "", 1000, pubsub.Cancel)
	random := rand.New(rand.NewPCG(1, 2))
	var others []*pubsub.Subscription
	sent, read := 0, 0
	for step := range 2000 {
		switch n := random.IntN(5); {
		case n == 0 || n == 1 && len(others) < 3:
			others = append(others, subscribe(t, server, fmt.Sprint(step), "", 1000, pubsub.Cancel))
		case n <= 2 && len(others) > 0:
			require.NoError(t, server.UnsubscribeID(ctx, others[0].ID()))
			all, _ := rest(others[0])
			require.LessOrEqual(t, len(all), sent)
			for i, m := range all {
				require.Equal(t, sent-len(all)+i, m)
			}
			others = others[1:]
		case n == 3:
			for range random.IntN(100) {
				publish(t, server, sent)
				sent++
			}
		}
		for range random.IntN(90) {
			if read < sent {
				require.Equal(t, read, next(t, stays))
				read++
			}
		}
	}
}

// What was dispatched is not held until the rest of the queue is.
func TestQueueIsLetGoAsItIsDispatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(100))
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		var sent payloads
		sent.publish(t, server, 100)
		for i := range 90 {
			require.Equal(t, i, next(t, sub).(*payload).number)
		}
		synctest.Wait()
		require.LessOrEqual(t, sent.alive(), 10+16, "of a group of sixteen")
	})
}

// Nor is the one in whose middle user code exited.
func TestPublicationWhoseObserverExitsIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := pubsub.NewServer(pubsub.BufferCapacity(10))
		server.Observe(func(pubsub.Message) { runtime.Goexit() })
		var sent payloads
		sent.publish(t, server, 10)
		require.NoError(t, server.Start())
		synctest.Wait()
		require.Zero(t, sent.alive())
		require.NoError(t, server.Stop())
	})
}

func TestStoppedServerHoldsOnlyWhatIsInTheBuffers(t *testing.T) {
	server := newServer(t, pubsub.BufferCapacity(100))
	full := subscribe(t, server, "full", "", 10, pubsub.DropNewest)
	unbuffered, err := server.SubscribeUnbuffered(ctx, "unbuffered", query.All)
	require.NoError(t, err)
	block := subscribeBlock(t, server, "block", 10, 0)
	var sent payloads
	sent.publish(t, server, 50) // most wait in the queue
	require.NoError(t, server.Stop())
	require.LessOrEqual(t, sent.alive(), 11)
	require.NoError(t, server.Reset())
	for range 10 {
		next(t, full)
		next(t, block)
	}
	require.LessOrEqual(t, sent.alive(), 1)
	runtime.KeepAlive(unbuffered)
	runtime.KeepAlive(server)
}

// What was in the queue, or waited with its publisher, is not held afterwards.
func TestQueueHoldsNothingThatWasDispatched(t *testing.T) {
	server := newServer(t, pubsub.BufferCapacity(100))
	sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
	require.NoError(t, err)
	var sent payloads
	for range 5 {
		sent.publish(t, server, 100)
		for range 100 {
			next(t, sub)
		}
	}
	require.NoError(t, server.Unsubscribe(ctx, "c", query.All)) // all is dispatched
	sent.publish(t, server, 3)
	require.LessOrEqual(t, sent.alive(), 3)
	runtime.KeepAlive(server)
}

// Subscriptions that come and go leave nothing with the server, nor does one
// that is gone hold the server's others.
func TestEndedSubscriptionIsCollected(t *testing.T) {
	server := newServer(t)
	subscribe(t, server, "stays", "a = 1", 1, pubsub.Cancel) // is due no later
	var gone []weak.Pointer[pubsub.Subscription]
	for i := range 300 {
		sub := subscribe(t, server, "goes", fmt.Sprintf("a = %d", i%2), 1, pubsub.Overflow(i%4))
		if i%3 == 0 {
			sub.Out()
		}
		gone = append(gone, weak.Make(sub))
		require.NoError(t, server.UnsubscribeID(ctx, sub.ID()))
	}
	runtime.GC()
	for _, sub := range gone {
		require.Nil(t, sub.Value())
	}
	runtime.KeepAlive(server)
}

func TestServerIsCollectedOnceItIsStopped(t *testing.T) {
	server := pubsub.NewServer()
	require.NoError(t, server.Start())
	subscribe(t, server, "c", "", 1, pubsub.Cancel)
	require.NoError(t, server.Stop())
	gone := weak.Make(server)
	server = nil
	runtime.GC()
	require.Nil(t, gone.Value())
}

// A delivery that waited holds neither its message nor who it waited for.
func TestDeliveryThatWaitedHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		sub, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		var sent payloads
		sent.publish(t, server, 1)
		next(t, sub)
		synctest.Wait()
		require.Zero(t, sent.alive())

		sent.publish(t, server, 1)
		require.NoError(t, server.Unsubscribe(ctx, "c", query.All))
		gone := weak.Make(sub)
		sub = nil
		synctest.Wait()
		require.Zero(t, sent.alive())
		require.Nil(t, gone.Value())
		runtime.KeepAlive(server)
	})
}

// One that was cut, or woken, is not held by the delivery that did it.
func TestDeliveryHoldsNobodyItCutOrWoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		sub := subscribe(t, server, "c", "a = 1", 1, pubsub.Cancel)
		read := make(chan any)
		go func() { read <- next(t, sub) }()
		synctest.Wait()
		publish(t, server, 1, "a", "1") // wakes
		<-read
		publish(t, server, 1, "a", "1")
		publish(t, server, 1, "a", "1") // cuts
		gone := weak.Make(sub)
		sub = nil
		synctest.Wait()
		runtime.GC()
		require.Nil(t, gone.Value())
		runtime.KeepAlive(server)
	})
}

func TestTopicWithoutSubscriptionsIsCollected(t *testing.T) {
	server := newServer(t)
	q := parse("a = 1")
	gone := weak.Make(q)
	_, err := server.Subscribe(ctx, "c", q)
	require.NoError(t, err)
	publish(t, server, 1, "a", "1")
	require.NoError(t, server.UnsubscribeAll(ctx, "c"))
	q = nil
	runtime.GC()
	require.Nil(t, gone.Value())
	runtime.KeepAlive(server)
}

// Publications of one group are matched together.
func TestEventsAreLetGoOnceTheirGroupIsMatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(100))
		sub, err := server.SubscribeUnbuffered(ctx, "c", parse("a = 'waits'"))
		require.NoError(t, err)
		publish(t, server, nil, "a", "waits")
		var values []weak.Pointer[byte]
		for range 10 {
			value := strings.Repeat("x", 1<<10)
			values = append(values, weak.Make(unsafe.StringData(value)))
			publish(t, server, nil, "a", value)
		}
		next(t, sub)
		synctest.Wait()
		runtime.GC()
		for _, value := range values {
			require.Nil(t, value.Value())
		}
		runtime.KeepAlive(server)
	})
}
