// Package pubclient publishes to a topic of a server.
//
//	u, err := env.URL()                // ws://127.0.0.1:8080
//	u.Path = "/prices/eur"             // the topic
//	publisher, _, err := pubclient.New(ctx, u)
//	err = publisher.Publish([]byte("1.07"))
//
// Publish returns when the message has been handed to the connection. The
// server takes messages as fast as the subscribers of the topic read them;
// when they do not, Publish waits. A message is safe with the server when Close
// has returned nil. Package client says how a connection is
// kept and ends.
package pubclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/clients"
)

// ClientType is the role that a request names in the header
// clients.ClientTypeHeader.
const ClientType = clients.Publisher

// A Publisher publishes to one topic. Its methods may be called from any
// goroutine.
type Publisher struct{ conn *client.Conn }

// New connects to the topic that the path of u names. The client ends with
// ctx. The response is that of the server, also if it refused.
func New(ctx context.Context, u *url.URL, options ...clients.Options) (*Publisher, *http.Response, error) {
	conn, response, err := clients.Dial(ctx, u, clients.Publisher, nil, options...)
	if err != nil {
		return nil, response, err
	}
	return &Publisher{conn}, response, nil
}

// Publish sends a binary message.
func (p *Publisher) Publish(message []byte) error {
	return p.conn.Write(websocket.BinaryMessage, message)
}

// PublishText sends a text message, which must be UTF-8.
func (p *Publisher) PublishText(message string) error {
	return p.conn.Write(websocket.TextMessage, []byte(message))
}

// Close ends the publisher and waits for that. It waits for a slow server as
// long as that takes something within CloseDeadline, again and again. The error
// is nil if the server has taken all that was published before, and else a
// *client.UnconfirmedError that says how many messages may be lost, of those on
// connections that were lost too.
func (p *Publisher) Close() error { return p.conn.Close() }

// Done returns a channel that is closed when the publisher has ended.
func (p *Publisher) Done() <-chan struct{} { return p.conn.Done() }

// Error returns why the publisher ended: nil while it has not, and after
// Close.
func (p *Publisher) Error() error { return p.conn.Error() }
