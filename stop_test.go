package pubsub_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/service"
)

func TestStoppedServerRefusesEverything(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	require.NoError(t, server.Stop())

	require.ErrorIs(t, server.Publish(ctx, 1), pubsub.ErrServerStopped)
	require.ErrorIs(t, server.PublishWithEvents(ctx, 1, nil), pubsub.ErrServerStopped)
	_, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{})
	require.ErrorIs(t, err, pubsub.ErrServerStopped)
	_, err = server.Subscribe(ctx, "d", query.All)
	require.ErrorIs(t, err, pubsub.ErrServerStopped)
	_, err = server.SubscribeUnbuffered(ctx, "d", query.All)
	require.ErrorIs(t, err, pubsub.ErrServerStopped)
	require.ErrorIs(t, server.Unsubscribe(ctx, "c", query.All), pubsub.ErrServerStopped)
	require.ErrorIs(t, server.UnsubscribeID(ctx, sub.ID()), pubsub.ErrServerStopped)
	require.ErrorIs(t, server.UnsubscribeAll(ctx, "c"), pubsub.ErrServerStopped)

	require.ErrorIs(t, server.Stop(), service.ErrAlreadyStopped)
	require.ErrorIs(t, server.Start(), service.ErrAlreadyStopped)
	require.Zero(t, server.NumClients())
	require.Zero(t, server.NumClientSubscriptions("c"))
	require.Empty(t, server.Stats().Subscriptions)
	server.Wait()
}

// The reason is there as soon as the channel is closed, and for ever.
func TestStopTellsEverySubscriptionWhy(t *testing.T) {
	server := newServer(t)
	subs := make([]*pubsub.Subscription, 500)
	var wg sync.WaitGroup
	for i := range subs {
		subs[i] = subscribe(t, server, fmt.Sprint(i%7), fmt.Sprintf("a = %d", i), 1, pubsub.Overflow(i%4))
		wg.Go(func() {
			<-subs[i].Canceled()
			if err := subs[i].Err(); err != pubsub.ErrServerStopped { // returned bare
				panic(fmt.Sprint(err))
			}
			if !isClosed(subs[i].Cancelled()) {
				panic("Cancelled is not Canceled")
			}
		})
	}
	require.NoError(t, server.Stop())
	for _, sub := range subs {
		require.Equal(t, pubsub.ErrServerStopped, sub.Err())
		require.True(t, isClosed(sub.Canceled()))
	}
	wg.Wait()
}

// Whatever ends a subscription, and whatever it is read with, all that is in
// the buffer comes before the reason.
func TestTailIsReadBeforeTheReason(t *testing.T) {
	ends := map[string]struct {
		end    func(t *testing.T, server *pubsub.Server)
		reason error
	}{
		"cut":            {func(t *testing.T, server *pubsub.Server) { publishN(t, server, 100, 1) }, pubsub.ErrOutOfCapacity},
		"unsubscribed":   {func(t *testing.T, server *pubsub.Server) { require.NoError(t, server.UnsubscribeAll(ctx, "c")) }, pubsub.ErrUnsubscribed},
		"server stopped": {func(t *testing.T, server *pubsub.Server) { require.NoError(t, server.Stop()) }, pubsub.ErrServerStopped},
	}
	readings := map[string]reading{"Next": byNext, "NextBatch": byBatch, "Messages": byMessages, "Out": byOut}
	opened := map[string]bool{"never": false, "before": true}
	for end, e := range ends {
		for name, read := range readings {
			for when, open := range opened {
				t.Run(fmt.Sprintf("%s/%s/opened %s", end, name, when), func(t *testing.T) {
					server := newServer(t)
					sub := subscribe(t, server, "c", "", 100, pubsub.Cancel)
					publishN(t, server, 0, 50)
					if open {
						sub.Out()
					}
					publishN(t, server, 50, 50)
					e.end(t, server)
					require.Equal(t, 100, sub.Len())

					at := 0
					reason := read(ctx, sub, func(m pubsub.Message) bool {
						require.Equal(t, at, m.Data())
						at++
						return true
					})
					require.Equal(t, 100, at)
					require.Equal(t, e.reason, reason)
					_, err := sub.Next(ctx)
					require.Equal(t, e.reason, err, "the reason stays")
					require.Equal(t, e.reason, sub.Err())
				})
			}
		}
	}
}

// A reader that has waited gets the reason, one whose context is done that.
func TestEndWakesReadersThatWait(t *testing.T) {
	for _, open := range []bool{false, true} {
		for _, end := range []string{"stop", "unsubscribe", "context"} {
			t.Run(fmt.Sprintf("%s/out=%v", end, open), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newServer(t)
					sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
					if open {
						sub.Out()
					}
					waiting, cancel := context.WithCancel(ctx)
					defer cancel()
					errs := make(chan error, 3)
					for range 3 {
						go func() {
							_, err := sub.Next(waiting)
							errs <- err
						}()
					}
					synctest.Wait()
					var want error
					switch end {
					case "stop":
						want = pubsub.ErrServerStopped
						require.NoError(t, server.Stop())
					case "unsubscribe":
						want = pubsub.ErrUnsubscribed
						require.NoError(t, server.Unsubscribe(ctx, "c", query.All))
					case "context":
						want = context.Canceled
						cancel()
					}
					synctest.Wait()
					require.Len(t, errs, 3)
					for range 3 {
						require.Equal(t, want, <-errs)
					}
				})
			})
		}
	}
}

func TestPublisherThatWaitsIsRefusedByStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(2))
		seen := 0
		server.Observe(func(pubsub.Message) { seen++ })
		_, err := server.SubscribeUnbuffered(ctx, "c", query.All)
		require.NoError(t, err)
		publishN(t, server, 1, 3)
		fourth, fifth := later(ctx, server, 4), later(ctx, server, 5)
		require.True(t, waits(fourth))
		require.NoError(t, server.Stop())
		require.ErrorIs(t, <-fourth, pubsub.ErrServerStopped)
		require.ErrorIs(t, <-fifth, pubsub.ErrServerStopped)
		require.Equal(t, 3, seen, "what was refused did not happen, what was accepted did")
		require.EqualValues(t, 3, server.Stats().Sequence)
	})
}

// Stop ends the waits of Block, and dispatches what was accepted to whoever
// has room.
func TestStopDispatchesWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		roomy := subscribe(t, server, "roomy", "", 10, pubsub.Cancel)
		block := subscribeBlock(t, server, "block", 2, 0)
		unbuffered, err := server.SubscribeUnbuffered(ctx, "unbuffered", query.All)
		require.NoError(t, err)
		oldest := subscribe(t, server, "oldest", "", 2, pubsub.DropOldest)
		publishN(t, server, 1, 6)
		synctest.Wait()
		require.Equal(t, 1, roomy.Len(), "all waits for the unbuffered")

		require.NoError(t, server.Stop())
		for sub, want := range map[*pubsub.Subscription]struct {
			left    []int
			dropped uint64
		}{
			roomy: {count(1, 6), 0}, block: {count(1, 2), 4}, unbuffered: {count(0, 0), 6}, oldest: {count(5, 2), 4},
		} {
			all, reason := rest(sub)
			require.Equal(t, want.left, all, sub.ClientID())
			require.Equal(t, want.dropped, sub.Dropped(), sub.ClientID())
			require.Equal(t, pubsub.ErrServerStopped, reason)
		}
		stats := server.Stats()
		require.EqualValues(t, 6, stats.Published)
		require.EqualValues(t, 14, stats.Dropped)
		require.Zero(t, stats.Cut)
	})
}

func TestResetServerIsAsNew(t *testing.T) {
	server := pubsub.NewServer(pubsub.BufferCapacity(3))
	require.ErrorContains(t, server.Reset(), "can't reset")
	require.NoError(t, server.Start())
	require.ErrorContains(t, server.Reset(), "can't reset")

	var log bytes.Buffer
	server.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	var seen []uint64
	server.Observe(func(m pubsub.Message) { seen = append(seen, m.Sequence()) })
	old := subscribe(t, server, "c", "", 5, pubsub.Cancel)
	publishN(t, server, 1, 2)
	require.NoError(t, server.Stop())
	require.NoError(t, server.Reset())
	require.Error(t, server.Reset())
	require.False(t, server.IsRunning())

	require.Zero(t, server.NumClients())
	require.Equal(t, 3, server.BufferCapacity())
	require.Zero(t, server.Stats().Published)
	require.Equal(t, pubsub.ErrServerStopped, old.Err())
	sub := subscribe(t, server, "c", "", 1, pubsub.Cancel) // the old one is not in the way
	publishN(t, server, 3, 3)                              // into the queue
	require.Zero(t, sub.Len())
	require.NoError(t, server.Start())
	require.NoError(t, server.Stop())
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, seen, "Sequence continues, hooks stay")
	require.Contains(t, log.String(), "slow subscriber cut", "the logger stays")
	all, _ := rest(old)
	require.Equal(t, []int{1, 2}, all)
}

// Stop in the middle of everything, again and again.
func TestStopInTheMiddleOfEverything(t *testing.T) {
	server := pubsub.NewServer(pubsub.BufferCapacity(2))
	for round := range 100 {
		require.NoError(t, server.Start())
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { // publishers
				for server.Publish(ctx, i) == nil {
				}
			})
			wg.Go(func() { // those who come and go
				for {
					sub, err := server.SubscribeUnbuffered(ctx, fmt.Sprint(i), query.All)
					if err != nil {
						return
					}
					sub.Next(ctx)
					if i%2 == 0 {
						sub.Out()
					}
					if server.UnsubscribeAll(ctx, fmt.Sprint(i)) != nil {
						return
					}
				}
			})
		}
		wg.Go(func() { // a reader
			sub, err := server.Subscribe(ctx, "reader", query.All, 1+round%3)
			if err == nil {
				sequences(sub)
			}
		})
		var stopped sync.WaitGroup
		for server.Stats().Published < uint64(round%5) {
		}
		for range 2 {
			stopped.Go(func() { server.Stop() }) // one of them is late
		}
		stopped.Wait()
		server.Wait()
		wg.Wait()
		require.Zero(t, server.NumClients())
		require.NoError(t, server.Reset())
	}
}
