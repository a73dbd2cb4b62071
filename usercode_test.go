package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

// What user code may do wherever the bus calls it.
var misdeeds = map[string]func(){
	"panics":                  func() { panic("no room") },
	"panics with an error":    func() { panic(errors.New("no room")) },
	"panics with nil":         func() { panic(nil) },
	"panics with what panics": func() { panic(panicking{}) },
	"exits its goroutine":     runtime.Goexit,
	"panics while it exits":   func() { defer panic("no room"); runtime.Goexit() },
}

// A panicking panics whatever it is asked.
type panicking struct{}

func (panicking) Error() string  { panic("no words") }
func (panicking) String() string { panic("no words") }

// Whatever a query or an observer does in the middle of a publication, on the
// goroutine of a publisher or of the server, the publication reaches everybody
// else and the bus goes on.
func TestUserCodeCannotKeepThePass(t *testing.T) {
	for name, misdeed := range misdeeds {
		for _, where := range []string{"query", "observer"} {
			for _, queued := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s/queued=%v", where, name, queued), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						const n = 40 // more than two groups
						var log records
						server := pubsub.NewServer(pubsub.BufferCapacity(n))
						server.SetLogger(&log)
						if !queued {
							require.NoError(t, server.Start())
						}
						before := subscribe(t, server, "before", "", n, pubsub.Cancel)
						user, err := server.Subscribe(ctx, "user", userQuery{"a"}, n)
						require.NoError(t, err)
						block := subscribeBlock(t, server, "block", 1, 0)
						var first, last []uint64
						server.Observe(func(m pubsub.Message) { first = append(first, m.Sequence()) })
						if where == "observer" {
							server.Observe(func(m pubsub.Message) { misdeed() })
						} else {
							_, err := server.Subscribe(ctx, "bad", queryFunc{"bad", func(map[string][]string) (bool, error) {
								misdeed()
								return true, nil
							}}, n)
							require.NoError(t, err)
						}
						server.Observe(func(m pubsub.Message) { last = append(last, m.Sequence()) })
						after, err := server.Subscribe(ctx, "after", userQuery{"a"}, n)
						require.NoError(t, err)

						for i := range n {
							go server.PublishWithEvents(ctx, i+1, events("a", "1"))
							synctest.Wait()
						}
						if queued {
							require.NoError(t, server.Start())
						}
						for i := range n {
							require.Equal(t, i+1, next(t, block))
						}
						synctest.Wait()
						for _, sub := range []*pubsub.Subscription{before, user, after} {
							require.Equal(t, count(1, n), buffered(t, sub), sub.ClientID())
						}
						require.Len(t, last, n)
						require.Equal(t, first, last)
						require.NotZero(t, log.with("error: pubsub: "+where))
						require.Equal(t, where == "query", len(server.Stats().Failures) > 0)
						require.NoError(t, server.Stop())
					})
				})
			}
		}
	}
}

// As a test's Matches does that calls t.FailNow: the goroutine of its publisher
// ends.
func TestPublisherWhoseQueryExitsEnds(t *testing.T) {
	server := newServer(t)
	_, err := server.Subscribe(ctx, "bad", queryFunc{"bad", func(map[string][]string) (bool, error) {
		runtime.Goexit()
		return true, nil
	}}, 1)
	require.NoError(t, err)
	sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	returned := false
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = server.Publish(ctx, 7)
		returned = true
	})
	wg.Wait()
	require.False(t, returned)
	require.Equal(t, 7, next(t, sub))
	require.NoError(t, server.Stop())
}

// A logFunc is a service.Logger.
type logFunc func(msg string)

func (f logFunc) Debug(msg string, _ ...any) { f(msg) }
func (f logFunc) Info(msg string, _ ...any)  { f(msg) }
func (f logFunc) Error(msg string, _ ...any) { f(msg) }

// A logger is not called in the middle of anything, whatever it does.
func TestLoggerCannotKeepThePass(t *testing.T) {
	log.SetOutput(io.Discard) // where its panics go
	defer log.SetOutput(os.Stderr)
	for name, misdeed := range misdeeds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := pubsub.NewServer()
				lines := 0
				server.SetLogger(logFunc(func(string) {
					lines++
					misdeed()
				}))
				require.NoError(t, server.Start())
				server.Observe(func(pubsub.Message) { panic("no room") })
				for i := range 5 {
					subscribe(t, server, fmt.Sprint(i), "", i+1, pubsub.Cancel)
				}
				publishN(t, server, 1, 6)
				synctest.Wait()
				require.Equal(t, 1+6+5, lines, "none is lost")
				require.Zero(t, server.NumClients())
				require.NoError(t, server.Stop())
				require.Equal(t, 1+6+5+1, lines)
			})
		})
	}
}

// A logger may publish, and wait for that, also where the queue has no room.
func TestLoggerMayCallTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := pubsub.NewServer()
		said := subscribe(t, server, "log", "", 100, pubsub.Cancel)
		published := make(map[string]error)
		server.SetLogger(logFunc(func(msg string) {
			published[msg] = server.Publish(ctx, msg)
			server.Stats()
		}))
		require.NoError(t, server.Start())
		require.Equal(t, "service started", next(t, said))
		subscribe(t, server, "slow", "", 1, pubsub.Cancel)
		publishN(t, server, 1, 2)
		synctest.Wait()
		require.Equal(t, []any{1, 2, "pubsub: slow subscriber cut"}, []any{next(t, said), next(t, said), next(t, said)})
		require.NoError(t, server.Stop())
		require.Equal(t, map[string]error{
			"service started": nil, "pubsub: slow subscriber cut": nil, "service stopped": pubsub.ErrServerStopped,
		}, published)
	})
}

// A handler of slog holds a mutex while it writes.
func TestLoggerThatHoldsItsLockMayStopTheBus(t *testing.T) {
	server := pubsub.NewServer()
	stopped := make(chan error, 1)
	var mu sync.Mutex
	server.SetLogger(logFunc(func(msg string) {
		mu.Lock()
		defer mu.Unlock()
		if msg == "pubsub: observer panicked" {
			stopped <- server.Stop()
		}
	}))
	require.NoError(t, server.Start())
	server.Observe(func(pubsub.Message) { panic("no room") })
	publish(t, server, 1)
	require.NoError(t, <-stopped)
	server.Wait()
	require.NoError(t, server.Reset())
}

// A logger that has stopped taking lines keeps neither the bus nor memory.
func TestLoggerThatHangsKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		goOn := make(chan struct{})
		var log records
		server.SetLogger(logFunc(func(msg string) {
			<-goOn
			log.Info(msg)
		}))
		server.Observe(func(pubsub.Message) { panic("no room") })
		sub := subscribe(t, server, "c", "", 3000, pubsub.Cancel)
		publishN(t, server, 1, 3000)
		require.Equal(t, 3000, sub.Len())
		close(goOn)
		synctest.Wait()
		require.Equal(t, 1, log.with("lines are missing"))
		require.Less(t, log.with("observer panicked"), 1100)
	})
}

// Stop from inside what it would wait for does not wait.
func TestUserCodeMayStop(t *testing.T) {
	for name, arrange := range map[string]func(server *pubsub.Server, stop func()){
		"observer": func(server *pubsub.Server, stop func()) { server.Observe(func(pubsub.Message) { stop() }) },
		"query": func(server *pubsub.Server, stop func()) {
			_, _ = server.Subscribe(ctx, "bad", queryFunc{"bad", func(map[string][]string) (bool, error) { stop(); return true, nil }})
		},
		"logger": func(server *pubsub.Server, stop func()) {
			server.Observe(func(pubsub.Message) { panic("no room") })
			server.SetLogger(logFunc(func(msg string) {
				if msg == "pubsub: observer panicked" {
					stop()
				}
			}))
		},
	} {
		for _, queued := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/queued=%v", name, queued), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := pubsub.NewServer(pubsub.BufferCapacity(3))
					sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
					var stops []error
					if queued {
						publishN(t, server, 1, 3)
					}
					arrange(server, func() { stops = append(stops, server.Stop()) })
					require.NoError(t, server.Start())
					if !queued {
						publishN(t, server, 1, 1)
					}
					server.Wait()
					synctest.Wait()
					require.NoError(t, stops[0])
					all, reason := rest(sub)
					require.Equal(t, pubsub.ErrServerStopped, reason)
					require.Equal(t, map[bool]int{false: 1, true: 3}[queued], len(all), "what was accepted is dispatched")
					require.NoError(t, server.Reset())
				})
			})
		}
	}
}

// An observer may publish: the queue takes it, as long as it has room.
func TestObserverMayPublishIntoTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(1))
		sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
		server.Observe(func(m pubsub.Message) {
			if m.Sequence() == 1 {
				require.NoError(t, server.Publish(ctx, 2))
				soon, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				require.ErrorIs(t, server.Publish(soon, 3), context.DeadlineExceeded)
			}
		})
		publishN(t, server, 1, 1)
		synctest.Wait()
		require.Equal(t, count(1, 2), buffered(t, sub))
	})
}

// A hostile context does something when it is asked for the second time.
type hostile struct {
	context.Context
	err, done func()
	asked     int
}

func (h *hostile) Err() error {
	if h.asked++; h.asked > 1 && h.err != nil {
		h.err()
	}
	return h.Context.Err()
}

func (h *hostile) Done() <-chan struct{} {
	if h.done != nil {
		h.done()
	}
	return h.Context.Done()
}

// A context is user code too: it is not asked under a lock, nor between two
// steps that belong together.
func TestContextMayCallTheBusOrPanic(t *testing.T) {
	recovered := func(f func()) {
		defer func() { _ = recover() }()
		f()
	}
	for name, misdeed := range misdeeds {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("reader %s/out=%v", name, open), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t)
					sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
					if open {
						sub.Out()
					}
					soon, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					go recovered(func() { sub.Next(&hostile{Context: soon, done: misdeed}) })
					go recovered(func() { sub.Next(&hostile{Context: soon, err: misdeed}) })
					got := make(chan any, 1)
					go func() { got <- next(t, sub) }()
					synctest.Wait()
					time.Sleep(2 * time.Minute) // until the others have given up
					publishN(t, server, 1, 1)
					require.Equal(t, 1, <-got)
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		server, sub := blocked(t, 1, 0)
		publishN(t, server, 3, 100)
		soon, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		calls := func() { server.Stats() }
		err := server.Publish(&hostile{Context: soon, err: calls, done: calls}, 103)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, next(t, sub))
	})
}

// Publications that are queued are matched together; what was found for those
// before an exit is not taken for what comes after it.
func TestPublicationsAfterAnExitAreMatchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 2; n <= 5; n++ {
			for exit := range n {
				server := pubsub.NewServer(pubsub.BufferCapacity(n))
				server.Observe(func(m pubsub.Message) {
					if m.Data() == exit {
						runtime.Goexit()
					}
				})
				var subs []*pubsub.Subscription
				for i := range n {
					subs = append(subs, subscribe(t, server, "c", fmt.Sprintf("a = %d", i), n, pubsub.Cancel))
					publish(t, server, i, "a", fmt.Sprint(i))
				}
				require.NoError(t, server.Start())
				require.NoError(t, server.Stop())
				for i, sub := range subs {
					require.Equal(t, []int{i}, buffered(t, sub), "exit at %d of %d", exit, n)
				}
			}
		}
	})
}

// What was reported is written when Stop returns.
func TestStopWaitsForTheLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := pubsub.NewServer()
		slow := &slowLogger{}
		server.SetLogger(slow)
		require.NoError(t, server.Start())
		server.Observe(func(pubsub.Message) { panic("no room") })
		require.NoError(t, server.Publish(ctx, 1))
		require.NoError(t, server.Stop())
		require.True(t, slow.wrote.Load())
	})
}

// A slowLogger takes a minute for an error.
type slowLogger struct{ wrote atomic.Bool }

func (*slowLogger) Debug(string, ...any) {}
func (*slowLogger) Info(string, ...any)  {}
func (l *slowLogger) Error(string, ...any) {
	time.Sleep(time.Minute)
	l.wrote.Store(true)
}

// Stop within user code does not wait for it; Reset does.
func TestResetWaitsForUserCodeThatStoppedTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := pubsub.NewServer(pubsub.BufferCapacity(1))
		require.NoError(t, server.Start())
		stopped := make(chan struct{})
		var left atomic.Bool
		remove := server.Observe(func(pubsub.Message) {
			_ = server.Stop()
			close(stopped)
			time.Sleep(time.Minute)
			left.Store(true)
		})
		go func() { _ = server.Publish(ctx, 1) }()
		<-stopped
		require.NoError(t, server.Reset())
		require.True(t, left.Load())
		remove()
		require.NoError(t, server.Start())
		sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
		publish(t, server, 2)
		require.Equal(t, 2, next(t, sub))
		require.NoError(t, server.Stop())
	})
}

// Reset would wait for user code that calls it; so it says that it is too early.
// Later, or of another server that has ended, it is allowed.
func TestResetInUserCodeDoesNotWaitForIt(t *testing.T) {
	for name, arrange := range map[string]func(server *pubsub.Server, reset func()){
		"observer": func(server *pubsub.Server, reset func()) { server.Observe(func(pubsub.Message) { reset() }) },
		"query": func(server *pubsub.Server, reset func()) {
			_, _ = server.Subscribe(ctx, "bad", queryFunc{"bad", func(map[string][]string) (bool, error) { reset(); return true, nil }})
		},
		"logger": func(server *pubsub.Server, reset func()) {
			server.Observe(func(pubsub.Message) { panic("no room") })
			server.SetLogger(logFunc(func(msg string) {
				if msg == "pubsub: observer panicked" {
					reset()
				}
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, other := pubsub.NewServer(), newServer(t)
				require.NoError(t, other.Stop())
				var tooEarly, ofAnother error
				arrange(server, func() {
					_ = server.Stop()
					tooEarly, ofAnother = server.Reset(), other.Reset()
				})
				require.NoError(t, server.Start())
				go server.Publish(ctx, 1)
				time.Sleep(time.Minute)
				synctest.Wait()
				require.ErrorContains(t, tooEarly, "pubsub: Reset in an observer, a query or a logger")
				require.NoError(t, ofAnother)
				require.NoError(t, server.Reset())
				require.NoError(t, server.Start())
				require.NoError(t, server.Stop())
			})
		})
	}
}

// What was found for a group of queued publications is not taken for the next
// one, which comes alone.
func TestLonePublicationAfterAnExitIsMatchedItself(t *testing.T) {
	for n := 2; n <= 20; n++ {
		for exit := 1; exit <= n; exit++ {
			synctest.Test(t, func(t *testing.T) {
				server := pubsub.NewServer(pubsub.BufferCapacity(n))
				a := subscribe(t, server, "a", "a = 1", 100, pubsub.Cancel)
				b := subscribe(t, server, "b", "b = 1", 100, pubsub.Cancel)
				server.Observe(func(m pubsub.Message) {
					if m.Sequence() == uint64(exit) {
						runtime.Goexit()
					}
				})
				for i := range n {
					key := "a"
					if i == n-1 {
						key = "b"
					}
					publish(t, server, i, key, "1")
				}
				require.NoError(t, server.Start())
				synctest.Wait()
				publish(t, server, n, "b", "1")
				require.NoError(t, server.Stop())
				require.Equal(t, count(0, n-1), buffered(t, a), "exit at %d of %d", exit, n)
				require.Equal(t, count(n-1, 2), buffered(t, b), "exit at %d of %d", exit, n)
			})
		}
	}
}

// A publication whose Publish has not returned nil did not happen, whatever the
// context does while there is no room.
func TestPublishWhoseContextFailsDidNotHappen(t *testing.T) {
	for name, misdeed := range misdeeds {
		for _, where := range []string{"Done", "Err"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := pubsub.NewServer()
					sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
					over, cancel := context.WithCancel(ctx)
					bad := &hostile{Context: over, done: misdeed}
					if where == "Err" {
						bad = &hostile{Context: over, err: misdeed}
					}
					var returned atomic.Bool
					go func() {
						defer func() { _ = recover() }()
						_ = server.Publish(bad, 1)
						returned.Store(true)
					}()
					synctest.Wait()
					cancel()
					synctest.Wait()
					require.False(t, returned.Load())
					require.NoError(t, server.Start())
					publish(t, server, 2)
					require.NoError(t, server.Stop())
					require.Equal(t, []int{2}, buffered(t, sub))
				})
			})
		}
	}
}

// A mute context is done and does not say why.
type mute struct{ context.Context }

func (mute) Err() error { return nil }

// A call that gave up says so.
func TestContextThatIsDoneWithoutAReasonHasBeenCanceled(t *testing.T) {
	over, cancel := context.WithCancel(ctx)
	cancel()
	server := pubsub.NewServer()
	require.ErrorIs(t, server.Publish(mute{over}, 1), context.Canceled)
	for _, open := range []bool{false, true} {
		sub := subscribe(t, server, fmt.Sprint(open), "", 10, pubsub.Cancel)
		if open {
			sub.Out()
		}
		_, err := sub.Next(mute{over})
		require.ErrorIs(t, err, context.Canceled)
		_, err = sub.NextBatch(mute{over}, make([]pubsub.Message, 1))
		require.ErrorIs(t, err, context.Canceled)
	}
}
