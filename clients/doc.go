// Package clients has what clients of topics share: their options. Most programs
// use [github.com/harkbus/pubsub/pubclient] and
// [github.com/harkbus/pubsub/subclient]. Package client says how a connection is
// kept and ends.
//
// A client of a topic reconnects only with Reconnect; what the server sent
// before it is back is missed.
package clients
