package wire

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/stream"
)

// data and events are those of a transaction of a Cosmos chain.
var (
	data   = stream.Data{Type: "tendermint/event/Tx", Value: []byte(`{"TxResult":{"height":"13","tx":"dHgtMTM=","result":{"log":"ok","gas_used":"7","events":[{"type":"transfer","attributes":[{"key":"sender","value":"alice","index":true},{"key":"amount","value":"13","index":true}]}]}}}`)}
	events = map[string][]string{
		"tm.event": {"Tx"}, "tx.height": {"100000"}, "transfer.sender": {"alice"}, "transfer.amount": {"13"},
		"tx.hash": {"8ED5B22E01E6E2D7BD996F0B92E42D5E5872FDEA3D9CEBB4C34025E22C9206DB"},
	}
)

// Queries of clients that all get every transaction: one for all of them, and
// for each its own.
const (
	oneQuery         = "tm.event = 'Tx'"
	differentQueries = "tm.event = 'Tx' AND tx.height > %d"
)

// Hark is package stream, with clients that all have one query, HarkDifferent
// with clients that each have their own.
var (
	Hark          = harkContender("hark, one query", oneQuery)
	HarkDifferent = harkContender("hark, different queries", differentQueries)
)

func harkContender(name, query string) Contender {
	return Contender{name, func(n int) (Server, error) { return startHark(n, query, stream.Config{Buffer: 1000}) }}
}

// startHark starts a bus and a server for n clients with a query.
func startHark(n int, query string, c stream.Config) (*hark, error) {
	c.MaxConnections, c.MaxClients = 2*n, 2*n // those that were cut may not have left yet
	bus := pubsub.NewServer()
	server, err := stream.New(bus, c)
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
	h := &hark{bus: bus, server: server, web: server.HTTPServer(nil), conns: &conns{Listener: listener}, query: query, n: n}
	go func() { _ = h.web.Serve(h.conns) }()
	return h, nil
}

type hark struct {
	bus    *pubsub.Server
	server *stream.Server
	web    *http.Server
	conns  *conns
	query  string
	n      int
}

func (h *hark) url() string { return "ws://" + h.conns.Addr().String() + "/websocket" }

func (h *hark) Address() (url, hello string) { return h.url(), subscribe(h.query) }

// subscribe is a request for a query.
func subscribe(query string) string {
	return `{"id":1,"method":"subscribe","params":{"query":"` + query + `"}}`
}

func (h *hark) Ready() bool { return h.server.Stats().Frames == uint64(h.n) }
func (h *hark) Publish(int) error {
	return h.bus.PublishWithEvents(context.Background(), data, events)
}
func (h *hark) Delivered() uint64 { return h.server.Stats().Frames }

// Stop cuts the clients.
func (h *hark) Stop() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.server.Shutdown(now)
	_ = h.web.Close()
	_ = h.bus.Stop()
}

// conns is a listener that knows its connections.
type conns struct {
	net.Listener
	sendBuffer atomic.Int64 // bytes of the kernel's, of connections from now on; 0: as it likes

	mu  sync.Mutex
	all []net.Conn
}

// Accept implements net.Listener.
func (c *conns) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if n := int(c.sendBuffer.Load()); n > 0 {
		if err := conn.(*net.TCPConn).SetWriteBuffer(n); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn)
	return conn, nil
}

// cut closes all connections without a word, as a network does.
func (c *conns) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		_ = conn.Close()
	}
	c.all = nil
}
