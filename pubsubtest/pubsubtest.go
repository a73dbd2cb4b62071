package pubsubtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/service"
)

// Patience is how long one expected message or end is waited for.
const Patience = 10 * time.Second

// Capacity is the capacity of the subscriptions that Subscribe makes.
const Capacity = 1000

// NewServer returns a server that is started, and stopped at the end of the
// test if it still runs.
func NewServer(t testing.TB, options ...pubsub.Option) *pubsub.Server {
	t.Helper()
	server := pubsub.NewServer(options...)
	if err := server.Start(); err != nil {
		t.Fatalf("pubsubtest: server does not start: %v", err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

// stop stops a server that runs. It returns once the server is stopped, whoever
// stops it.
func stop(t testing.TB, server *pubsub.Server) {
	t.Helper()
	quit := server.Quit() // of this life
	switch err := server.Stop(); err {
	case nil, service.ErrNotStarted: // it was reset
	case service.ErrAlreadyStopped:
		<-quit
	default:
		t.Errorf("pubsubtest: server does not stop: %v", err)
	}
}

// Subscribe subscribes to a query, given as text; "" is everything. The client
// is the test, so a test subscribes to one query once. Where capacity, policy
// or client matter, use Server.SubscribeWithArgs.
func Subscribe(t testing.TB, server *pubsub.Server, text string) *pubsub.Subscription {
	t.Helper()
	q := query.All
	if text != "" {
		var err error
		if q, err = query.New(text); err != nil {
			t.Fatalf("pubsubtest: %v", err)
		}
	}
	sub, err := server.SubscribeWithArgs(context.Background(), pubsub.SubscribeArgs{
		ClientID: t.Name(), Query: q, Capacity: Capacity,
	})
	if err != nil {
		t.Fatalf("pubsubtest: subscribing to %s: %v", q, err)
	}
	return sub
}

// Next returns the next message, which must come.
func Next(t testing.TB, sub *pubsub.Subscription) pubsub.Message {
	t.Helper()
	return next(t, sub, "a message")
}

func next(t testing.TB, sub *pubsub.Subscription, wanted string) pubsub.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	m, err := sub.Next(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		t.Fatalf("pubsubtest: %s: nothing came within %v, want %s", name(sub), Patience, wanted)
	case err != nil:
		t.Fatalf("pubsubtest: %s: ended (%v), want %s", name(sub), err, wanted)
	}
	return m
}

// Expect takes the next messages, as many as there are data, and asks that
// they carry the data, as reflect.DeepEqual tells.
func Expect(t testing.TB, sub *pubsub.Subscription, data ...any) {
	t.Helper()
	for i, want := range data {
		m := next(t, sub, fmt.Sprintf("%#v (%d of %d)", want, i+1, len(data)))
		if got := m.Data(); !reflect.DeepEqual(got, want) {
			t.Fatalf("pubsubtest: %s: message %d of %d:\n\tgot  %#v\n\twant %#v", name(sub), i+1, len(data), got, want)
		}
	}
}

// ExpectEvents takes the next message and asks that it carries these values,
// in this order, for each of these keys. Other keys it may carry too. It
// returns the message.
func ExpectEvents(t testing.TB, sub *pubsub.Subscription, events map[string][]string) pubsub.Message {
	t.Helper()
	m := next(t, sub, fmt.Sprintf("one with the events %q", events))
	got := m.Events()
	for key, want := range events {
		if len(want)+len(got[key]) > 0 && !reflect.DeepEqual(got[key], want) {
			t.Fatalf("pubsubtest: %s: events of publication %d, %q:\n\tgot  %q\n\twant %q", name(sub), m.Sequence(), key, got[key], want)
		}
	}
	return m
}

// ExpectMatch takes the next message and asks that match returns nil for it;
// the error tells what is wrong with it. It returns the message.
func ExpectMatch(t testing.TB, sub *pubsub.Subscription, match func(pubsub.Message) error) pubsub.Message {
	t.Helper()
	m := next(t, sub, "one that matches")
	if err := match(m); err != nil {
		t.Fatalf("pubsubtest: %s: publication %d, %#v: %v", name(sub), m.Sequence(), m.Data(), err)
	}
	return m
}

// ExpectNone asks that there is no message in the buffer now, and that the
// subscription has not ended. It does not wait.
func ExpectNone(t testing.TB, sub *pubsub.Subscription) {
	t.Helper()
	if n := sub.Len(); n > 0 {
		m := next(t, sub, "nothing")
		t.Fatalf("pubsubtest: %s: %d messages in the buffer, want none; the first is %#v with the events %q", name(sub), n, m.Data(), m.Events())
	}
	if err := sub.Err(); err != nil {
		t.Fatalf("pubsubtest: %s: ended (%v), want it to live", name(sub), err)
	}
}

// ExpectCanceled asks that the subscription ends for this reason, waiting for
// that if need be. What is in the buffer stays there.
func ExpectCanceled(t testing.TB, sub *pubsub.Subscription, reason error) {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case <-sub.Canceled():
	case <-timer.C:
		t.Fatalf("pubsubtest: %s: still lives after %v, want its end (%v)", name(sub), Patience, reason)
	}
	if err := sub.Err(); !errors.Is(err, reason) {
		t.Fatalf("pubsubtest: %s: ended for another reason:\n\tgot  %v\n\twant %v", name(sub), err, reason)
	}
}

// name says which subscription it is.
func name(sub *pubsub.Subscription) string {
	if sub.Query() == nil {
		return "detached subscription"
	}
	return fmt.Sprintf("subscription of %q to %q", sub.ClientID(), sub.Query())
}
