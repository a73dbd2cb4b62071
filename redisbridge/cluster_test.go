package redisbridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

func TestCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	options := func(namespace string, mode Mode) Options {
		return Options{Redis: cluster.Option(), Namespace: namespace, Mode: mode, Partitions: 6, Route: routeByNumber}
	}
	for _, mode := range []Mode{Live, Durable} {
		t.Run("partitions spread over nodes "+mode.String(), func(t *testing.T) {
			o := options("spread", mode)
			a, b := joinAt(t, o).awaitReady(t), joinAt(t, o).awaitReady(t)
			got := b.collect()
			const n, keys = 3000, 10
			for i := range n {
				require.NoError(t, a.Publish(within(t, patience), i, map[string][]string{"route": {string(rune('a' + i%keys))}}))
			}
			next := map[int]int{}
			for _, i := range got.await(t, func(got []int) bool { return len(got) == n }) {
				require.Equal(t, next[i%keys], i/keys, "key %d", i%keys)
				next[i%keys]++
			}
			require.Empty(t, b.gaps.all())
		})
	}

	t.Run("durable loses nothing when its slot migrates", func(t *testing.T) {
		o := options("migrate", Durable)
		o.Partitions = 1
		a, b := joinAt(t, o).awaitReady(t), joinAt(t, o).awaitReady(t)
		got := b.collect()
		slot := cluster.Slot(t, namesOfPartition("migrate", 0, a.Origin()).stream)
		for i := range 600 {
			a.number(t, i)
			if i == 200 || i == 400 {
				cluster.MigrateSlot(t, slot, (cluster.Owner(t, slot)+1)%3)
			}
		}
		requireInOrder(t, 0, 600, got.await(t, has(599)))
		require.Empty(t, b.gaps.all())
	})

	t.Run("live follows its slot and counts what it missed", func(t *testing.T) {
		o := options("follow", Live)
		o.Partitions = 1
		a, b := joinAt(t, o).awaitReady(t), joinAt(t, o).awaitReady(t)
		got := b.collect()
		slot := cluster.Slot(t, namesOfPartition("follow", 0, a.Origin()).channel)
		a.number(t, 0)
		got.await(t, has(0))
		n := 0
		for range 3 {
			reconnects := b.Stats().Reconnects
			cluster.MoveSlot(t, slot, (cluster.Owner(t, slot)+1)%3)
			moved := time.Now()
			eventually(t, "the reader is back", func() bool { return b.Stats().Reconnects > reconnects })
			for came := false; !came; {
				n++
				a.number(t, n)
				require.NoError(t, a.Flush(within(t, patience)))
				time.Sleep(time.Millisecond) // the pace of publications, not a wait
				all := got.all()
				came = all[len(all)-1] == n
			}
			t.Logf("resumed %v after the move", time.Since(moved))
		}
		eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == n+1 })
	})

	t.Run("replies", func(t *testing.T) {
		o := options("control", Live)
		a, b := joinAt(t, o).awaitReady(t), joinAt(t, o).awaitReady(t)
		sub := subscribeAll(t, b.server, 10)
		go func() {
			if m, err := sub.Next(within(t, patience)); err == nil {
				_ = b.Reply(background(), m, "yes", nil)
			}
		}()
		reply, err := a.Request(within(t, patience), "ask", nil)
		require.NoError(t, err)
		require.Equal(t, "yes", reply.Data)
	})

	t.Run("one node is flushed", func(t *testing.T) {
		o := options("flushed", Durable)
		a, b := joinAt(t, o).awaitReady(t), joinAt(t, o).awaitReady(t)
		got := b.collect()
		for i := range 60 {
			require.NoError(t, a.Publish(within(t, patience), i, map[string][]string{"route": {string(rune('a' + i))}}))
		}
		got.await(t, func(got []int) bool { return len(got) == 60 })
		cluster.Nodes[0].Do(t, "FLUSHALL")
		for i := 60; i < 120; i++ {
			require.NoError(t, a.Publish(within(t, patience), i, map[string][]string{"route": {string(rune('a' + i))}}))
		}
		got.await(t, func(got []int) bool { return len(got) == 120 })
	})
}
