package redisbridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

// One master of three dies while publications go through all partitions.
func TestClusterFailoverIsSurvivedAndReported(t *testing.T) {
	cluster := redistest.StartReplicatedCluster(t, 3)
	names := []string{"a", "b", "c", "d", "e", "f"}
	for i, mode := range []Mode{Durable, Live} {
		o := Options{Redis: cluster.Option(), Namespace: "failover", Mode: mode, Partitions: len(names), Route: routeByNumber}
		a, b := joinAt(t, o).awaitReady(t), joinAt(t, o).awaitReady(t)
		got := b.collect()
		n := 0
		publish := func(times int) {
			for range times {
				for _, name := range names {
					require.NoError(t, a.Publish(within(t, patience), n, map[string][]string{"route": {name}}))
					n++
				}
				time.Sleep(time.Millisecond) // the pace of publications, not a wait
			}
		}
		publish(20)
		eventually(t, "all partitions are known", func() bool { return len(got.all()) == n })
		down := make(chan time.Duration, 1)
		go func() { down <- cluster.Failover(t, i) }()
		publish(50)
		t.Logf("%v: the replica took over after %v", mode, <-down)
		publish(20)
		require.NoError(t, a.Flush(within(t, patience)))
		eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == n })
		seen := map[int]bool{}
		for _, i := range got.all() {
			require.False(t, seen[i], "%d came twice", i)
			seen[i] = true
		}
		came := len(got.all())
		eventually(t, "it goes on", func() bool { publish(1); return len(got.all()) > came+len(names) })
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}
