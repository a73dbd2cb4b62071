package pubsub_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

func TestInterestsAreTheDistinctQueries(t *testing.T) {
	server := newServer(t)
	interests := func(limit int) ([]string, bool) {
		queries, changes, whole := server.Interests(limit)
		require.Equal(t, server.SubscriptionChanges(), changes)
		var texts []string
		for _, q := range queries {
			texts = append(texts, q.String())
		}
		return texts, whole
	}
	texts, whole := interests(0)
	require.Empty(t, texts)
	require.True(t, whole)

	for i := range 6 {
		subscribe(t, server, fmt.Sprint(i), fmt.Sprintf("a = %d", i%2), 1, pubsub.Cancel)
	}
	_, err := server.Subscribe(ctx, "all", query.Empty{})
	require.NoError(t, err)
	texts, whole = interests(3)
	require.ElementsMatch(t, []string{"a = 0", "a = 1", query.All.String()}, texts)
	require.True(t, whole)
	texts, whole = interests(2)
	require.Empty(t, texts)
	require.False(t, whole, "there are more")

	_, err = server.Subscribe(ctx, "user", userQuery{"a"})
	require.NoError(t, err)
	_, whole = interests(100)
	require.False(t, whole, "nobody knows what it matches")
	require.NoError(t, server.UnsubscribeAll(ctx, "user"))
	_, whole = interests(100)
	require.True(t, whole)
}

// Whatever makes or ends a subscription makes the number grow, and nothing
// makes it smaller.
func TestSubscriptionChangesOnlyGrow(t *testing.T) {
	server := newServer(t)
	last := server.SubscriptionChanges()
	grows := func(by int, why string) {
		t.Helper()
		now := server.SubscriptionChanges()
		require.EqualValues(t, by, now-last, why)
		last = now
	}
	for i := range 10 {
		subscribe(t, server, "c", fmt.Sprintf("a = %d", i), 1, pubsub.Cancel)
		grows(1, "a birth")
	}
	_, err := server.Subscribe(ctx, "c", query.MustParse("a = 1"))
	require.Error(t, err)
	publish(t, server, 0, "a", "1")
	grows(0, "nothing")
	publish(t, server, 0, "a", "1")
	grows(1, "a cut")
	require.NoError(t, server.Unsubscribe(ctx, "c", query.MustParse("a = 2")))
	grows(1, "an end")
	require.NoError(t, server.Stop())
	grows(8, "all others")
	require.NoError(t, server.Reset())
	grows(0, "Reset")
	subscribe(t, server, "c", "", 1, pubsub.Cancel)
	grows(1, "a birth in the new life")
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
