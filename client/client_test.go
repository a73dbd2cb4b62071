package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/stream"
)

func TestClientPublishesAndReceivesTypedData(t *testing.T) {
	type price struct{ Pair, Value string }
	r := newRig(t, stream.Config{})
	for _, path := range []string{"/websocket", "/websocket?carrier=on"} {
		c, err := Dial(t.Context(), r.url(path), Options{})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		accepted := make(chan struct{})
		var publisher sync.WaitGroup
		publisher.Go(func() {
			<-accepted
			cursor, err := c.Publish(ctx, Publication{Data: json.RawMessage(`{"type":"test/price","value":{"Pair":"EURUSD","Value":"1.07"}}`), Events: map[string][]string{"pair": {"EURUSD"}}})
			if err != nil || cursor.Major == 0 {
				t.Error(cursor, err)
			}
		})
		for result, err := range c.Subscribe(ctx, "pair = 'EURUSD'", SubscribeOptions{Accepted: func() { close(accepted) }}) {
			require.NoError(t, err)
			require.Equal(t, "test/price", result.Data.Type)
			got, err := DataAs[price](result)
			require.NoError(t, err)
			require.Equal(t, price{"EURUSD", "1.07"}, got)
			require.Equal(t, []string{"EURUSD"}, result.Events["pair"])
			_, err = DataAs[int](result)
			require.ErrorContains(t, err, "data of type test/price as int")
			break
		}
		publisher.Wait()
		cancel()
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return r.bus.NumClients() == 0 }, patience, time.Millisecond, "leaving the loop unsubscribes")
}

func TestClientTellsWhatTheServerRefuses(t *testing.T) {
	r := newRig(t, stream.Config{AllowPublish: func(stream.Identity, string, map[string][]string) error { return fmt.Errorf("not you") }})
	c := r.client(Options{})
	for _, err := range c.Subscribe(t.Context(), "a =", SubscribeOptions{}) {
		var refused *RPCError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, -32603, refused.Code)
		require.Contains(t, refused.Data, "failed to parse query: ")
	}
	_, err := c.Publish(t.Context(), Publication{Data: json.RawMessage("1")})
	var refused *PublishError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusForbidden, refused.Status)
	require.Contains(t, refused.Reason, "not you")

	_, err = Dial(t.Context(), "http://127.0.0.1", Options{})
	require.ErrorContains(t, err, "ws:// or wss:// URL")
	_, err = Dial(t.Context(), r.url("/nothing"), Options{})
	require.ErrorContains(t, err, "400")
}

func TestPublishAllTellsHowManyWereAccepted(t *testing.T) {
	r := newRig(t, stream.Config{AllowPublish: func(_ stream.Identity, _ string, events map[string][]string) error {
		if events["bad"] != nil {
			return fmt.Errorf("bad")
		}
		return nil
	}})
	n, _, err := r.client(Options{}).PublishAll(t.Context(), []Publication{{Events: map[string][]string{"a": {"1"}}}, {Events: map[string][]string{"bad": {"1"}}}, {Events: map[string][]string{"a": {"2"}}}})
	require.Equal(t, 1, n)
	require.ErrorContains(t, err, "publication 2: not allowed: bad")
}

func TestClientLoopEndsWithItsContextAndWithTheClient(t *testing.T) {
	r := newRig(t, stream.Config{})
	c := r.client(Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, err := range c.Subscribe(ctx, "a=1", SubscribeOptions{}) {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	go func() { _ = c.Close() }()
	for _, err := range c.Subscribe(t.Context(), "a=2", SubscribeOptions{}) {
		require.ErrorIs(t, err, ErrClosed)
	}
	require.NoError(t, c.Error())
	_, err := c.Publish(t.Context(), Publication{})
	require.ErrorIs(t, err, ErrClosed)
}

func TestClientWithoutReconnectEndsWithItsConnection(t *testing.T) {
	r := newRig(t, stream.Config{})
	c := r.client(Options{NoReconnect: true})
	for _, err := range c.Subscribe(t.Context(), "a=1", SubscribeOptions{Accepted: r.cut}) {
		require.ErrorContains(t, err, "connection lost")
	}
	<-c.Done()
	require.ErrorContains(t, c.Error(), "connection lost")
}

// A loop that is too slow for the server's buffer is cut, resumes out of the
// history, and misses nothing.
func TestASlowClientLosesNothingAsLongAsTheHistoryHasIt(t *testing.T) {
	r := newRig(t, stream.Config{Buffer: 2, QueueBytes: 1})
	c := r.client(Options{})
	const n = 60
	big := strings.Repeat("x", 300_000)
	publish := func() {
		for i := range n {
			r.publish(fmt.Sprint(i, " ", big), map[string][]string{"a": {"1"}})
		}
	}
	next := 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for result, err := range c.Subscribe(ctx, "a=1", SubscribeOptions{Buffer: 1, Accepted: func() { go publish() }}) {
		require.NoError(t, err)
		require.Nil(t, result.Gap)
		text, err := DataAs[string](result)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(text, fmt.Sprint(next, " ")), "%.10s is not %d", text, next)
		if next++; next == n {
			break
		}
	}
}

// After a restart every client is told that the history is another one.
func TestARestartIsAGapForEverybody(t *testing.T) {
	first := newRig(t, stream.Config{})
	first.publishNumbers(0, 5)
	results := collect(t, first.client(Options{}), "n EXISTS", SubscribeOptions{After: first.history.Cursor(0).String()}, 5)
	last := results[4].Cursor
	second := newRig(t, stream.Config{})
	second.publishNumbers(5, 7)
	results = collect(t, second.client(Options{}), "n EXISTS", SubscribeOptions{After: last.String()}, 3)
	require.Equal(t, history.EpochChanged, results[0].Gap.Reason)
	require.True(t, last.Before(results[0].Gap.From))
	require.Equal(t, 5, number(t, results[1]))
}

// A subscription that matches rarely knows where it is: it resumes without a
// gap, though the history no longer has what was there when it began.
func TestARareSubscriptionResumesWithoutAFalseGap(t *testing.T) {
	r := newRig(t, stream.Config{History: history.NewWindow(10, 0), Heartbeat: 20 * time.Millisecond})
	c := r.client(Options{})
	far := r.history.Cursor(199).String()
	go func() {
		r.publishNumbers(0, 200)
		for place := ""; place < far; time.Sleep(time.Millisecond) { // heartbeats move it
			c.mu.Lock()
			for _, s := range c.subs {
				place = s.after
			}
			c.mu.Unlock()
		}
		r.cut()
		r.publish("x", map[string][]string{"rare": {"1"}})
	}()
	results := collect(t, c, "rare=1", SubscribeOptions{}, 1)
	require.Nil(t, results[0].Gap)
	require.JSONEq(t, `"x"`, string(results[0].Data.Value))
}

// A loop that is left before the server has answered leaves a loop on an equal
// query alone, and nothing behind.
func TestALoopThatIsLeftEarlyMutesNoOther(t *testing.T) {
	r := newRig(t, stream.Config{})
	c := r.client(Options{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	accepted, results := make(chan struct{}), make(chan Result, 100)
	go func() {
		for result, err := range c.Subscribe(ctx, "k = 'x'", SubscribeOptions{Accepted: func() { close(accepted) }}) {
			if err == nil {
				results <- result
			}
		}
	}()
	<-accepted
	over, cancel := context.WithCancel(ctx)
	cancel()
	for range 20 {
		for _, err := range c.Subscribe(over, "k  =  'x'", SubscribeOptions{}) {
			require.ErrorIs(t, err, context.Canceled)
		}
		for _, err := range c.Subscribe(over, "other = 'x'", SubscribeOptions{}) {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.subs) == 1
	}, patience, time.Millisecond, "those that were left are forgotten")
	require.Eventually(t, func() bool { return len(r.server.Subscriptions()) == 1 }, patience, time.Millisecond)
	for i := range 10 {
		require.NoError(t, r.bus.PublishWithEvents(ctx, i, map[string][]string{"k": {"x"}}))
	}
	require.Eventually(t, func() bool { return len(results) == 10 }, patience, time.Millisecond, "the first loop goes on")
}
