package redisbridge

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"
)

func TestPublicationIsNotSentBack(t *testing.T) {
	redis := redistest.Start(t)
	for _, mode := range []Mode{Live, Durable} {
		o := Options{Namespace: "loop", Mode: mode}
		a := join(t, redis, o).awaitReady(t)
		b := join(t, redis, o).awaitReady(t)
		gotA, gotB := a.collect(), b.collect()
		for i := range 50 {
			a.number(t, i)
		}
		requireInOrder(t, 0, 50, gotB.await(t, has(49)))
		b.number(t, 100)
		require.Equal(t, []int{100}, gotA.await(t, has(100)), "own publications do not come back")
		require.EqualValues(t, 1, b.Stats().Accepted, "foreign publications are not sent on")
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}

func TestOwnPublicationHasNoOrigin(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("own")).awaitReady(t)
	sub := subscribeAll(t, a.server, 10)
	a.number(t, 1)
	m, err := sub.Next(within(t, patience))
	require.NoError(t, err)
	require.Zero(t, m.Origin())
}

func TestServerPublishNeverWaitsForRedis(t *testing.T) {
	o := durable("dead")
	o.Redis = rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}, ForceSingleClient: true}
	o.OutboxCount, o.CloseTimeout = 10, time.Millisecond
	a := joinAt(t, o)
	began := time.Now()
	for i := range 10_000 {
		require.NoError(t, a.server.PublishWithEvents(background(), i, numberEvents(i)))
	}
	require.Less(t, time.Since(began), 5*time.Second)
	s := a.Stats()
	require.EqualValues(t, 10, s.Accepted)
	require.EqualValues(t, 9990, s.Dropped)
	require.ErrorContains(t, a.Close(), "10 publications")
	require.ErrorContains(t, a.Close(), "10 publications", "again the same")
}

func TestPublishWaitsForRoomAndFlushForRedis(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("room")
	o.OutboxCount = 10
	a := join(t, redis, o).awaitReady(t)
	a.proxy.Refuse(t, true)
	a.proxy.Cut()
	for i := range 10 {
		a.number(t, i)
	}
	full, cancel := context.WithTimeout(background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, a.Publish(full, 10, nil), context.DeadlineExceeded)
	require.EqualValues(t, 10, a.server.Sequence(), "it was not published")
	require.ErrorIs(t, a.Flush(full), context.DeadlineExceeded)

	sent := make(chan error)
	go func() { sent <- a.Publish(within(t, patience), 10, nil) }()
	a.proxy.Refuse(t, false)
	require.NoError(t, <-sent)
	require.NoError(t, a.Flush(within(t, patience)))
	require.Zero(t, a.Stats().Dropped)
	require.EqualValues(t, 11, a.Stats().SentEvents)
}

// Publications of the server take room too, but not that which Publish holds.
func TestPublishNeverDropsWhileOthersDo(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("compete")
	o.OutboxCount = 50
	a := join(t, redis, o).awaitReady(t)
	b := join(t, redis, durable("compete")).awaitReady(t)
	got := b.collect()
	stop := make(chan struct{})
	noise := make(chan struct{})
	go func() {
		defer close(noise)
		for {
			select {
			case <-stop:
				return
			default:
				_ = a.server.PublishWithEvents(background(), "noise", nil)
			}
		}
	}()
	n := atRate(5_000)
	for i := range n {
		a.number(t, i)
	}
	close(stop)
	<-noise
	require.NoError(t, a.Flush(within(t, patience)))
	requireInOrder(t, 0, n, got.await(t, has(n-1)))
}

func TestPublishRefusesWhatCannotBeSent(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("refuse")
	o.MaxFrame = 32 << 10
	a := join(t, redis, o).awaitReady(t)
	require.ErrorContains(t, a.Publish(background(), make(chan int), nil), "chan int")
	require.ErrorIs(t, a.Publish(background(), make([]byte, 40<<10), nil), ErrTooLarge)
	empty := map[string][]string{"k": make([]string, 40<<10)}
	require.ErrorIs(t, a.Publish(background(), nil, empty), ErrTooLarge, "each takes a byte")
	named := codec.Raw{Type: strings.Repeat("t", 40<<10)}
	require.ErrorIs(t, a.Publish(background(), named, nil), ErrTooLarge)
	require.NoError(t, a.Publish(background(), make([]byte, 30<<10), nil))
	require.EqualValues(t, 1, a.server.Sequence())

	// By way of the server it is counted, and a gap for others.
	b := join(t, redis, durable("refuse")).awaitReady(t)
	got := b.collect()
	a.number(t, 1)
	got.await(t, has(1))
	require.NoError(t, a.server.Publish(background(), make(chan int)))
	require.NoError(t, a.server.Publish(background(), make([]byte, 40<<10)))
	a.number(t, 2)
	got.await(t, has(2))
	require.Equal(t, 2, b.gaps.lost())
	require.EqualValues(t, 2, a.Stats().Unencodable)
}

func TestOptionsThatAreWrongNameTheField(t *testing.T) {
	s := startServer(t)
	redis := optionOf("127.0.0.1:1")
	for field, o := range map[string]Options{
		"Redis":       {},
		"Namespace":   {Redis: redis, Namespace: "a{b"},
		"Name":        {Redis: redis, Name: "a b"},
		"Mode":        {Redis: redis, Mode: 7},
		"SendOnly":    {Redis: redis, SendOnly: true, ReceiveOnly: true},
		"Partitions":  {Redis: redis, Partitions: -1},
		"Route":       {Redis: redis, Partitions: 2},
		"OutboxCount": {Redis: redis, OutboxCount: -1},
		"OutboxBytes": {Redis: redis, OutboxBytes: -1},
		"InboxBytes":  {Redis: redis, InboxBytes: -1},
		"MaxFrame":    {Redis: redis, MaxFrame: 5},
		"Timeout":     {Redis: redis, Timeout: 1},
		"Retention":   {Redis: redis, Retention: 1},
		"Lease":       {Redis: redis, Lease: 1},
		"From":        {Redis: redis, From: FromFirst()},
		"key":         {Redis: redis, Keys: []Key{{ID: 1}}},
	} {
		_, err := Attach(s, o)
		require.ErrorContains(t, err, field)
	}
	_, err := Attach(nil, Options{Redis: redis})
	require.Error(t, err)
}

func TestStoppedServerEndsItsBridge(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("stopped")).awaitReady(t)
	b := join(t, redis, durable("stopped")).awaitReady(t)
	require.NoError(t, b.server.Stop())
	a.number(t, 1)
	<-b.Done()
	require.ErrorIs(t, b.Err(), pubsub.ErrServerStopped)
	require.ErrorIs(t, b.Publish(background(), 1, nil), pubsub.ErrServerStopped)
}

func TestSendOnlyAndReceiveOnly(t *testing.T) {
	redis := redistest.Start(t)
	for _, mode := range []Mode{Live, Durable} {
		o := Options{Namespace: "oneway", Mode: mode}
		o.SendOnly = true
		a := join(t, redis, o).awaitReady(t)
		o.SendOnly, o.ReceiveOnly = false, true
		b := join(t, redis, o).awaitReady(t)
		subscribeAll(t, b.server, 10)
		require.NoError(t, b.Announce(within(t, patience)))
		got := b.collect()
		a.number(t, 1)
		got.await(t, has(1))
		require.Error(t, b.Publish(background(), 1, nil))
		require.NoError(t, b.Flush(background()))
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}

func TestClosedBridgeRefuses(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("closed")).awaitReady(t)
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.Publish(background(), 1, nil), ErrClosed)
	require.ErrorIs(t, a.Flush(background()), ErrClosed)
	require.ErrorIs(t, a.Ready(background()), ErrClosed)
	_, err := a.Request(background(), 1, nil)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, a.server.Publish(background(), 1), "the server goes on")
}

type order struct{ ID, Amount int }

func TestTypesCodecsAndTimesTravel(t *testing.T) {
	redis := redistest.Start(t)
	types := codec.NewRegistry()
	require.NoError(t, codec.Register[order](types, "order"))
	for name, sent := range map[string]codec.Codec{"binary": codec.Binary, "protobuf": codec.Protobuf, "json": codec.JSON} {
		o := durable("codec" + name)
		o.Codec, o.Types = sent, types
		a := join(t, redis, o).awaitReady(t)
		o.Codec = codec.Binary // the receiver need not be told
		b := join(t, redis, o).awaitReady(t)
		sub := subscribeAll(t, b.server, 10)
		own := subscribeAll(t, a.server, 10)
		require.NoError(t, a.Publish(background(), order{1, 2}, map[string][]string{"a": {"1", "2"}}))
		m, err := sub.Next(within(t, patience))
		require.NoError(t, err)
		published, err := own.Next(within(t, patience))
		require.NoError(t, err)
		require.Equal(t, order{1, 2}, m.Data())
		require.Equal(t, map[string][]string{"a": {"1", "2"}}, m.Events())
		require.True(t, published.Time().Equal(m.Time()))
	}
}

// A trace goes on in the process that receives a publication or a request: its
// W3C trace context travels among the events, in every mode and codec.
func TestTraceContextTravels(t *testing.T) {
	redis := redistest.Start(t)
	for _, mode := range []Mode{Live, Durable} {
		for _, sent := range []codec.Codec{codec.Binary, codec.Protobuf, codec.JSON} {
			o := Options{Namespace: fmt.Sprintf("trace%d", sent.ID()), Mode: mode, Codec: sent}
			a := join(t, redis, o).awaitReady(t)
			b := join(t, redis, o).awaitReady(t)
			sub := b.subscribe(t, query.MustParse("order.id = '7'"))
			events := map[string][]string{"order.id": {"7"}}
			span := traceCarrier(events)
			span.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			span.Set("tracestate", "vendor=a,other=b=c")

			require.NoError(t, a.Publish(background(), order{7, 1}, events))
			m, err := sub.Next(within(t, patience))
			require.NoError(t, err)
			require.Equal(t, span, traceCarrier(m.Events()))

			answered := make(chan string, 1)
			go func() {
				m, err := sub.Next(within(t, patience))
				if err == nil {
					err = b.Reply(background(), m, nil, map[string][]string{"traceparent": m.Events()["traceparent"]})
				}
				answered <- fmt.Sprint(err)
			}()
			reply, err := a.Request(within(t, patience), nil, events)
			require.NoError(t, err)
			require.Equal(t, "<nil>", <-answered)
			require.Equal(t, span.Get("traceparent"), traceCarrier(reply.Events).Get("traceparent"))
		}
	}
}

// A traceCarrier is events as OpenTelemetry's propagation.TextMapCarrier, as in
// docs/bridge.md.
type traceCarrier map[string][]string

func (c traceCarrier) Get(key string) string {
	if values := c[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func (c traceCarrier) Set(key, value string) { c[key] = []string{value} }

func (c traceCarrier) Keys() []string { return slices.Collect(maps.Keys(c)) }

func TestMarkOfADroppedTailReachesReaders(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		redis := redistest.Start(t)
		o := Options{Namespace: "tail", Mode: mode, OutboxCount: 5}
		a := join(t, redis, o).awaitReady(t)
		b := join(t, redis, Options{Namespace: "tail", Mode: mode}).awaitReady(t)
		got := b.collect()
		a.number(t, 0)
		require.NoError(t, a.Flush(within(t, patience)))
		got.await(t, has(0))
		a.proxy.Refuse(t, true)
		a.proxy.Cut()
		for i := 1; i <= 100; i++ {
			require.NoError(t, a.server.PublishWithEvents(background(), i, nil))
		}
		a.proxy.Refuse(t, false)
		eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == 101 })
	}
}
