package clients

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// Defaults of Options.
const (
	CloseDeadline = 5 * time.Second
	PongDeadline  = 5 * time.Second
)

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

	// OnConnection is notified of the connection, as in client.Options.
	OnConnection func(error)

	// Reconnect has a lost connection dialled again.
	Reconnect bool

	// MaxMessage is the largest message that is taken, in bytes. Default
	// 32 MiB, which is what a server takes by default.
	MaxMessage int64
}

// FlattenClientOptions returns the last values that are set, with defaults in
// place of what is not.
func FlattenClientOptions(all []Options) Options {
	closing, pong := CloseDeadline, PongDeadline
	merged := Options{CloseDeadline: &closing, PongDeadline: &pong, WebsocketDialer: websocket.DefaultDialer, MaxMessage: 32 << 20}
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
		if o.OnConnection != nil {
			merged.OnConnection = o.OnConnection
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
	header.Set(ClientTypeHeader, role)
	if o.ClientName != "" {
		header.Set(ClientNameHeader, o.ClientName)
	}
	return header
}
