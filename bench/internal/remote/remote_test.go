package remote

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

func TestEveryWayThroughAClusterArrives(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	for _, kind := range []Kind{Sharded, Unsharded} {
		t.Run(kind.Name, func(t *testing.T) {
			line, err := Open(kind, cluster.Nodes[0].Addr)
			require.NoError(t, err)
			_, err = line.Contender().Sample(100)
			require.NoError(t, err)
			require.NoError(t, line.Close())
		})
	}
}

func TestEverySubscriberIsConfirmed(t *testing.T) {
	redis := redistest.Start(t)
	channels := make([]string, 1000)
	for i := range channels {
		channels[i] = strconv.Itoa(i)
	}
	for _, way := range Subscribing()[1:] {
		t.Run(way.Name, func(t *testing.T) {
			took, err := way.Subscribe(redis.Addr, channels)
			require.NoError(t, err)
			require.Positive(t, took)
		})
	}
}

func TestEveryWayArrives(t *testing.T) {
	for _, kind := range []Kind{HarkLive, HarkDurable, HarkLiveAll, HarkDurableAll, Rueidis, GoRedis, Redigo, Watermill, WatermillAll, Mux} {
		t.Run(kind.Name, func(t *testing.T) {
			line, err := Open(kind, redistest.Start(t).Addr)
			require.NoError(t, err)
			cost, err := line.Contender().Sample(100)
			require.NoError(t, err)
			require.Positive(t, cost)
			require.NoError(t, line.Close())
		})
	}
}
