// Package client is the Go client of a stream server. It subscribes to queries
// and publishes, and stays connected:
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:26657/websocket", client.Options{})
//	defer c.Close()
//	for result, err := range c.Subscribe(ctx, "tm.event = 'Tx'", client.SubscribeOptions{}) {
//		…
//	}
//
// Packages pubclient and subclient are for topics, on the same connection.
//
// # Connection
//
// A [Conn] is one WebSocket at a time. It is pinged, and taken for lost when
// nothing is heard for ReadTimeout. Then it is dialed again, after a random
// delay that grows from 0.1 to 10 seconds, until it is closed or GiveUpAfter has
// passed; with NoReconnect it ends. OnConnection is notified of each change, of
// a deliberate shutdown of the server too.
//
// # Order, gaps
//
// The results of a subscription come in the order in which the server accepted
// the publications. After a reconnect each subscription resumes behind the last
// result received. What the server no longer has comes as a Gap, so nothing is
// missing silently.
//
// # Back-pressure
//
// All loops of a client share its connection. While one of them does not read,
// the others wait once its Buffer is full, and the server applies its policy for
// slow clients; a subscription that the server ends for that resumes.
//
// # Ending
//
// Close says goodbye, waits for the server's answer for at most CloseTimeout, or
// again as long since the server took something of what [Conn.Write] wrote, and
// may be called more than once. What the server has not confirmed is an
// [UnconfirmedError]. Done is closed when the connection has
// ended, and Error says why: nil after Close, else an error that wraps
// [ErrClosedByServer], or that of the network.
package client
