package clients

import (
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// Defaults of Options.
const (
	CloseDeadline = 5 * time.Second
	PongDeadline  = 5 * time.Second
)

// ErrClosedByServer is wrapped by the error of a client that the server
// closed.
var ErrClosedByServer = errors.New("the client was closed by the server")

// Options configure a client. Of several, the last value that is not nil or
// zero counts.
type Options struct {
	// ClientName is part of the client's ID.
	ClientName string

	// CloseDeadline is how long Close waits for the server. Default 5 s.
	CloseDeadline *time.Duration

	// InitialHeaders are sent with the request; they are not modified.
	InitialHeaders http.Header

	// PongDeadline is how long the server may be silent. Default 5 s.
	PongDeadline *time.Duration

	// WebsocketDialer dials; default websocket.DefaultDialer.
	WebsocketDialer *websocket.Dialer

	// Reconnect has a lost connection dialled again.
	Reconnect bool

	// MaxMessage is the largest message that is taken, in bytes. Default
	// 16 MiB.
	MaxMessage int64
}

// merge returns the options with defaults in place of what is not set.
func merge(all []Options) Options {
	closing, pong := CloseDeadline, PongDeadline
	merged := Options{CloseDeadline: &closing, PongDeadline: &pong, WebsocketDialer: websocket.DefaultDialer, MaxMessage: 16 << 20}
	for _, o := range all {
		if o.ClientName != "" {
			merged.ClientName = o.ClientName
		}
		if o.CloseDeadline != nil {
			merged.CloseDeadline = o.CloseDeadline
		}
		if o.InitialHeaders != nil {
			merged.InitialHeaders = o.InitialHeaders
		}
		if o.PongDeadline != nil && *o.PongDeadline > 0 {
			merged.PongDeadline = o.PongDeadline
		}
		if o.WebsocketDialer != nil {
			merged.WebsocketDialer = o.WebsocketDialer
		}
		if o.MaxMessage > 0 {
			merged.MaxMessage = o.MaxMessage
		}
		merged.Reconnect = merged.Reconnect || o.Reconnect
	}
	return merged
}

// header returns the header of the request, a copy.
func (o *Options) header(role string) http.Header {
	header := o.InitialHeaders.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("pubsub", role)
	if o.ClientName != "" {
		header.Set("pubsub-client-name", o.ClientName)
	}
	return header
}
