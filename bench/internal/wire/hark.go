package wire

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/stream"
)

// data and events are those of a transaction of a Cosmos chain.
var data = stream.Data{Type: "tendermint/event/Tx", Value: []byte(`{"TxResult":{"height":"13","tx":"dHgtMTM=","result":{"log":"ok","gas_used":"7","events":[{"type":"transfer","attributes":[{"key":"sender","value":"alice","index":true},{"key":"amount","value":"13","index":true}]}]}}}`)}

func events() map[string][]string {
	return map[string][]string{
		"tm.event": {"Tx"}, "tx.height": {"100000"}, "transfer.sender": {"alice"}, "transfer.amount": {"13"},
		"tx.hash": {"8ED5B22E01E6E2D7BD996F0B92E42D5E5872FDEA3D9CEBB4C34025E22C9206DB"},
	}
}

// Hark is package stream, all clients with one query or each with its own.
func Hark(name, query string) Contender {
	return Contender{name, func(n int) (Server, error) {
		bus := pubsub.NewServer()
		server, err := stream.New(bus, stream.Config{MaxConnections: 2 * n, MaxClients: 2 * n, Buffer: 1000})
		if err != nil {
			return nil, err
		}
		if err := bus.Start(); err != nil {
			return nil, err
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		web := stream.NewHTTPServer(server, nil)
		go func() { _ = web.Serve(listener) }()
		return &hark{bus, server, web, listener.Addr().String(), query, n}, nil
	}}
}

type hark struct {
	bus     *pubsub.Server
	server  *stream.Server
	web     *http.Server
	address string
	query   string
	n       int
}

func (h *hark) Address() (url, hello string) {
	return "ws://" + h.address + "/websocket", `{"id":1,"method":"subscribe","params":{"query":"` + h.query + `"}}`
}
func (h *hark) Ready() bool { return h.server.Stats().Frames == uint64(h.n) }
func (h *hark) Publish(int) error {
	return h.bus.PublishWithEvents(context.Background(), data, events())
}
func (h *hark) Delivered() uint64 { return h.server.Stats().Frames }
func (h *hark) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = h.server.Shutdown(ctx)
	_ = h.web.Close()
	_ = h.bus.Stop()
}
