package wire

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/centrifugal/centrifuge"
)

// Centrifuge is a node with one channel, in its JSON protocol.
var Centrifuge = Contender{"centrifuge", func(n int) (Server, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, err
	}
	c := &centrifugeServer{node: node, n: n}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: ""}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
	})
	node.OnTransportWrite(func(*centrifuge.Client, centrifuge.TransportWriteEvent) bool {
		c.written.Add(1)
		return true
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.address = listener.Addr().String()
	c.web = &http.Server{Handler: centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{})}
	go func() { _ = c.web.Serve(listener) }()
	return c, nil
}}

type centrifugeServer struct {
	node    *centrifuge.Node
	web     *http.Server
	address string
	n       int
	written atomic.Uint64
}

func (c *centrifugeServer) Address() (url, hello string) {
	return "ws://" + c.address + "/", "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"tx\"}}"
}
func (c *centrifugeServer) Ready() bool       { return c.node.Hub().NumSubscribers("tx") == c.n }
func (c *centrifugeServer) Delivered() uint64 { return c.written.Load() }
func (c *centrifugeServer) Publish(int) error {
	_, err := c.node.Publish("tx", data.Value)
	return err
}
func (c *centrifugeServer) Stop() {
	_ = c.web.Close()
	_ = c.node.Shutdown(context.Background())
}
