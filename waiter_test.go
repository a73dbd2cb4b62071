package pubsub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// Memory that one server reuses must not reach another: in synctest a channel
// of one bubble is fatal in the next.
func TestReadersWaitInOneBubbleAfterAnother(t *testing.T) {
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			server := pubsub.NewServer()
			require.NoError(t, server.Start())
			sub, err := server.Subscribe(t.Context(), "reader", query.All)
			require.NoError(t, err)
			time.AfterFunc(time.Second, func() { server.Publish(t.Context(), "late") })
			m, err := sub.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, "late", m.Data())
			require.NoError(t, server.Stop())
		})
	}
}
