package redismux_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// A bubble is an embedded server, reached without a network, in fake time.
type bubble struct {
	server *miniredis.Miniredis
	refuse atomic.Bool // dials fail
	mute   atomic.Bool // connections made now get no answer
	hole   atomic.Bool // every byte is swallowed, both ways
	dials  atomic.Int64
}

// A holedConn is a connection over a network that may swallow everything.
type holedConn struct {
	net.Conn
	hole *atomic.Bool
}

func (c holedConn) Write(p []byte) (int, error) {
	if c.hole.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c holedConn) Read(p []byte) (int, error) {
	for {
		if n, err := c.Conn.Read(p); err != nil || !c.hole.Load() {
			return n, err
		}
	}
}

func inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{server: miniredis.NewMiniRedis()}
		defer b.server.Close()
		test(t, b)
		synctest.Wait()
	})
}

func (b *bubble) option() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:       []string{"embedded"},
		ForceSingleClient: true,
		DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
			b.dials.Add(1)
			if b.refuse.Load() {
				return nil, errors.New("refused")
			}
			if b.mute.Load() {
				client, _ := net.Pipe()
				return client, nil
			}
			conn, err := b.server.Dial()
			return holedConn{conn, &b.hole}, err
		},
	}
}

func TestPromiseTimeoutCountsFromTheReturnOfWaitForNewPromise(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.refuse.Store(true)
		mux := redismux.New(redismux.FromOption(b.option()))
		defer mux.Stop()
		sub := mux.NewPromiseSubscription("p:")
		time.AfterFunc(time.Minute, func() { b.refuse.Store(false) })
		promise, err := sub.WaitForNewPromise(t.Context(), "1", time.Second)
		require.NoError(t, err)
		began := time.Now()
		_, open := <-promise.C
		require.False(t, open)
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, promise.Err(), redismux.ErrTimeout)
	})
}

func TestPromisesTimeOutEachAtItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		mux := redismux.New(redismux.FromOption(b.option()))
		defer mux.Stop()
		sub := mux.NewPromiseSubscription("p:")
		require.NoError(t, sub.WaitForActivation(t.Context()))
		began := time.Now()
		timeouts := []time.Duration{3 * time.Second, time.Second, 2 * time.Second, time.Second, -1, time.Hour}
		var promises []*redismux.Promise
		for _, timeout := range timeouts {
			promise, err := sub.NewPromise("same", timeout)
			require.NoError(t, err)
			promises = append(promises, promise)
		}
		promises[2].Cancel()
		for _, i := range []int{4, 1, 3, 0} {
			_, err := promises[i].Wait(t.Context())
			require.ErrorIs(t, err, redismux.ErrTimeout)
			require.Equal(t, max(timeouts[i], 0), time.Since(began))
		}
		b.server.Publish("p:same", "x")
		_, err := promises[5].Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestDialsBackOffWithFullJitter(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.refuse.Store(true)
		mux := redismux.NewWithOpts(redismux.FromOption(b.option()), redismux.Options{MinBackOff: time.Second, MaxBackOff: 64 * time.Second})
		defer mux.Stop()
		time.Sleep(time.Hour)
		// At 32 s on average, once the ceiling is reached.
		require.InDelta(t, 3600/32+6, b.dials.Load(), 40)
	})
}

// The second guard, for clients without a keep-alive.
func TestASilentConnectionIsPinged(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		option := b.option()
		option.Dialer.KeepAlive = -1
		mux := redismux.NewWithOpts(redismux.FromOption(option), redismux.Options{PingTimeout: 30 * time.Second, ReplyTimeout: 5 * time.Second})
		defer mux.Stop()
		d := newDiary()
		sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation)
		require.NoError(t, sub.Add("c"))
		synctest.Wait()
		require.Equal(t, []string{"active c"}, d.text())
		commands := b.server.CommandCount()
		time.Sleep(29 * time.Second)
		require.Equal(t, commands, b.server.CommandCount(), "it was heard of in the first half")
		time.Sleep(2 * time.Second)
		require.Equal(t, commands+1, b.server.CommandCount())
		require.Len(t, d.text(), 1, "it answers")
	})
}

func TestConnectionThatAnswersNoPingIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		option := b.option()
		option.Dialer.KeepAlive = -1
		mux := redismux.NewWithOpts(redismux.FromOption(option), redismux.Options{PingTimeout: 30 * time.Second, ReplyTimeout: 5 * time.Second})
		defer mux.Stop()
		d := newDiary()
		require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
		synctest.Wait()
		b.hole.Store(true)
		time.Sleep(30*time.Second + 5*time.Second + time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 1, mux.Stats().Disconnects, "nobody answers")
		b.hole.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 2, d.count("active c"))
		require.EqualValues(t, 1, mux.Stats().Disconnects)
	})
}

func TestStopGivesUpADialThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.mute.Store(true)
		mux := redismux.New(redismux.FromOption(b.option()))
		synctest.Wait()
		began := time.Now()
		mux.Stop()
		require.Equal(t, time.Duration(0), time.Since(began))
	})
}
