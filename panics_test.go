package pubsub_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/service"
)

// Calls given nil, "" or nothing: those that panic are listed in the README, and
// do it before anything has changed; the others return.
func TestOnlyTheDocumentedMisusePanics(t *testing.T) {
	var none context.Context
	type calls map[string]func(server *pubsub.Server, sub *pubsub.Subscription)
	panics := calls{
		"Subscribe without room":        func(s *pubsub.Server, _ *pubsub.Subscription) { s.Subscribe(ctx, "c", query.All, 0) },
		"Subscribe with less":           func(s *pubsub.Server, _ *pubsub.Subscription) { s.Subscribe(ctx, "c", query.All, -1) },
		"MustParse":                     func(*pubsub.Server, *pubsub.Subscription) { query.MustParse("AND") },
		"Index.Add":                     func(*pubsub.Server, *pubsub.Subscription) { match.New[int]().Add(nil, 1) },
		"Loop.Add":                      func(*pubsub.Server, *pubsub.Subscription) { match.NewLoop[int](nil).Add(nil, 1) },
		"nil *query.Query: And":         func(*pubsub.Server, *pubsub.Subscription) { query.And(nil, query.All) },
		"nil *query.Query: Or":          func(*pubsub.Server, *pubsub.Subscription) { query.Or(query.MustParse("a = 1"), nil) },
		"nil *query.Query: String":      func(*pubsub.Server, *pubsub.Subscription) { _ = (*query.Query)(nil).String() },
		"nil *query.Query: Weigh":       func(*pubsub.Server, *pubsub.Subscription) { (*query.Query)(nil).Weigh(nil) },
		"nil *query.Query: Explain":     func(*pubsub.Server, *pubsub.Subscription) { match.Explain(nil, nil) },
		"nil option":                    func(*pubsub.Server, *pubsub.Subscription) { pubsub.NewServer(nil) },
		"nil context: Publish":          func(s *pubsub.Server, _ *pubsub.Subscription) { s.Publish(none, 1) },
		"nil context: Subscribe":        func(s *pubsub.Server, _ *pubsub.Subscription) { s.Subscribe(none, "d", query.All) },
		"nil context: Unsubscribe":      func(s *pubsub.Server, _ *pubsub.Subscription) { s.Unsubscribe(none, "c", query.All) },
		"nil context: UnsubscribeAll":   func(s *pubsub.Server, _ *pubsub.Subscription) { s.UnsubscribeAll(none, "c") },
		"nil context: UnsubscribeID":    func(s *pubsub.Server, sub *pubsub.Subscription) { s.UnsubscribeID(none, sub.ID()) },
		"nil context: Next":             func(_ *pubsub.Server, sub *pubsub.Subscription) { sub.Next(none) },
		"nil context: NextBatch":        func(_ *pubsub.Server, sub *pubsub.Subscription) { sub.NextBatch(none, make([]pubsub.Message, 1)) },
		"nil context: Messages":         func(_ *pubsub.Server, sub *pubsub.Subscription) { sub.Messages(none)(nil) },
		"nil subscription: DataOf":      func(*pubsub.Server, *pubsub.Subscription) { pubsub.DataOf[int](ctx, nil)(nil) },
		"nil subscription: Len":         func(*pubsub.Server, *pubsub.Subscription) { (*pubsub.Subscription)(nil).Len() },
		"nil service: Run":              func(*pubsub.Server, *pubsub.Subscription) { service.Run(ctx, nil) },
		"nil service: NewBaseService":   func(*pubsub.Server, *pubsub.Subscription) { service.NewBaseService(nil, "", nil).Start() },
		"nil *Batch: Index.FindBatch":   func(*pubsub.Server, *pubsub.Subscription) { match.New[int]().FindBatch(nil, nil) },
		"nil *Condition: Holds":         func(*pubsub.Server, *pubsub.Subscription) { (*query.Condition)(nil).Holds(nil) },
		"nil term: Not.Holds":           func(*pubsub.Server, *pubsub.Subscription) { query.Not{}.Holds(nil) },
		"zero Subscription: Next":       func(*pubsub.Server, *pubsub.Subscription) { new(pubsub.Subscription).Next(ctx) },
		"nil server: NumClients":        func(*pubsub.Server, *pubsub.Subscription) { (*pubsub.Server)(nil).NumClients() },
		"server that NewServer has not": func(*pubsub.Server, *pubsub.Subscription) { new(pubsub.Server).Publish(ctx, 1) },
	}
	returns := calls{
		"Loop.Match":             func(*pubsub.Server, *pubsub.Subscription) { loopThatFails().Match(nil, nil) },
		"Publish nothing":        func(s *pubsub.Server, _ *pubsub.Subscription) { s.PublishWithEvents(ctx, nil, nil) },
		"PublishWithArgs":        func(s *pubsub.Server, _ *pubsub.Subscription) { s.PublishWithArgs(ctx, pubsub.PublishArgs{}) },
		"SubscribeWithArgs":      func(s *pubsub.Server, _ *pubsub.Subscription) { s.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{}) },
		"Subscribe":              func(s *pubsub.Server, _ *pubsub.Subscription) { s.Subscribe(ctx, "", nil) },
		"Unsubscribe":            func(s *pubsub.Server, _ *pubsub.Subscription) { s.Unsubscribe(ctx, "", nil) },
		"UnsubscribeAll":         func(s *pubsub.Server, _ *pubsub.Subscription) { s.UnsubscribeAll(ctx, "") },
		"UnsubscribeID":          func(s *pubsub.Server, _ *pubsub.Subscription) { s.UnsubscribeID(ctx, 0) },
		"NumClientSubscriptions": func(s *pubsub.Server, _ *pubsub.Subscription) { s.NumClientSubscriptions("") },
		"SetLogger":              func(s *pubsub.Server, _ *pubsub.Subscription) { s.SetLogger(nil) },
		"Observe":                func(s *pubsub.Server, _ *pubsub.Subscription) { defer s.Observe(nil)(); s.Publish(ctx, nil) },
		"NextBatch":              func(_ *pubsub.Server, sub *pubsub.Subscription) { sub.NextBatch(ctx, nil) },
		"options": func(*pubsub.Server, *pubsub.Subscription) {
			pubsub.NewServer(pubsub.BufferCapacity(-1), pubsub.ExpressionBudget(-1))
		},
		"NewSubscription": func(*pubsub.Server, *pubsub.Subscription) {
			sub := pubsub.NewSubscription(-1)
			sub.Out()
			sub.Query()
			sub.Canceled()
			sub.Len()
		},
		"Message": func(*pubsub.Server, *pubsub.Subscription) {
			m := pubsub.Message{}
			m.Events()
			m.Matches(nil)
			m.Matches(query.All)
			m.CameWith(nil)
			m.Origin()
			m.Time()
			for range m.Values("") {
			}
		},
		"Index": func(*pubsub.Server, *pubsub.Subscription) {
			x := match.New[int]()
			x.Match(nil, nil)
			x.Remove(0)
			x.Explain(nil, 0)
			x.FindBatch(nil, new(match.Batch[int]))
		},
		"query": func(*pubsub.Server, *pubsub.Subscription) {
			query.New("")
			query.Limits{}.New("a = 1")
			new(query.Query).Matches(nil)
			query.MustParse("a = 1").Matches(nil)
			_ = (&query.SyntaxError{}).Error() + (&query.SyntaxError{Offset: -1}).Picture()
			_ = query.AllOf{}.Holds(nil) || query.AnyOf{}.Holds(nil)
		},
	}
	for name, call := range panics {
		t.Run("panics/"+name, func(t *testing.T) { tryCall(t, require.Panics, call) })
	}
	for name, call := range returns {
		t.Run("returns/"+name, func(t *testing.T) { tryCall(t, require.NotPanics, call) })
	}
}

func tryCall(t *testing.T, expect func(require.TestingT, assert.PanicTestFunc, ...any), call func(*pubsub.Server, *pubsub.Subscription)) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	expect(t, func() { call(server, sub) })
	_ = server.UnsubscribeAll(ctx, "") // what a call may have made
	require.Equal(t, 1, server.NumClients())
	publish(t, server, "goes on")
	for sub.Len() > 1 {
		require.Nil(t, next(t, sub))
	}
	require.Equal(t, "goes on", next(t, sub))
}

// loopThatFails has a query that fails and nobody to hear of it.
func loopThatFails() *match.Loop[int] {
	l := match.NewLoop[int](nil)
	l.Add(queryFunc{"bad", func(map[string][]string) (bool, error) { panic("no room") }}, 1)
	return l
}
