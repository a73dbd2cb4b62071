// Package subclient subscribes to a topic of a server.
//
//	u, err := env.URL()                // ws://127.0.0.1:8080
//	u.Path = "/prices/eur"             // the topic
//	subscriber, _, err := subclient.New(ctx, nil, u)
//	for {
//		message, err := subscriber.Next(ctx)
//		…
//	}
//
// The query of the URL may narrow it: u.RawQuery = "query=…". Messages come in
// the order in which the server accepted them. As long as nobody reads them the
// server's publishers wait, and after its SubscriberWriteTimeout it ends the
// subscriber. Package client says how a connection is kept and ends.
package subclient

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
const ClientType = clients.Subscriber

// A Subscriber receives what is published to one topic. Its methods may be
// called from any goroutine.
type Subscriber struct {
	conn     *client.Conn
	messages chan []byte
	queue    chan Message // what Next reads
}

// A Message is what was published, with its kind.
type Message struct {
	Text bool // else binary
	Data []byte
}

// New connects to the topic that the path of u names and sends each message to
// messages; if messages is nil, read Messages or Next. The client ends with
// ctx. The response is that of the server, also if it refused.
func New(ctx context.Context, messages chan []byte, u *url.URL, options ...clients.Options) (*Subscriber, *http.Response, error) {
	if messages == nil {
		messages = make(chan []byte)
	}
	s := &Subscriber{messages: messages, queue: make(chan Message)}
	conn, response, err := clients.Dial(ctx, u, clients.Subscriber, s.receive, options...)
	if err != nil {
		return nil, response, err
	}
	s.conn = conn
	return s, response, nil
}

// receive hands a message to whoever reads.
func (s *Subscriber) receive(ctx context.Context, kind int, data []byte) error {
	select {
	case s.messages <- data:
	case s.queue <- Message{kind == websocket.TextMessage, data}:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Messages returns the channel that messages are sent to: the one that New was
// given. It is never closed: select on Done too.
func (s *Subscriber) Messages() <-chan []byte { return s.messages }

// Next returns the next message with its kind. Of several readers, Messages
// among them, each gets its own messages. At the end it returns Error, or
// context.Canceled after Close.
func (s *Subscriber) Next(ctx context.Context) (Message, error) {
	select {
	case m := <-s.queue:
		return m, nil
	case <-ctx.Done():
		return Message{}, ctx.Err()
	case <-s.conn.Done():
		if err := s.conn.Error(); err != nil {
			return Message{}, err
		}
		return Message{}, context.Canceled
	}
}

// Close ends the subscriber and waits for that.
func (s *Subscriber) Close() error { return s.conn.Close() }

// Done returns a channel that is closed when the subscriber has ended.
func (s *Subscriber) Done() <-chan struct{} { return s.conn.Done() }

// Error returns why the subscriber ended: nil while it has not, and after
// Close.
func (s *Subscriber) Error() error { return s.conn.Error() }
