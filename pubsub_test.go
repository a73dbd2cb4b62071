package pubsub_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// Nothing that a test starts outlives it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ctx  = context.Background()
	done = canceled() // a context that is done
)

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// newServer returns a server that runs until the end of the test.
func newServer(t testing.TB, options ...pubsub.Option) *pubsub.Server {
	t.Helper()
	server := pubsub.NewServer(options...)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		if server.IsRunning() {
			require.NoError(t, server.Stop())
		}
	})
	return server
}

// subscribe subscribes a client to a query, as text, with a policy.
func subscribe(t testing.TB, server *pubsub.Server, client, text string, capacity int, policy pubsub.Overflow) *pubsub.Subscription {
	t.Helper()
	sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
		ClientID: client, Query: parse(text), Capacity: capacity, Overflow: policy,
	})
	require.NoError(t, err)
	return sub
}

// parse returns the query with a text, query.All if that is empty.
func parse(text string) *query.Query {
	if text == "" {
		return query.All
	}
	return query.MustParse(text)
}

// events makes a map of pairs of key and value.
func events(pairs ...string) map[string][]string {
	m := make(map[string][]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = append(m[pairs[i]], pairs[i+1])
	}
	return m
}

// publish publishes data with events, which do not wait.
func publish(t testing.TB, server *pubsub.Server, data any, pairs ...string) {
	t.Helper()
	require.NoError(t, server.PublishWithEvents(ctx, data, events(pairs...)))
}

// publishN publishes first, first+1, … without events.
func publishN(t testing.TB, server *pubsub.Server, first, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, server.Publish(ctx, first+i))
	}
}

// next reads the data of the next message.
func next(t testing.TB, sub *pubsub.Subscription) any {
	t.Helper()
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	return m.Data()
}

// buffered reads the data of all messages in the buffer.
func buffered(t testing.TB, sub *pubsub.Subscription) []int {
	t.Helper()
	all := []int{}
	for sub.Len() > 0 {
		all = append(all, next(t, sub).(int))
	}
	return all
}

// rest reads the data of all messages until the end and returns its reason.
func rest(sub *pubsub.Subscription) ([]int, error) {
	all := []int{}
	for m, err := range sub.Messages(ctx) {
		if err != nil {
			return all, err
		}
		all = append(all, m.Data().(int))
	}
	panic("Messages ended without an error")
}

// count returns first, first+1, …, n of them.
func count(first, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all
}

// isClosed tells whether a channel is closed, or has a value, now.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestArgumentsThatAreWrongAreNamed(t *testing.T) {
	server := newServer(t)
	good := pubsub.SubscribeArgs{ClientID: "c", Query: query.All}
	tests := map[string]struct {
		spoil func(*pubsub.SubscribeArgs)
		names string
	}{
		"no query":                   {func(a *pubsub.SubscribeArgs) { a.Query = nil }, "Query"},
		"typed nil query":            {func(a *pubsub.SubscribeArgs) { a.Query = (*query.Query)(nil) }, "Query"},
		"negative capacity":          {func(a *pubsub.SubscribeArgs) { a.Capacity = -1 }, "Capacity"},
		"huge capacity":              {func(a *pubsub.SubscribeArgs) { a.Capacity = pubsub.MaxCapacity + 1 }, "Capacity"},
		"largest number":             {func(a *pubsub.SubscribeArgs) { a.Capacity = math.MaxInt }, "Capacity"},
		"unknown policy":             {func(a *pubsub.SubscribeArgs) { a.Overflow = pubsub.Block + 1 }, "Overflow"},
		"negative timeout":           {func(a *pubsub.SubscribeArgs) { a.Overflow, a.BlockTimeout = pubsub.Block, -1 }, "BlockTimeout"},
		"timeout that has no effect": {func(a *pubsub.SubscribeArgs) { a.BlockTimeout = 1 }, "BlockTimeout"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			args := good
			test.spoil(&args)
			sub, err := server.SubscribeWithArgs(ctx, args)
			require.Nil(t, sub)
			require.ErrorContains(t, err, "pubsub: SubscribeArgs."+test.names)
			require.Zero(t, server.NumClients())
		})
	}

	sub, err := server.SubscribeWithArgs(ctx, good)
	require.NoError(t, err)
	require.Equal(t, pubsub.DefaultCapacity, sub.Cap())
}

// RPC clients inside a node of Tendermint subscribe as "".
func TestEmptyClientIsAClient(t *testing.T) {
	server := newServer(t)
	one, err := server.Subscribe(ctx, "", query.MustParse("a = 1"))
	require.NoError(t, err)
	two, err := server.SubscribeUnbuffered(ctx, "", query.MustParse("a = 2"))
	require.NoError(t, err)
	three, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{Query: query.All})
	require.NoError(t, err)
	other := subscribe(t, server, "other", "", 1, pubsub.Cancel)
	_, err = server.Subscribe(ctx, "", query.All)
	require.ErrorIs(t, err, pubsub.ErrAlreadySubscribed)
	require.Equal(t, 2, server.NumClients())
	require.Equal(t, 3, server.NumClientSubscriptions(""))
	require.Empty(t, one.ClientID())

	publish(t, server, 7, "a", "1")
	require.Equal(t, 7, next(t, one))
	require.Equal(t, 7, next(t, three))
	require.NoError(t, server.Unsubscribe(ctx, "", one.Query()))
	require.Equal(t, pubsub.ErrUnsubscribed, one.Err())
	require.NoError(t, server.UnsubscribeAll(ctx, ""))
	require.Equal(t, pubsub.ErrUnsubscribed, two.Err())
	require.NoError(t, other.Err())
	require.ErrorIs(t, server.UnsubscribeAll(ctx, ""), pubsub.ErrSubscriptionNotFound)
}

func TestSubscribeRefusesWhatSubscribeWithArgsRefuses(t *testing.T) {
	server := newServer(t)
	_, err := server.Subscribe(ctx, "c", nil)
	require.ErrorContains(t, err, "Query")
	_, err = server.Subscribe(ctx, "c", query.All, math.MaxInt)
	require.ErrorContains(t, err, "Capacity")
	_, err = server.SubscribeUnbuffered(ctx, "c", (*query.Query)(nil))
	require.ErrorContains(t, err, "Query")
	require.ErrorIs(t, server.Unsubscribe(ctx, "c", nil), pubsub.ErrSubscriptionNotFound)
	require.ErrorIs(t, server.Unsubscribe(ctx, "c", (*query.Query)(nil)), pubsub.ErrSubscriptionNotFound)
}

// Only the documented misuse panics.
func TestSubscribeWithoutRoomPanics(t *testing.T) {
	server := newServer(t)
	require.Panics(t, func() { server.Subscribe(ctx, "c", query.All, 0) })
	require.Panics(t, func() { server.Subscribe(ctx, "c", query.All, -1) })
	require.Zero(t, server.NumClients())
}

func TestSubscribeHasRoomForOneMessageByDefault(t *testing.T) {
	server := newServer(t)
	sub, err := server.Subscribe(ctx, "c", query.All)
	require.NoError(t, err)
	require.Equal(t, 1, sub.Cap())
	sub, err = server.Subscribe(ctx, "d", query.All, 7)
	require.NoError(t, err)
	require.Equal(t, 7, sub.Cap())
}

func TestLargestCapacityCostsNothingUntilItIsUsed(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", pubsub.MaxCapacity, pubsub.Cancel)
	publishN(t, server, 0, 1000)
	require.Equal(t, count(0, 1000), buffered(t, sub))
}

func TestBufferCapacityOfTheServer(t *testing.T) {
	require.Equal(t, 0, pubsub.NewServer().BufferCapacity())
	require.Equal(t, 0, pubsub.NewServer(pubsub.BufferCapacity(-1)).BufferCapacity())
	require.Equal(t, 5, pubsub.NewServer(pubsub.BufferCapacity(5)).BufferCapacity())
}

// A subscription of NewSubscription belongs to no server.
func TestDetachedSubscriptionReceivesNothing(t *testing.T) {
	sub := pubsub.NewSubscription(3)
	require.Equal(t, 3, cap(sub.Out()))
	require.Equal(t, 3, sub.Cap())
	require.Zero(t, sub.Len())
	require.Zero(t, sub.ID())
	require.Zero(t, sub.Dropped())
	require.Empty(t, sub.ClientID())
	require.Nil(t, sub.Query())
	require.NoError(t, sub.Err())
	require.False(t, isClosed(sub.Canceled()))
	_, err := sub.Next(done)
	require.ErrorIs(t, err, context.Canceled)

	waiting, cancel := context.WithCancel(ctx)
	go cancel()
	_, err = sub.Next(waiting)
	require.ErrorIs(t, err, context.Canceled)

	require.Zero(t, cap(pubsub.NewSubscription(-1).Out()))
}

func TestControlCallsLookAtTheirContextOnce(t *testing.T) {
	server := newServer(t)
	_, err := server.Subscribe(done, "c", query.All)
	require.ErrorIs(t, err, context.Canceled)
	_, err = server.SubscribeUnbuffered(done, "c", query.All)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, server.NumClients())

	sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	require.ErrorIs(t, server.Unsubscribe(done, "c", query.All), context.Canceled)
	require.ErrorIs(t, server.UnsubscribeAll(done, "c"), context.Canceled)
	require.ErrorIs(t, server.UnsubscribeID(done, sub.ID()), context.Canceled)
	require.ErrorIs(t, server.Publish(done, 1), context.Canceled)
	require.Equal(t, 1, server.NumClients())
	require.Zero(t, sub.Len())
	require.NoError(t, sub.Err())
}
