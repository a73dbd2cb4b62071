package wire

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATS is an embedded server with WebSocket, without TLS and compression.
var NATS = Contender{"NATS websocket", func(n int) (Server, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, MaxConn: 4 * n,
		Websocket: server.WebsocketOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoTLS: true},
	})
	if err != nil {
		return nil, err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, errors.New("wire: NATS does not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, err
	}
	return &natsServer{s, conn, n, int(s.NumSubscriptions())}, nil
}}

type natsServer struct {
	server *server.Server
	conn   *nats.Conn
	n      int
	own    int // subscriptions of the server itself
}

func (n *natsServer) Address() (url, hello string) {
	return n.server.WebsocketURL(), "CONNECT {\"verbose\":false}\r\nSUB tx 1\r\n"
}
func (n *natsServer) Ready() bool       { return int(n.server.NumSubscriptions()) >= n.own+n.n }
func (n *natsServer) Delivered() uint64 { return uint64(n.stats()) }
func (n *natsServer) stats() int64 {
	v, err := n.server.Varz(nil)
	if err != nil {
		return 0
	}
	return v.OutMsgs
}
func (n *natsServer) Publish(int) error {
	if err := n.conn.Publish("tx", data.Value); err != nil {
		return err
	}
	return n.conn.Flush()
}
func (n *natsServer) Stop() {
	n.conn.Close()
	n.server.Shutdown()
}
