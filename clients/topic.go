package clients

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/internal/wire"
)

// Roles of a client.
const (
	Publisher  = wire.Publisher
	Subscriber = wire.Subscriber
)

// Headers of the request.
const (
	ClientTypeHeader = wire.RoleHeader // the role
	ClientNameHeader = wire.NameHeader // optional
)

// ErrClosedByServer is wrapped by the error of a client that the server
// closed.
var ErrClosedByServer = client.ErrClosedByServer

// A TooLargeError says that the server takes no message of this size. The
// client is as it was.
type TooLargeError = client.TooLargeError

// Dial connects to the topic that the path of u names, in a role, until ctx
// ends. Each message is given to receive, one after the other; a nil receive
// ignores them. The response is that of the server, also if it refused; its body
// need not be closed.
func Dial(ctx context.Context, u *url.URL, role string, receive func(ctx context.Context, kind int, message []byte) error, options ...Options) (*client.Conn, *http.Response, error) {
	if u == nil {
		return nil, nil, errors.New("clients: the URL is nil")
	}
	o := FlattenClientOptions(options)
	return client.Connect(ctx, u.String(), receive, client.Options{
		Header:       o.header(role),
		Dialer:       o.WebsocketDialer,
		ReadTimeout:  *o.PongDeadline,
		CloseTimeout: *o.CloseDeadline,
		MaxMessage:   o.MaxMessage,
		NoReconnect:  !o.Reconnect,
		OnConnection: o.OnConnection,
	})
}
