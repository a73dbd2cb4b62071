// Package stream offers a bus over HTTP: event streaming in JSON-RPC 2.0 over
// WebSocket as CometBFT speaks it, Server-Sent Events, pulling, topics, and
// publishing. Package client is for those who connect to it.
//
//	bus := pubsub.NewServer()
//	bus.Start()
//	server, err := stream.New(bus, stream.Config{})
//	listener, err := net.Listen("tcp", "127.0.0.1:26657")
//	go server.HTTPServer(nil).Serve(listener)
//	…
//	server.Shutdown(ctx)
//
// [Server.ServeHTTP] has the routes.
//
// # Wire
//
// A client subscribes with a query and gets {"result":{}}, and then every match
// under the id of its request:
//
//	→ {"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"query":"tm.event = 'Tx'"}}
//	← {"jsonrpc":"2.0","id":1,"result":{}}
//	← {"jsonrpc":"2.0","id":1,"result":{"query":"tm.event = 'Tx'","data":{"type":…,"value":…},"events":{…}}}
//
// Unmodified clients of CometBFT v1.0 work; testdata/cometbft.transcript is
// what they rely on. An [Encoder] says how data is encoded; [Registry] is the
// default. Each publication is encoded once for all subscribers.
//
// POST /publish takes publications, and with the parameter flatten any JSON
// object, whose events are made by package jsonevents.
//
// # Order
//
// Results of one subscription come in the order of Message.Sequence, after the
// answer to its request; results of different ones may interleave. After the
// answer to unsubscribe no more come.
//
// # Back-pressure
//
// Buffer messages wait for each subscription. What happens to the next one is
// its [Overflow] policy: the subscription ends and its id is told, or the
// connection ends, or a message is dropped and the client told how many were.
// Bytes queued for a connection are bounded, and those for all connections. A
// peer that takes nothing for WriteTimeout is cut. Nobody else waits for it.
// What waits in all buffers and to be written is bounded by HeldBytes, if that
// is given: beyond it the connections that hold most end, with 1013.
//
// On a topic nothing is dropped: its publishers wait for its subscribers, by
// not being read from, and a subscriber that does not read is cut, or one of
// those who hold most when there is no room for all.
//
// # Regular expressions
//
// MATCHES costs time for each byte that is published. A query, a connection and
// all of them have limits of instructions (MaxExpression, MaxExpressions,
// AllExpressions), which a client learns when it subscribes. The budget of the
// bus, pubsub.ExpressionBudget, bounds what one publication spends on them: a
// subscription that it does not reach ends, with the reason. It can resume: over
// the history expressions run apart from the bus, one at a time, up to
// ReplaySteps for a request. The same steps bound all else that follows the
// length of values, as query.Query.Weigh counts it.
//
// # Cursors and gaps
//
// A client that gives the parameter "after" gets a cursor with each result.
// With a cursor it comes back, on another connection or by another way, and
// gets exactly what it missed, out of the [History]. What the history does not
// have any more it is told as a [history.Gap]: nothing is missing silently. Cursors
// sort as text like the publications. While nothing matches, heartbeats tell
// the cursor that the server is at.
//
// # Security
//
// A page of another origin is refused, on every way in; Origins lists
// exceptions. Identify says who sends a request, before anything else is done
// with it; [Tokens] does it by JSON Web Tokens, and a connection ends when its
// token does. Narrow may restrict what an identity sees, AllowPublish what it
// publishes. Nothing is open to other machines by accident: see [CheckListen].
// Tokens are in no log, error, event or topic name.
//
// # What operators ask for
//
// AccessLog has a line for each request and connection, Webhook gets refused and
// slow clients, Presence says who may see who is subscribed, and Compress
// compresses for clients that ask for it, a publication once for all of them.
// All are off unless set.
//
// # Ending
//
// Shutdown lets nobody in, sends what is in the buffers, tells each id that its
// subscription ends (error −32000), closes with 1012, and waits for all
// connections until its context is done. Codes are never 1000, on which
// CometBFT's Go client would wait for ever.
//
// # Cost
//
// A connection has one goroutine, and each subscription one. A burst of events
// costs one Write for each connection; see writer.go. A publication is encoded
// once for each form, when the first subscriber needs it.
package stream
