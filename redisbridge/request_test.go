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
