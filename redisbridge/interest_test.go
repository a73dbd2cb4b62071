package redisbridge

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"
)

func forwarding(namespace string) Options {
	return Options{Namespace: namespace, Mode: Live, Lease: 2 * time.Second}
}

func (s *side) subscribe(t testing.TB, q pubsub.Query) *pubsub.Subscription {
	t.Helper()
	sub, err := s.server.SubscribeWithArgs(background(), pubsub.SubscribeArgs{ClientID: "test", Query: q, Capacity: 1000})
	require.NoError(t, err)
	return sub
}

func (s *side) publish(t testing.TB, data any, events map[string][]string) {
	t.Helper()
	require.NoError(t, s.Publish(within(t, patience), data, events))
	require.NoError(t, s.Flush(within(t, patience)))
}

func TestEventNobodyAsksForCostsNoFrame(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, forwarding("interest")).awaitReady(t)
	b := join(t, redis, forwarding("interest")).awaitReady(t)
	eventually(t, "the view is complete", func() bool { return a.Stats().Interest.Filtering })

	a.publish(t, 1, map[string][]string{"kind": {"apple"}})
	require.Zero(t, a.Stats().SentFrames)
	require.EqualValues(t, 1, a.Stats().Filtered)

	sub := b.subscribe(t, query.MustParse("kind = 'apple'"))
	require.NoError(t, b.Announce(within(t, patience)))
	a.publish(t, 2, map[string][]string{"kind": {"pear"}})
	a.publish(t, 3, map[string][]string{"kind": {"apple"}})
	m, err := sub.Next(within(t, patience))
	require.NoError(t, err)
	require.Equal(t, 3, m.Data())
	require.EqualValues(t, 1, a.Stats().SentEvents)

	require.NoError(t, b.server.Unsubscribe(background(), "test", query.MustParse("kind = 'apple'")))
	require.NoError(t, b.Announce(within(t, patience)))
	a.publish(t, 4, map[string][]string{"kind": {"apple"}})
	require.EqualValues(t, 1, a.Stats().SentEvents)
	require.Empty(t, b.gaps.all(), "what nobody asked for is not missing")
}

type oddQuery struct{}

func (oddQuery) Matches(map[string][]string) (bool, error) { return true, nil }
func (oddQuery) String() string                            { return "odd" }

func TestInterestFailsOpen(t *testing.T) {
	for name, ask := range map[string]func(t *testing.T, b *side){
		"a query of a user's own": func(t *testing.T, b *side) { b.subscribe(t, oddQuery{}) },
		"more queries than the cap": func(t *testing.T, b *side) {
			for _, q := range []string{"a = 1", "b = 1", "c = 1"} {
				b.subscribe(t, query.MustParse(q))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			a := join(t, redis, forwarding("open")).awaitReady(t)
			o := forwarding("open")
			o.MaxInterests = 2
			b := join(t, redis, o).awaitReady(t)
			got := b.collect()
			ask(t, b)
			require.NoError(t, b.Announce(within(t, patience)))
			require.Equal(t, -1, b.Stats().Interest.Announced)
			a.number(t, 7)
			got.await(t, has(7))
		})
	}
}

// Who observes gets what nobody has subscribed to.
func TestReceiveAllAsksForEverything(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, forwarding("all")).awaitReady(t)
	o := forwarding("all")
	o.ReceiveAll = true
	b := join(t, redis, o).awaitReady(t)
	observed := make(chan struct{})
	b.server.Observe(func(pubsub.Message) { close(observed) })
	a.number(t, 7)
	<-observed
}

// A publisher that was cut off from the news of interests sends everything
// until it has loaded them again.
func TestPublisherSendsEverythingUntilItKnows(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, forwarding("cut")).awaitReady(t)
	eventually(t, "the view is complete", func() bool { return a.Stats().Interest.Filtering })
	a.proxy.Refuse(t, true)
	a.proxy.Cut()
	eventually(t, "it sends everything", func() bool { return !a.Stats().Interest.Filtering })
	a.proxy.Refuse(t, false)
	eventually(t, "it knows again", func() bool { return a.Stats().Interest.Filtering })
}

func TestDeadProcessIsNotSentToWhenItsLeaseEnds(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, forwarding("dead")).awaitReady(t)
	b := join(t, redis, forwarding("dead")).awaitReady(t)
	b.subscribe(t, query.All)
	require.NoError(t, b.Announce(within(t, patience)))
	require.Equal(t, 1, a.Stats().Interest.Peers)
	b.proxy.Refuse(t, true)
	b.proxy.Cut()
	eventually(t, "the lease ends", func() bool { return a.Stats().Interest.Peers == 0 })
	b.proxy.Refuse(t, false)
	eventually(t, "it is told that it missed something", func() bool { return b.gaps.count(Unannounced) == 1 })
	eventually(t, "it is known again", func() bool { return a.Stats().Interest.Peers == 1 })
}

func TestProcessThatClosesIsForgottenAtOnce(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, forwarding("bye")).awaitReady(t)
	b := join(t, redis, forwarding("bye")).awaitReady(t)
	require.Equal(t, 1, a.Stats().Interest.Peers)
	require.NoError(t, b.Close())
	eventually(t, "it is forgotten", func() bool { return a.Stats().Interest.Peers == 0 })
	require.EqualValues(t, 0, must(redis.Do(t, "EXISTS", b.names.interest+originText(b.Origin())).AsInt64()))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestReaderIsSentWhatItsQueryMatches(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, forwarding("reader")).awaitReady(t)
	o := forwarding("reader")
	o.Redis = optionOf(redis.Addr)
	r, err := NewReader(o, query.MustParse("n > 4"))
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, r.Ready(within(t, patience)))
	for i := range 6 {
		a.number(t, i)
	}
	got, err := r.Next(within(t, patience))
	require.NoError(t, err)
	require.Equal(t, 5, got.Data)
	require.EqualValues(t, 5, a.Stats().Filtered)
}

func TestRequestIsAnsweredByAnotherProcess(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			redis := redistest.Start(t)
			o := Options{Namespace: "ask", Mode: mode}
			a := join(t, redis, o).awaitReady(t)
			b := join(t, redis, o).awaitReady(t)
			sub := b.subscribe(t, query.MustParse("ask = 'price'"))
			require.NoError(t, b.Announce(within(t, patience)))
			answered := make(chan error, 1)
			go func() {
				m, err := sub.Next(within(t, patience))
				if err == nil {
					err = b.Reply(within(t, patience), m, 42, map[string][]string{"currency": {"uatom"}})
				}
				answered <- err
			}()
			reply, err := a.Request(within(t, patience), "apple", map[string][]string{"ask": {"price"}})
			require.NoError(t, err)
			require.NoError(t, <-answered)
			require.Equal(t, 42, reply.Data)
			require.Equal(t, map[string][]string{"currency": {"uatom"}}, reply.Events)
			require.Equal(t, b.Origin(), *reply.Origin)

			short, cancel := context.WithTimeout(background(), 50*time.Millisecond)
			defer cancel()
			_, err = a.Request(short, "nobody", map[string][]string{"ask": {"nothing"}})
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

func TestRequestIsAnsweredInTheSameProcess(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("self")).awaitReady(t)
	sub := a.subscribe(t, query.MustParse("ask = 'price'"))
	go func() {
		if m, err := sub.Next(within(t, patience)); err == nil {
			_ = a.Reply(background(), m, 1, nil)
		}
	}()
	reply, err := a.Request(within(t, patience), nil, map[string][]string{"ask": {"price"}})
	require.NoError(t, err)
	require.Equal(t, 1, reply.Data)
}

func TestReplyToNobodyIsAnError(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("nobody")).awaitReady(t)
	m := func(address ...string) pubsub.Message {
		return pubsub.NewMessage(nil, map[string][]string{ReplyAttribute: address})
	}
	require.ErrorIs(t, a.Reply(background(), m(), 1, nil), ErrNoRequest)
	require.ErrorIs(t, a.Reply(background(), m("x:y"), 1, nil), ErrNoRequest)
	require.ErrorIs(t, a.Reply(background(), m("a{b}:1:1"), 1, nil), ErrNoRequest)
	require.ErrorIs(t, a.Reply(within(t, patience), m("gone:1:1"), 1, nil), ErrNobodyWaits)
	require.ErrorIs(t, a.Reply(background(), m(originText(a.Origin())+":99"), 1, nil), ErrNobodyWaits)
}
