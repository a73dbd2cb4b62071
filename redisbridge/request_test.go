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

// ask sends a request and returns what its answer comes by, once it waits.
func (s *side) ask(t *testing.T, question string) (answer chan any) {
	t.Helper()
	answer = make(chan any, 1)
	go func() {
		if reply, err := s.Request(within(t, patience), question, nil); err != nil {
			answer <- err
		} else {
			answer <- reply.Data
		}
	}()
	eventually(t, "it waits", func() bool { return s.waitingRequests() == 1 })
	return answer
}

// A signed reply answers the request that it was made for: neither one of
// another process that has the same number, nor one that is asked later.
func TestSignedReplyAnswersNoOtherRequest(t *testing.T) {
	redis := redistest.Start(t)
	o := live("replies")
	o.Keys = testKeys(t)
	answerer := join(t, redis, o).awaitReady(t)
	x, y := join(t, redis, o).awaitReady(t), join(t, redis, o).awaitReady(t)
	recorded := tapChannel(t, redis, x.names.inbox)

	asked := answerer.subscribe(t, query.All)
	first := x.ask(t, "is the account open?")
	m, err := asked.Next(within(t, patience))
	require.NoError(t, err)
	require.NoError(t, answerer.Reply(within(t, patience), m, "yes", nil))
	require.Equal(t, "yes", <-first)
	eventually(t, "it was recorded", func() bool { return len(recorded()) == 1 })

	second := y.ask(t, "may it be emptied?")
	redis.Do(t, "PUBLISH", y.names.inbox, recorded()[0])
	eventually(t, "it is refused", func() bool { return y.Stats().Unsigned == 1 })
	m, err = asked.Next(within(t, patience))
	require.NoError(t, err)
	require.NoError(t, answerer.Reply(within(t, patience), m, "no", nil))
	require.Equal(t, "no", <-second)
}

// A reply that was held back is no answer any more.
func TestOldReplyIsStale(t *testing.T) {
	redis := redistest.Start(t)
	o := live("late")
	o.Keys = testKeys(t)
	a, b, _ := joinTwo(t, redis, o)
	answer := a.ask(t, "what is it worth?")
	inbox := a.names.inbox
	frame := []byte(must(b.replyFrame(inbox, 1, "much", nil)))
	for _, age := range []time.Duration{2 * freshness, -2 * freshness} {
		old := reseal(frame, time.Now().Add(-age).UnixMicro(), b.sign.at(inbox))
		redis.Do(t, "PUBLISH", inbox, string(old))
	}
	eventually(t, "they are refused", func() bool { return a.Stats().Stale == 2 })
	require.Empty(t, answer)
	redis.Do(t, "PUBLISH", inbox, string(frame))
	require.Equal(t, "much", <-answer)
}
