package pubsub_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// What a reader waits on must not be reused on the other side of a bubble.
func TestReadersInsideAndOutsideOfSynctestShareNothing(t *testing.T) {
	round := func(t *testing.T) {
		server := newServer(t)
		sub := subscribe(t, server, "c", "", 1, 0)
		read := make(chan any)
		go func() {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			read <- m.Data()
		}()
		publishN(t, server, 7, 1)
		require.Equal(t, 7, <-read)
		require.NoError(t, server.Stop())
	}
	for range 100 { // a pool gives things back by chance
		synctest.Test(t, round)
		round(t)
	}
}

// Readers give up at the moment the subscription ends, or gets its last
// message: whichever of them was told, the one that stays does not wait on.
func TestReaderThatGivesUpPassesItsTokenOn(t *testing.T) {
	comes := map[string]func(*pubsub.Server){
		"the end":   func(server *pubsub.Server) { server.UnsubscribeAll(ctx, "c") },
		"a message": func(server *pubsub.Server) { server.Publish(ctx, 1) },
		"messages that overflow": func(server *pubsub.Server) {
			server.Publish(ctx, 1)
			server.Publish(ctx, 2)
		},
	}
	for name, come := range comes {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t)
					sub := subscribe(t, server, "c", "", 1, pubsub.DropOldest)
					brief, cancel := context.WithCancel(ctx)
					var give sync.WaitGroup
					for range 2 {
						give.Go(func() { sub.Next(brief) })
						synctest.Wait() // they have waited longer
					}
					stays := make(chan struct{})
					go func() {
						defer close(stays)
						sub.Next(ctx)
					}()
					synctest.Wait()
					come(server)
					cancel() // before those run who were told
					give.Wait()
					synctest.Wait()
					require.True(t, isClosed(stays) || sub.Len() == 0 && sub.Err() == nil,
						"the last one waits, with %d in the buffer, %v", sub.Len(), sub.Err())
					require.NoError(t, server.Stop())
					<-stays
				})
			}
		})
	}
}

// A reader that comes just when its subscription goes back to the log, or
// begins, misses nothing.
func TestReaderThatComesAsTheSubscriptionGoesBackToTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		sub := subscribe(t, server, "c", "", 1, pubsub.DropNewest)
		for range 5_000 {
			publishN(t, server, 1, 2) // overflows: now it is fed
			require.Equal(t, 1, next(t, sub))
			var both sync.WaitGroup
			read := make(chan any, 1)
			both.Go(func() { publishN(t, server, 3, 1) })
			go func() { read <- next(t, sub) }()
			both.Wait()
			synctest.Wait()
			require.Len(t, read, 1, "the reader waits, with %d in the buffer", sub.Len())
			require.Equal(t, 3, <-read)
		}
	})
}

// The same for one that begins.
func TestReaderThatComesAsTheSubscriptionBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		for range 1_000 {
			_, err := server.SubscribeUnbuffered(ctx, "blocker", query.All)
			require.NoError(t, err)
			publishN(t, server, 1, 2)
			sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
			publishN(t, server, 3, 1)
			read := make(chan any, 1)
			go func() { read <- next(t, sub) }()
			require.NoError(t, server.UnsubscribeAll(ctx, "blocker"))
			synctest.Wait()
			require.Len(t, read, 1, "the reader waits, with %d in the buffer", sub.Len())
			require.Equal(t, 3, <-read)
			require.NoError(t, server.UnsubscribeAll(ctx, "c"))
		}
	})
}

// Whoever waits is woken, however many they are: on one query, many readers of
// one subscription, and while new ones come.
func TestEveryReaderThatWaitsIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		const n = 2000
		read := make(chan any, 2*n)
		for i := range n {
			sub, err := server.Subscribe(ctx, fmt.Sprint(i), query.All)
			require.NoError(t, err)
			go func() {
				for range 2 {
					read <- next(t, sub)
				}
			}()
		}
		crowded := subscribe(t, server, "crowded", "", n, pubsub.Cancel)
		many := make(chan any, n)
		for range n {
			go func() { many <- next(t, crowded) }()
		}
		for i := range 2 {
			synctest.Wait()
			require.Len(t, read, i*n)
			publishN(t, server, i, 1)
		}
		synctest.Wait()
		require.Len(t, read, 2*n)
		require.Len(t, many, 2)
		publishN(t, server, 2, n-2)
		synctest.Wait()
		require.Len(t, many, n, "one reader a message")
	})
}

// The same for readers of many queries that one publication matches.
func TestEveryReaderOfManyQueriesIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		const queries, clients = 300, 3
		read := make(chan any, queries*clients)
		for q := range queries {
			for c := range clients {
				sub := subscribe(t, server, fmt.Sprint(c), fmt.Sprintf("a >= %d", q), 1, pubsub.Cancel)
				go func() { read <- next(t, sub) }()
			}
		}
		synctest.Wait()
		publish(t, server, 1, "a", fmt.Sprint(queries))
		synctest.Wait()
		require.Len(t, read, queries*clients)
	})
}

// Readers that wait do not keep a subscription that has ended.
func TestReadersThatWaitedDoNotKeepTheirSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		subscribe(t, server, "stays", "", 1, pubsub.DropOldest)
		var gone []weak.Pointer[pubsub.Subscription]
		kept := func() (n int) {
			synctest.Wait()
			runtime.GC()
			for _, sub := range gone {
				if sub.Value() != nil {
					n++
				}
			}
			return n
		}
		for range 200 {
			sub := subscribe(t, server, "goes", "", 1, pubsub.Cancel)
			gone = append(gone, weak.Make(sub))
			brief, cancel := context.WithCancel(ctx)
			go cancel()
			_, err := sub.Next(brief)
			require.ErrorIs(t, err, context.Canceled)
			require.NoError(t, server.UnsubscribeAll(ctx, "goes"))
		}
		require.LessOrEqual(t, kept(), 20, "a few, until somebody publishes")
		publishN(t, server, 0, 1)
		require.Zero(t, kept())
	})
}

// Tokens are fewer than the messages that overflowed the log at one go, and
// than the readers that are to come to the channel of Out.
func TestReadersWakeOneAnother(t *testing.T) {
	const n = 8
	tests := map[string]func(t *testing.T, server *pubsub.Server, sub *pubsub.Subscription){
		"overflow": func(t *testing.T, server *pubsub.Server, _ *pubsub.Subscription) {
			publishN(t, server, 0, n+1)
		},
		"out": func(t *testing.T, server *pubsub.Server, sub *pubsub.Subscription) {
			sub.Out()
			synctest.Wait()
			publishN(t, server, 0, n)
		},
	}
	for name, come := range tests {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t)
					sub := subscribe(t, server, "c", "", n, pubsub.DropOldest)
					read := make(chan any, n)
					for range n {
						go func() { read <- next(t, sub) }()
					}
					synctest.Wait()
					come(t, server, sub)
					synctest.Wait()
					require.Len(t, read, n, "some wait, with %d in the buffer", sub.Len())
				})
			}
		})
	}
}

// Next waits for a message of a subscription that drops, until somebody calls
// Out: from then on it waits at the channel.
func TestReaderThatWaitsLearnsOfTheChannel(t *testing.T) {
	for _, policy := range []pubsub.Overflow{pubsub.Cancel, pubsub.DropNewest} {
		for _, capacity := range []int{1, 2} { // with and without an inlet
			t.Run(fmt.Sprint(policy, " ", capacity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t)
					sub := subscribe(t, server, "c", "", capacity, policy)
					for i := range capacity {
						publish(t, server, i)
					}
					if policy == pubsub.DropNewest {
						publish(t, server, 9) // dropped: it is fed now
					}
					for i := range capacity {
						require.Equal(t, i, next(t, sub))
					}
					read := make(chan any, 2)
					for range 2 {
						go func() { read <- next(t, sub) }()
					}
					synctest.Wait()
					sub.Out()
					publish(t, server, 3)
					require.Equal(t, 3, <-read)
					publish(t, server, 4)
					require.Equal(t, 4, <-read)
				})
			})
		}
	}
}
