// Package redisbridge makes one bus of the servers of many processes, by way
// of Redis: what one process publishes, all receive.
//
//	redis, err := redisbridge.ParseURL("redis://localhost:6379")
//	…
//	bridge, err := redisbridge.Attach(server, redisbridge.Options{
//		Redis:     redis,
//		Namespace: "shop",
//		Mode:      redisbridge.Durable,
//		OnGap:     func(g redisbridge.Gap) { log.Print(g) },
//	})
//	…
//	defer bridge.Close()
//
// Publishers and subscribers go on using the Server. A message that came from
// another process has an Origin.
//
//	process A                          Redis                       process B
//	Server ─▶ outbox ─▶ frames ─▶ stream or channel ─▶ frames ─▶ Server
//	          bounded   ≤ 64 events   per partition    checked    in order
//
// # Modes
//
// Durable writes to Redis Streams. Each publication that the outbox accepted
// is in the stream once, and reaches each reader once and in order, across
// cuts of either side, while the publisher lives and Redis keeps what it
// acknowledged. What Redis does not keep (a lost tail after a failover, a
// trimmed stream, FLUSHALL) is reported as a Gap, unless nobody is left who knows
// of it: see the table of faults in docs/bridge.md. A reader can stop and resume
// at a Cursor.
//
// Where a reader stands in a partition is
//
//	epoch   when the stream was made, which Redis keeps with it
//	ID      of the last entry that was ours, as Redis gave it out
//	events  of that entry that were handed on
//
// and beside it, in memory, the last sequence of each origin. There is no other
// numbering. An entry of ours names the one before it, so trimming is noticed
// where it matters; and if publications of its origin are missing before it,
// because they were dropped or Redis has lost them, it says so, for those that do
// not know the origin yet. Every second the reader looks whether the places it has been
// at are still there: if they are, nothing has changed, whatever else is in the
// stream; if they were trimmed or deleted, nothing either; else the stream was
// rewound or made again, and reading goes on from the last place that is there,
// or from where the bridge began, and never hands on what was there before. An
// entry of a stranger, a copied one or one with an ID of the future moves
// nothing.
//
// Live uses Redis Pub/Sub and loses what is sent while a reader is cut off.
// Between the first and the last frame or mark seen from a process, every loss
// is reported as a Gap with its exact count. A process sends a mark at most a
// second after its last frame, and when it closes. What a process sent last
// before it died lies outside: a Gap whose count is Unknown, when its lease
// ends.
//
// # Order
//
// One partition, the default, is one order for all readers in Durable; in Live
// the order is per origin. With more partitions, publications that Route gives
// the same key keep their order per origin.
//
// # Back-pressure
//
// Server.Publish never waits for Redis. A publication is offered to an outbox
// bounded by count and bytes. When it is full, publications are dropped; they
// are counted, OnError gets a *DropError once per episode, and readers see a Gap,
// in Durable too. A program that must lose nothing calls Bridge.Publish, which
// waits for room before it publishes, and Bridge.Flush, which waits for Redis.
//
// On the receiving side, publishing to the local Server may wait if a
// subscription uses Block. In Durable the bridge then stops reading from Redis
// and loses nothing until the stream is trimmed; and while it has a backlog it
// waits for subscriptions that are read and more than half full. In Live it goes on reading,
// drops what does not fit its inbox, and reports that as a Gap.
//
// # Faults
//
// The bridge connects in the background, again and again, with full-jitter
// backoff; Ready waits for the first time. Deadlines are on progress: a
// connection on which nothing arrives for about a second ends, one on which a
// megabyte takes a minute does not. What cannot be cured by trying again ends
// the bridge: a namespace that was laid out with another number of partitions or
// format when the bridge came, and a server that stops. Then OnError, Done, Err,
// Stats and Publish say so. docs/bridge.md has a table of faults.
//
// Frames that are malformed, oversized, foreign or, with Keys, not signed by
// one of them are dropped and counted in Stats. Decoding takes memory in
// proportion to the bytes that came: see package codec.
//
// # Loops
//
// A bridge sends what was published in its own process, never what it or
// another bridge brought in, and drops its own frames when they come back.
//
// # Shutdown
//
// From when Close is called Publish returns ErrClosed. Within CloseTimeout Close
// waits until the server has dispatched what it accepted, detaches the bridge,
// and waits until Redis has it; its error says how much was left. It says
// goodbye, so that readers do not wait for a lease, and waits for all goroutines
// but those in a callback, observers and queries included: it may be called from
// one, and does not wait for the server's dispatching under an observer or a
// query, which hold that up. Stop the Server after it.
package redisbridge
