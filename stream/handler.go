package stream

import (
	"context"
	"net/http"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// WebSocketHandler serves topics, each path one, over a bus of its own. When
// ctx is done it closes all connections and stops the bus.
//
//	http.ListenAndServe("127.0.0.1:8080", stream.WebSocketHandler(ctx))
//
// There is no limit on the number of connections. Programs that want limits,
// identities or their own bus use [New] and [Server.ServeTopic].
func WebSocketHandler(ctx context.Context, options ...Options) http.HandlerFunc {
	merged := merge(options)
	bus := pubsub.NewServer()
	s, err := New(bus, Config{Topics: merged.Options, MaxConnections: 1 << 20, History: history.None{}})
	if err == nil {
		err = bus.Start()
	}
	if err != nil {
		panic(err) // neither depends on what the caller gave
	}
	s.topicUpgrader = *merged.Upgrader
	context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.Background(), s.topicOptions.timing(false).close)
		defer cancel()
		_ = s.Shutdown(limit)
		_ = bus.Stop()
	})
	return s.ServeTopic
}
