package pubsub_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

func TestRestoredMessageIsWhatWasPublished(t *testing.T) {
	origin := &pubsub.Origin{Name: "elsewhere", Epoch: 3}
	at := time.Unix(1_700_000_000, 5)
	m := pubsub.RestoreMessage(pubsub.PublishArgs{Data: 7, Events: events("a", "1"), Time: at, Origin: origin}, 9)
	require.Equal(t, 7, m.Data())
	require.Equal(t, events("a", "1"), m.Events())
	require.True(t, at.Equal(m.Time()))
	require.EqualValues(t, 9, m.Sequence())
	require.Equal(t, *origin, m.Origin())
}

func TestMessageOfNewMessage(t *testing.T) {
	m := pubsub.NewMessage(7, events("a", "1", "b", "2", "a", "3"))
	require.Equal(t, 7, m.Data())
	require.Zero(t, m.Sequence())
	require.True(t, m.Time().IsZero())
	require.Equal(t, pubsub.Origin{}, m.Origin())
	require.Equal(t, map[string][]string{"a": {"1", "3"}, "b": {"2"}}, m.Events())

	ok, err := m.Matches(query.MustParse("a = 3"))
	require.NoError(t, err)
	require.True(t, ok)
}

// Whoever receives a message may write to its events, also if it has none.
func TestEventsAreNeverNil(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	require.NoError(t, server.Publish(ctx, nil))
	require.NoError(t, server.PublishWithEvents(ctx, nil, nil))
	_, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{})
	require.NoError(t, err)
	messages := []pubsub.Message{{}, pubsub.NewMessage(nil, nil)}
	for range 3 {
		m, err := sub.Next(ctx)
		require.NoError(t, err)
		messages = append(messages, m)
	}
	for _, m := range messages {
		events := m.Events()
		require.NotNil(t, events)
		require.Empty(t, events)
		require.Empty(t, slices.Collect(m.Keys()))
		require.Empty(t, slices.Collect(m.Values("a")))
		for range m.Attributes() {
			require.Fail(t, "there are none")
		}
	}
}

func TestMessageShowsItsEventsWithoutCopying(t *testing.T) {
	m := pubsub.NewMessage(nil, events("a", "1", "b", "2", "a", "3"))
	require.Equal(t, []string{"1", "3"}, slices.Collect(m.Values("a")))
	require.Empty(t, slices.Collect(m.Values("c")))
	require.Equal(t, []string{"a", "b"}, slices.Sorted(m.Keys()))
	pairs := map[string][]string{}
	for key, value := range m.Attributes() {
		pairs[key] = append(pairs[key], value)
	}
	require.Equal(t, m.Events(), pairs)
	for range m.Attributes() {
		break // leaves the loop
	}

	require.Zero(t, testing.AllocsPerRun(100, func() {
		for range m.Values("a") {
		}
		for range m.Keys() {
		}
		for range m.Attributes() {
		}
	}))
}

// Whatever a subscriber, an observer or anybody else does to Events, nobody
// else sees it.
func TestEventsAreAPrivateCopy(t *testing.T) {
	server := newServer(t)
	spoil := func(e map[string][]string) {
		e["a"][0] = "spoiled"
		e["b"] = append(e["b"], "spoiled")
		delete(e, "c")
		e["d"] = nil
	}
	server.Observe(func(m pubsub.Message) { spoil(m.Events()) })
	readings := []reading{byNext, byBatch, byMessages, byOut}
	want := events("a", "1", "b", "2", "c", "3")
	var wg sync.WaitGroup
	for i, read := range append(readings, readings...) {
		sub := subscribe(t, server, string(rune('A'+i)), "a = 1", 10, pubsub.Cancel)
		wg.Go(func() {
			read(ctx, sub, func(m pubsub.Message) bool {
				for range 100 {
					require.Equal(t, want, m.Events())
					spoil(m.Events())
				}
				return true
			})
		})
	}
	for range 5 {
		require.NoError(t, server.PublishWithEvents(ctx, 1, maps.Clone(want)))
	}
	require.NoError(t, server.Stop())
	wg.Wait()
}

func TestPublicationCarriesItsOriginAndTime(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "a = 1", 10, pubsub.Cancel)
	origin := pubsub.Origin{Name: "east", Epoch: 3}
	at := time.Date(2020, 2, 3, 4, 5, 6, 7, time.UTC)
	_, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{Data: "x", Events: events("a", "1"), Origin: &origin, Time: at})
	require.NoError(t, err)
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, origin, m.Origin())
	require.True(t, at.Equal(m.Time()))
	require.Equal(t, "x", m.Data())

	publish(t, server, "y", "a", "1")
	m, err = sub.Next(ctx)
	require.NoError(t, err)
	require.Zero(t, m.Origin(), "this process")
	require.WithinDuration(t, time.Now(), m.Time(), time.Minute)
}

// Bridges hand on what other clocks said, however wrong.
func TestTimeOfAPublicationMayBeAnyTime(t *testing.T) {
	first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	epoch := time.Unix(0, 0)
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	for _, times := range []struct{ given, want time.Time }{
		{first, first},
		{first.Add(-1), first},
		{time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), first},
		{last, last},
		{last.Add(1), last},
		{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), last},
		{epoch, epoch.Add(1)},
		{epoch.Add(-1), epoch.Add(-1)},
	} {
		_, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{Time: times.given})
		require.NoError(t, err)
		m, err := sub.Next(ctx)
		require.NoError(t, err)
		require.True(t, times.want.Equal(m.Time()), "%v: %v", times.given, m.Time())
	}
}

func TestMessageKnowsWhoseItIs(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 1, pubsub.Cancel)
	mine, equal := pubsub.Origin{Name: "east"}, pubsub.Origin{Name: "east"}
	_, err := server.PublishWithArgs(ctx, pubsub.PublishArgs{Origin: &mine})
	require.NoError(t, err)
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	require.True(t, m.CameWith(&mine))
	require.False(t, m.CameWith(&equal))
	require.False(t, m.CameWith(nil))
	publishN(t, server, 1, 1)
	m, err = sub.Next(ctx)
	require.NoError(t, err)
	require.False(t, m.CameWith(nil))
}

// History up to After, and then the subscription, is everything once.
func TestSubscriptionGetsWhatComesAfterAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, pubsub.BufferCapacity(10))
		require.Zero(t, server.Sequence())
		blocker, err := server.SubscribeUnbuffered(ctx, "blocker", query.All)
		require.NoError(t, err)
		for i := range uint64(5) { // the first waits, the others are queued
			require.Equal(t, i, server.Sequence())
			sub := subscribe(t, server, fmt.Sprint(i), "", 10, pubsub.Cancel)
			require.Equal(t, i, sub.After())
			defer func() {
				synctest.Wait()
				all, _ := sequences(sub)
				require.Equal(t, i+1, all[0])
				require.EqualValues(t, 5-i, len(all))
			}()
			publishN(t, server, 0, 1)
			synctest.Wait()
		}
		require.NoError(t, server.UnsubscribeID(ctx, blocker.ID()))
		synctest.Wait()
		require.NoError(t, server.Stop())
	})
}
