package remote

import (
	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub/redismux"
)

// Mux is PUBLISH by rueidis, 64 to a pipeline, received by a channel
// subscription of redismux.
var Mux = Kind{Name: "redismux", Open: openMux}

type mux struct {
	raw
	multiplexer *redismux.Multiplexer
}

func openMux(addr string, got func()) (Way, error) {
	option := rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	m := &mux{raw: raw{client: client, payload: string(payload())}, multiplexer: redismux.New(redismux.FromOption(option))}
	active := make(chan struct{})
	sub := m.multiplexer.NewChannelSubscription(func(string, []byte) { got() }, nil, func(string) { close(active) })
	if err := sub.Add("rueidis"); err != nil {
		return nil, err
	}
	<-active
	return m, nil
}

func (m *mux) Close() error {
	m.multiplexer.Stop()
	m.client.Close()
	return nil
}
