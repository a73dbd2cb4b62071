package redismux_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnyProgramFulfilsAPromise(t *testing.T) {
	server := redistest.Start(t)
	sub := newMux(t, server.Option()).NewPromiseSubscription("reply:")
	promise, err := sub.WaitForNewPromise(within(t), "42", time.Hour)
	require.NoError(t, err)
	require.NoError(t, promise.Err(), "it waits")
	publish(t, server, "reply:42", "done")
	require.Equal(t, "done", string(<-promise.C))
	_, more := <-promise.C
	require.False(t, more)
	require.NoError(t, promise.Err())
	promise.Cancel()
	require.NoError(t, promise.Err(), "too late to cancel")
}

func TestAPromiseIsCanceledOnce(t *testing.T) {
	sub := newMux(t, redistest.Start(t).Option()).NewPromiseSubscription("p:")
	promise, err := sub.WaitForNewPromise(within(t), "1", time.Hour)
	require.NoError(t, err)
	promise.Cancel()
	promise.Cancel()
	_, more := <-promise.C
	require.False(t, more)
	require.ErrorIs(t, promise.Err(), redismux.ErrCanceled)
	require.ErrorIs(t, promise.Err(), context.Canceled)
}

func TestWaitEndsWithItsContextAndThePromiseWaitsOn(t *testing.T) {
	server := redistest.Start(t)
	sub := newMux(t, server.Option()).NewPromiseSubscription("p:")
	promise, err := sub.WaitForNewPromise(within(t), "1", time.Hour)
	require.NoError(t, err)
	impatient := errors.New("impatient")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(impatient)
	_, err = promise.Wait(ctx)
	require.ErrorIs(t, err, impatient)
	publish(t, server, "p:1", "late")
	message, err := promise.Wait(within(t))
	require.NoError(t, err)
	require.Equal(t, "late", string(message))
}

func TestALostConnectionFailsPromises(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()))
	sub := mux.NewPromiseSubscription("p:")
	promise, err := sub.WaitForNewPromise(within(t), "1", time.Hour)
	require.NoError(t, err)

	proxy.Refuse(t, true)
	proxy.Cut()
	_, err = promise.Wait(within(t))
	require.ErrorContains(t, err, "connection lost")
	_, err = sub.NewPromise("2", time.Hour)
	require.ErrorIs(t, err, redismux.ErrInactiveSubscription)

	proxy.Refuse(t, false)
	promise, err = sub.WaitForNewPromise(within(t), "2", time.Hour)
	require.NoError(t, err)
	publish(t, server, "p:2", "again")
	_, err = promise.Wait(within(t))
	require.NoError(t, err)
}

func TestCloseUnblocksThoseWhoWait(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	proxy.Refuse(t, true)
	sub := newMux(t, through(proxy, server.Option())).NewPromiseSubscription("p:")
	_, err := sub.NewPromise("1", time.Second)
	require.ErrorIs(t, err, redismux.ErrInactiveSubscription)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sub.WaitForActivation(ctx), context.Canceled)

	errs := make(chan error, 2)
	go func() { errs <- sub.WaitForActivation(t.Context()) }()
	go func() { _, err := sub.WaitForNewPromise(t.Context(), "1", time.Second); errs <- err }()
	sub.Close()
	sub.Close()
	for range 2 {
		require.ErrorIs(t, <-errs, redismux.ErrClosed)
	}
	_, err = sub.NewPromise("1", time.Second)
	require.ErrorIs(t, err, redismux.ErrClosed)
}

func TestARefusedPatternIsToldToThoseWhoWait(t *testing.T) {
	server := redistest.Start(t, "--user", "limited", "on", ">pw", "~*", "+@all", "resetchannels", "&ok:*")
	option := server.Option()
	option.Username, option.Password = "limited", "pw"
	mux := newMux(t, option)
	require.ErrorContains(t, mux.NewPromiseSubscription("no:").WaitForActivation(within(t)), "NOPERM")
	require.NoError(t, mux.NewPromiseSubscription("ok:").WaitForActivation(within(t)))
}

// Promises against a model: what is fulfilled, canceled and closed, in any
// order and on shared names, ends as it should and exactly once.
func TestPromisesAgainstAModel(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	rapid.Check(t, func(rt *rapid.T) {
		sub := mux.NewPromiseSubscription("m:")
		require.NoError(t, sub.WaitForActivation(within(t)))
		open := map[string][]*redismux.Promise{}
		suffix := rapid.SampledFrom([]string{"", "a", "b"})
		for step := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			name := suffix.Draw(rt, "suffix")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				promise, err := sub.NewPromise(name, time.Hour)
				require.NoError(t, err)
				open[name] = append(open[name], promise)
			case 2:
				if n := len(open[name]); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(rt, "which")
					open[name][i].Cancel()
					require.ErrorIs(t, open[name][i].Err(), redismux.ErrCanceled)
					open[name] = append(open[name][:i:i], open[name][i+1:]...)
				}
			case 3:
				value := fmt.Sprint(step)
				publish(t, server, "m:"+name, value)
				for _, promise := range open[name] {
					message, err := promise.Wait(within(t))
					require.NoError(t, err)
					require.Equal(t, value, string(message))
				}
				if len(open[name]) == 0 { // it must be past before the next promise
					last, err := sub.NewPromise("barrier", time.Hour)
					require.NoError(t, err)
					publish(t, server, "m:barrier", "")
					_, err = last.Wait(within(t))
					require.NoError(t, err)
				}
				delete(open, name)
			}
		}
		sub.Close()
		for _, promises := range open {
			for _, promise := range promises {
				_, err := promise.Wait(within(t))
				require.ErrorIs(t, err, redismux.ErrClosed)
			}
		}
	})
}
