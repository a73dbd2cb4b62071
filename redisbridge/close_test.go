package redisbridge

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

// closing begins to close and returns where the result will be, once Publish is
// refused, and how many more publications it took until then.
func closing(t *testing.T, b *Bridge) (result chan error, accepted int) {
	t.Helper()
	result = make(chan error, 1)
	go func() { result <- b.Close() }()
	eventually(t, "Publish is refused", func() bool {
		err := b.Publish(within(t, patience), 0, nil)
		if err == nil {
			accepted++
		}
		return errors.Is(err, ErrClosed)
	})
	return result, accepted
}

func TestPublishDuringCloseIsRefusedOrSent(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("closing")
	o.CloseTimeout = patience
	a := join(t, redis, o).awaitReady(t)
	a.proxy.Refuse(t, true)
	a.proxy.Cut()
	a.number(t, 1)
	result, accepted := closing(t, a.Bridge)
	require.NoError(t, a.Err(), "it has not ended yet")
	a.proxy.Refuse(t, false)
	require.NoError(t, <-result)
	require.EqualValues(t, 1+accepted, a.Stats().SentEvents)
}

// joinQueued makes a bridge whose server has accepted n publications and
// dispatches none until release is called.
func joinQueued(t *testing.T, redis *redistest.Server, n int) (b *Bridge, server *pubsub.Server, release func()) {
	t.Helper()
	server = pubsub.NewServer(pubsub.BufferCapacity(1000))
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Stop() })
	o := durable("queued")
	o.Redis, o.CloseTimeout = optionOf(redis.Addr), patience
	b = attach(t, server, o)
	require.NoError(t, b.Ready(within(t, patience)))
	held, gate := make(chan struct{}, 1), make(chan struct{})
	server.Observe(func(pubsub.Message) { signal(held); <-gate })
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	n--
	go func() { _ = b.Publish(within(t, patience), 0, nil) }() // dispatched where it is published
	<-held
	for i := range n {
		require.NoError(t, b.Publish(within(t, patience), i, nil))
	}
	return b, server, release
}

func TestCloseSendsWhatTheServerHasAccepted(t *testing.T) {
	b, _, release := joinQueued(t, redistest.Start(t), 20)
	result, accepted := closing(t, b)
	release()
	require.NoError(t, <-result)
	require.EqualValues(t, 20+accepted, b.Stats().SentEvents)
}

func TestWhatAStoppingServerDispatchesIsSent(t *testing.T) {
	b, server, release := joinQueued(t, redistest.Start(t), 20)
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop() }()
	eventually(t, "the bridge knows", func() bool {
		return errors.Is(b.Publish(within(t, patience), 0, nil), pubsub.ErrServerStopped)
	})
	release()
	require.NoError(t, <-stopped)
	require.NoError(t, b.Close())
	require.EqualValues(t, server.Sequence(), b.Stats().SentEvents)
}

func TestCloseTellsWhatTheServerDidNotDispatch(t *testing.T) {
	server := pubsub.NewServer(pubsub.BufferCapacity(10)) // and nobody starts it
	o := durable("idle")
	o.Redis, o.CloseTimeout = optionOf("127.0.0.1:1"), time.Millisecond
	b := attach(t, server, o)
	for i := range 3 {
		require.NoError(t, b.Publish(within(t, patience), i, nil))
	}
	require.ErrorContains(t, b.Close(), "3 that the server did not dispatch")
}

// closes is a query that closes something with the first publication it sees.
type closes struct {
	close func() error
	done  chan error
}

func (c closes) Matches(map[string][]string) (bool, error) {
	select {
	case c.done <- c.close():
	default:
	}
	return true, nil
}

func (closes) String() string { return "closes" }

func requireClosed(t *testing.T, done chan error) {
	t.Helper()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "Close hangs")
	}
}

func TestBridgeClosesWithinObserversAndQueries(t *testing.T) {
	redis := redistest.Start(t)
	o := durable("within")
	a := join(t, redis, o).awaitReady(t)
	join := func() (*pubsub.Server, *Bridge, closes) {
		server := startServer(t)
		own := o
		own.Redis = optionOf(redis.Addr)
		b := attach(t, server, own)
		require.NoError(t, b.Ready(within(t, patience)))
		return server, b, closes{b.Close, make(chan error, 1)}
	}

	server, _, c := join()
	server.Observe(func(pubsub.Message) { _, _ = c.Matches(nil) })
	a.number(t, 1)
	requireClosed(t, c.done)

	server, _, c = join()
	_, err := server.SubscribeWithArgs(background(), pubsub.SubscribeArgs{ClientID: "test", Query: c})
	require.NoError(t, err)
	a.number(t, 2)
	requireClosed(t, c.done)

	server, b, c := join() // for a publication of its own, while one of others waits
	server.Observe(func(m pubsub.Message) {
		if m.Origin() == (pubsub.Origin{}) {
			a.number(t, 3)
			eventually(t, "it has come", func() bool { return b.Stats().ReceivedFrames > 0 })
			_, _ = c.Matches(nil)
		}
	})
	require.NoError(t, server.Publish(background(), 4))
	requireClosed(t, c.done)

	server, _, c = join() // while somebody else closes it
	begun := make(chan struct{})
	server.Observe(func(m pubsub.Message) {
		close(begun)
		_, _ = c.Matches(nil)
	})
	a.number(t, 5)
	<-begun
	require.NoError(t, c.close())
	requireClosed(t, c.done)
}

func TestReaderClosesWithinItsQuery(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, durable("within")).awaitReady(t)
	o := durable("within")
	o.Redis = optionOf(redis.Addr)
	var r *Reader
	c := closes{func() error { return r.Close() }, make(chan error, 1)}
	r, err := NewReader(o, c)
	require.NoError(t, err)
	require.NoError(t, r.Ready(within(t, patience)))
	a.number(t, 1)
	requireClosed(t, c.done)
}

// Bridges close one another: each waits for its own goroutines only, and for all
// of them but the one that is in Close.
func TestCallersOfOtherCrewsAreNotOurs(t *testing.T) {
	one, other := newCrew(), newCrew()
	held, ended := make(chan struct{}), make(chan struct{})
	other.Go(func() { <-held })
	one.Go(func() {
		one.call(func() {
			one.call(one.wait)
			go close(held)
			other.call(other.wait)
		})
		close(ended)
	})
	<-ended
	one.wait()
	require.Empty(t, one.depth)
	require.Empty(t, other.depth)
}

func TestAdvanceNeverGoesBack(t *testing.T) {
	p := newAdvance()
	p.reach(5)
	p.reach(4)
	require.NoError(t, p.await(background(), nil, 5))
}
