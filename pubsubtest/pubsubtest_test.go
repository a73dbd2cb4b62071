package pubsubtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/pubsubtest"
	"github.com/harkbus/pubsub/query"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// A recorder is a test that fails without failing ours.
type recorder struct {
	testing.TB
	message  string
	cleanups []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Name() string              { return "TestRecorded" }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.message += fmt.Sprintf(f, a...) }

func (r *recorder) Fatalf(f string, a ...any) {
	r.Errorf(f, a...)
	runtime.Goexit()
}

// failure returns what a function that is given a test fails it with.
func failure(f func(t testing.TB)) string {
	r := &recorder{}
	over := make(chan struct{})
	go func() {
		defer close(over)
		f(r)
	}()
	<-over
	for _, cleanup := range r.cleanups {
		cleanup()
	}
	return r.message
}

// Somebody else may stop the server, or have stopped it: the test waits for that.
func TestServerHasStoppedWhenTheTestIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := pubsubtest.NewServer(r)
		goOn, over := make(chan struct{}), make(chan struct{})
		server.Observe(func(pubsub.Message) { <-goOn })
		go server.Publish(ctx, 1)
		synctest.Wait()
		go server.Stop()
		synctest.Wait()
		go func() {
			defer close(over)
			r.cleanups[0]()
		}()
		synctest.Wait()
		select {
		case <-over:
			require.Fail(t, "it still stops")
		default:
		}
		close(goOn)
		<-over
		require.Empty(t, r.message)
		r.cleanups[0]()
		require.Empty(t, r.message)
		require.NoError(t, server.Reset())
		r.cleanups[0]()
		require.Empty(t, r.message)
	})
}

func TestExpectTakesWhatItIsGiven(t *testing.T) {
	server := pubsubtest.NewServer(t)
	all := pubsubtest.Subscribe(t, server, "")
	sub := pubsubtest.Subscribe(t, server, "a = 1")
	require.Equal(t, t.Name(), sub.ClientID())
	for i := range 4 {
		require.NoError(t, server.PublishWithEvents(ctx, i, map[string][]string{"a": {fmt.Sprint(i % 2)}, "b": {"x", "y"}}))
	}

	pubsubtest.Expect(t, all) // nothing, so takes nothing
	pubsubtest.Expect(t, all, 0, 1)
	require.Equal(t, 2, pubsubtest.Next(t, all).Data())
	pubsubtest.Expect(t, all, 3)
	pubsubtest.ExpectNone(t, all)

	m := pubsubtest.ExpectEvents(t, sub, map[string][]string{"a": {"1"}, "b": {"x", "y"}, "c": {}})
	require.Equal(t, 1, m.Data())
	m = pubsubtest.ExpectMatch(t, sub, func(m pubsub.Message) error { return nil })
	require.Equal(t, 3, m.Data())

	require.NoError(t, server.Unsubscribe(ctx, t.Name(), query.All))
	pubsubtest.ExpectCanceled(t, all, pubsub.ErrUnsubscribed)
	pubsubtest.ExpectNone(t, sub)
	require.NoError(t, server.Stop())
	pubsubtest.ExpectCanceled(t, sub, pubsub.ErrServerStopped)
}

func TestServerIsStoppedAtTheEndOfTheTest(t *testing.T) {
	var server *pubsub.Server
	var sub *pubsub.Subscription
	require.Empty(t, failure(func(t testing.TB) {
		server = pubsubtest.NewServer(t, pubsub.BufferCapacity(3))
		sub = pubsubtest.Subscribe(t, server, "")
	}))
	require.Equal(t, 3, server.BufferCapacity())
	require.False(t, server.IsRunning())
	require.Equal(t, pubsub.ErrServerStopped, sub.Err())

	require.Empty(t, failure(func(t testing.TB) { pubsubtest.NewServer(t).Stop() }), "the test may do that itself")
}

func TestFailuresSayWhatHappenedInstead(t *testing.T) {
	const of = `pubsubtest: subscription of "TestRecorded" to "a EXISTS": `
	type world struct {
		testing.TB
		server *pubsub.Server
		sub    *pubsub.Subscription
	}
	publish := func(w world, data any) {
		require.NoError(t, w.server.PublishWithEvents(ctx, data, map[string][]string{"a": {"1"}}))
	}
	tests := map[string]struct {
		act  func(w world)
		want string
	}{
		"bad query": {
			func(w world) { pubsubtest.Subscribe(w, w.server, "a = ") },
			"pubsubtest: " + syntaxError("a = "),
		},
		"subscribed twice": {
			func(w world) { pubsubtest.Subscribe(w, w.server, "a EXISTS") },
			"pubsubtest: subscribing to a EXISTS: already subscribed",
		},
		"other data": {
			func(w world) { publish(w, 1); publish(w, "x"); pubsubtest.Expect(w, w.sub, 1, "y") },
			of + "message 2 of 2:\n\tgot  \"x\"\n\twant \"y\"",
		},
		"other type": {
			func(w world) { publish(w, 1); pubsubtest.Expect(w, w.sub, int64(1)) },
			of + "message 1 of 1:\n\tgot  1\n\twant 1",
		},
		"no data": {
			func(w world) { publish(w, 1); pubsubtest.Expect(w, w.sub, 1, 2) },
			of + "nothing came within 10s, want 2 (2 of 2)",
		},
		"nothing next": {
			func(w world) { pubsubtest.Next(w, w.sub) },
			of + "nothing came within 10s, want a message",
		},
		"ended": {
			func(w world) { w.server.Stop(); pubsubtest.Expect(w, w.sub, 1) },
			of + "ended (pubsub: the server is stopped), want 1 (1 of 1)",
		},
		"other events": {
			func(w world) {
				publish(w, 1)
				pubsubtest.ExpectEvents(w, w.sub, map[string][]string{"a": {"1", "2"}})
			},
			of + "events of publication 1, \"a\":\n\tgot  [\"1\"]\n\twant [\"1\" \"2\"]",
		},
		"an event more": {
			func(w world) {
				require.NoError(t, w.server.PublishWithEvents(ctx, 1, map[string][]string{"a": {"1", "2"}}))
				pubsubtest.ExpectEvents(w, w.sub, map[string][]string{"a": {"1"}})
			},
			of + "events of publication 1, \"a\":\n\tgot  [\"1\" \"2\"]\n\twant [\"1\"]",
		},
		"no events": {
			func(w world) { publish(w, 1); pubsubtest.ExpectEvents(w, w.sub, map[string][]string{"b": {"1"}}) },
			of + "events of publication 1, \"b\":\n\tgot  []\n\twant [\"1\"]",
		},
		"does not match": {
			func(w world) {
				publish(w, 7)
				pubsubtest.ExpectMatch(w, w.sub, func(pubsub.Message) error { return errors.New("too small") })
			},
			of + "publication 1, 7: too small",
		},
		"something left": {
			func(w world) { publish(w, 7); publish(w, 8); pubsubtest.ExpectNone(w, w.sub) },
			of + "2 messages in the buffer, want none; the first is 7 with the events map[\"a\":[\"1\"]]",
		},
		"one left": {
			func(w world) { publish(w, 7); pubsubtest.ExpectNone(w, w.sub) },
			of + "1 messages in the buffer, want none; the first is 7 with the events map[\"a\":[\"1\"]]",
		},
		"none, but ended": {
			func(w world) { w.server.UnsubscribeAll(ctx, w.Name()); pubsubtest.ExpectNone(w, w.sub) },
			of + "ended (client unsubscribed), want it to live",
		},
		"lives": {
			func(w world) { pubsubtest.ExpectCanceled(w, w.sub, pubsub.ErrOutOfCapacity) },
			of + "still lives after 10s, want its end (internal subscription event buffer is out of capacity)",
		},
		"other reason": {
			func(w world) { w.server.Stop(); pubsubtest.ExpectCanceled(w, w.sub, pubsub.ErrUnsubscribed) },
			of + "ended for another reason:\n\tgot  pubsub: the server is stopped\n\twant client unsubscribed",
		},
		"detached": {
			func(w world) { pubsubtest.Next(w, pubsub.NewSubscription(1)) },
			"pubsubtest: detached subscription: nothing came within 10s, want a message",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // patience takes no time
				require.Equal(t, test.want, failure(func(r testing.TB) {
					server := pubsubtest.NewServer(r)
					test.act(world{r, server, pubsubtest.Subscribe(r, server, "a EXISTS")})
				}))
			})
		})
	}
}

func syntaxError(text string) string {
	_, err := query.New(text)
	return err.Error()
}

// Inside a bubble waiting takes no time and ExpectNone is certain.
func TestWorksInsideABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := pubsubtest.NewServer(t)
		sub := pubsubtest.Subscribe(t, server, "")
		go func() {
			time.Sleep(5 * time.Second)
			server.Publish(ctx, "late")
		}()
		synctest.Wait()
		pubsubtest.ExpectNone(t, sub)
		pubsubtest.Expect(t, sub, "late")
	})
}
