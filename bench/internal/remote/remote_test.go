package remote

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

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
