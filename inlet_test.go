package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

// A wrapped context is none of the standard library.
type wrapped struct{ context.Context }

// acquaint has a reader of sub wait with a context so often that its end is
// watched for.
func acquaint(ctx context.Context, t *testing.T, server *pubsub.Server, sub *pubsub.Subscription) {
	t.Helper()
	for i := range 10 {
		read := make(chan any, 1)
		go func() {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			read <- m.Data()
		}()
		synctest.Wait()
		publishN(t, server, i, 1)
		require.Equal(t, i, <-read)
	}
}

// inContexts are the kinds of contexts that Next may wait with.
var inContexts = map[string]func(context.Context) (context.Context, context.CancelFunc){
	"cancel": context.WithCancel,
	"timeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, time.Hour)
	},
	"wrapped": func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		return wrapped{ctx}, cancel
	},
}

// At capacity 1, where a reader that has waited before no longer looks at its
// context: the end of that ends all who wait with it, again and again, and
// nobody else.
func TestReaderLeavesWithAContextItHasWaitedWithOften(t *testing.T) {
	for name, in := range inContexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
				for range 3 {
					brief, cancel := in(ctx)
					acquaint(brief, t, server, sub)
					ended, read := make(chan error, 2), make(chan any, 1)
					for range 2 {
						go func() {
							_, err := sub.Next(brief)
							ended <- err
						}()
					}
					go func() { read <- next(t, sub) }()
					synctest.Wait()
					cancel()
					synctest.Wait()
					require.Len(t, ended, 2)
					require.ErrorIs(t, <-ended, context.Canceled)
					require.ErrorIs(t, <-ended, context.Canceled)
					_, err := sub.Next(brief)
					require.ErrorIs(t, err, context.Canceled)

					require.Empty(t, read)
					publishN(t, server, 7, 1)
					require.Equal(t, 7, <-read)
				}
			})
		})
	}
}

// The same for a deadline.
func TestReaderLeavesAtADeadlineItHasWaitedWithOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
		brief, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		acquaint(brief, t, server, sub)
		_, err := sub.Next(brief)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A message that comes as the context of a reader ends is read by that reader or
// left for the next one, at capacity 1 with an acquainted context too.
func TestContextThatEndsTakesNoMessageAlong(t *testing.T) {
	for name, in := range inContexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
				for i := range 300 {
					brief, cancel := in(ctx)
					acquaint(brief, t, server, sub)
					var both sync.WaitGroup
					read := 0
					both.Go(func() {
						for {
							m, err := sub.Next(brief)
							if err != nil {
								return
							}
							require.Equal(t, 1, m.Data())
							read++
						}
					})
					if i%2 == 0 {
						synctest.Wait()
					}
					both.Go(cancel)
					publishN(t, server, 1, 1)
					both.Wait()
					require.Equal(t, 1, read+sub.Len())
					if read == 0 {
						require.Equal(t, 1, next(t, sub))
					}
				}
			})
		})
	}
}

// All ways out for a reader that waits at capacity 1, at the same time.
func TestReadersAtCapacityOneInACrowd(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			server := newServer(t)
			sub := subscribe(t, server, "c", "", 1, pubsub.DropOldest)
			brief, cancel := context.WithCancel(ctx)
			acquaint(brief, t, server, sub)
			var all sync.WaitGroup
			for _, with := range []context.Context{brief, brief, ctx, wrapped{brief}} {
				all.Go(func() {
					for {
						if _, err := sub.Next(with); err != nil {
							require.True(t, errors.Is(err, context.Canceled) && with != ctx || errors.Is(err, pubsub.ErrUnsubscribed), err)
							return
						}
					}
				})
			}
			all.Go(cancel)
			all.Go(func() { publishN(t, server, 0, 5) })
			all.Go(func() { sub.Out() })
			all.Go(func() {
				time.Sleep(time.Second) // until all others are done or wait
				require.NoError(t, server.UnsubscribeAll(ctx, "c"))
			})
			all.Wait()
			require.Zero(t, sub.Len())
		})
	}
}

// What is watched for a subscription ends with it, however that ends, also if
// nobody reads any more: a context that lives long keeps nothing.
func TestContextKeepsNoSubscriptionThatHasEnded(t *testing.T) {
	ends := map[string]func(*testing.T, *pubsub.Server, *pubsub.Subscription){
		"unsubscribed": func(t *testing.T, server *pubsub.Server, _ *pubsub.Subscription) {
			require.NoError(t, server.UnsubscribeAll(ctx, "c"))
		},
		"cut":     func(t *testing.T, server *pubsub.Server, _ *pubsub.Subscription) { publishN(t, server, 0, 2) },
		"stopped": func(t *testing.T, server *pubsub.Server, _ *pubsub.Subscription) { require.NoError(t, server.Stop()) },
		"opened": func(t *testing.T, server *pubsub.Server, sub *pubsub.Subscription) {
			sub.Out()
			require.NoError(t, server.UnsubscribeAll(ctx, "c"))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				long, cancel := context.WithCancel(ctx)
				defer cancel()
				kept := func() weak.Pointer[pubsub.Subscription] {
					server := newServer(t)
					sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
					acquaint(long, t, server, sub)
					end(t, server, sub)
					require.Error(t, sub.Err())
					return weak.Make(sub)
				}()
				synctest.Wait()
				runtime.GC()
				require.Nil(t, kept.Value())
			})
		})
	}
}

// The age of the message in the buffer is known after a reader has waited too.
func TestAgeAtCapacityOne(t *testing.T) {
	for _, policy := range []pubsub.Overflow{pubsub.DropOldest, pubsub.DropNewest} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				sub := subscribe(t, server, "c", "", 1, policy)
				acquaint(ctx, t, server, sub)
				require.Zero(t, line(t, server, "c").Oldest)
				publishN(t, server, 1, 1)
				time.Sleep(time.Minute)
				publishN(t, server, 2, 1)
				time.Sleep(time.Minute)
				want, age := 1, 2*time.Minute
				if policy == pubsub.DropOldest {
					want, age = 2, time.Minute
				}
				require.Equal(t, age, line(t, server, "c").Oldest)
				require.Equal(t, want, next(t, sub))
				require.Zero(t, line(t, server, "c").Oldest)
			})
		})
	}
}

// Out of a subscription that has ended, after a reader had waited, has what was
// in the buffer and no more.
func TestOutAfterTheEndAtCapacityOne(t *testing.T) {
	for _, left := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			server := newServer(t)
			sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
			acquaint(ctx, t, server, sub)
			publishN(t, server, 7, left)
			require.NoError(t, server.UnsubscribeAll(ctx, "c"))
			require.Len(t, sub.Out(), left)
			for range left {
				require.Equal(t, 7, next(t, sub))
			}
			_, err := sub.Next(ctx)
			require.ErrorIs(t, err, pubsub.ErrUnsubscribed)
		})
	}
}

// Whoever waits, and whoever comes for the first time: the reason comes after
// the last message.
func TestReasonComesAfterTheLastMessageAtCapacityOne(t *testing.T) {
	for _, end := range []string{"unsubscribe", "stop", "cut"} {
		for _, readers := range []int{1, 3, 20} {
			t.Run(fmt.Sprintf("%s, %d readers", end, readers), func(t *testing.T) {
				for range 50 {
					requireReasonLast(t, end, readers)
				}
			})
		}
	}
}

func requireReasonLast(t *testing.T, end string, readers int) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	brief, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var read, ended atomic.Int64
	note := func(n int, err error) {
		read.Add(int64(n))
		if err != nil && brief.Err() != err {
			ended.Add(1)
		}
	}
	for i := range readers {
		all.Go(func() { note(sub.NextBatch(ctx, make([]pubsub.Message, 1))) })
		if i%2 == 0 {
			all.Go(func() {
				if _, err := sub.Next(brief); err == nil {
					note(1, nil)
				}
			})
		}
	}
	runtime.Gosched()
	go cancel()
	for i := 0; i < 2*readers+2 && sub.Err() == nil; i++ {
		require.NoError(t, server.Publish(ctx, i))
		if end != "cut" && sub.Len() > 0 {
			break
		}
	}
	if end == "unsubscribe" {
		_ = server.UnsubscribeAll(ctx, "c")
	} else {
		require.NoError(t, server.Stop())
	}
	all.Wait()
	if ended.Load() > 0 {
		require.Zero(t, sub.Len(), "the reason came first")
	}
}
