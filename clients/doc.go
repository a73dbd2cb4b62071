// Package clients has what clients of topics share: their options, and the
// connection below [github.com/harkbus/pubsub/pubclient] and
// [github.com/harkbus/pubsub/subclient], which most programs use.
//
// # Connection
//
// A connection is pinged, and taken for lost when nothing is heard for
// PongDeadline. With Reconnect it is then dialled again, after a random delay
// that grows from 0.1 to 10 seconds, until its context ends; what the server
// sent meanwhile is missed. Without, it ends.
//
// # Ending
//
// Close sends a close frame, waits for the server's for at most CloseDeadline,
// and may be called more than once. Done is closed when the connection has
// ended, and Error says why: nil after Close, the error of the context, or an
// error that wraps [ErrClosedByServer] and the [websocket.CloseError], or that
// of the network.
package clients
