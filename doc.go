// Package pubsub is an event bus inside one process. Publications carry
// events; subscribers name the events they want by a query; the cost of a
// publication follows the number of subscriptions that match it, not the
// number there are.
//
//	server := pubsub.NewServer()
//	server.Start()
//	defer server.Stop()
//
//	sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
//		ClientID: "wallet",
//		Query:    query.MustParse("tm.event = 'Tx' AND transfer.amount > 50"),
//	})
//	…
//	err = server.PublishWithEvents(ctx, tx, map[string][]string{
//		"tm.event":        {"Tx"},
//		"transfer.amount": {"80uatom"},
//	})
//	…
//	for msg, err := range sub.Messages(ctx) {
//		…
//	}
//
// # Order
//
// A publication gets its Sequence when it is accepted, and every subscription
// sees its matches in that order. A subscription gets the publications
// accepted after it was made. Publish returns nil once the publication is
// accepted; if it returns an error, the publication did not happen.
//
// # Back-pressure
//
// No publisher waits for a reader. Each subscription has a buffer of fixed
// capacity; what happens to the message that does not fit is its Overflow
// policy: the subscription is cut (the default), the oldest or the newest
// message is dropped, or, under Block, the message waits for room. While it
// waits, later publications are queued, up to BufferCapacity, and then Publish
// waits under its own context.
//
// # Reading
//
// Next, NextBatch and Messages look at their context, then at the buffer, then
// at the reason why the subscription ended: everything in the buffer can be
// read before the reason. A message leaves the buffer when it is handed out,
// those of a batch with the call that returns it. Events that a subscriber
// modifies are a private copy.
//
// # Ending
//
// Once Unsubscribe has returned, nothing is added to the subscription's
// buffer. When Canceled closes, Err is set, the client is not counted for it
// and can subscribe again. Stop refuses new calls, ends the waits of Block,
// dispatches what was accepted to whoever has room, ends all subscriptions
// with ErrServerStopped and waits for its goroutines. A subscription that is
// cut or starts to drop messages keeps the messages in its buffer alive, and
// no others.
//
// # Failures
//
// A user-written Query that fails or panics is logged once, counted in Stats
// and skipped; so is an observer that panics. Nobody else misses a message.
//
// # Cost
//
// The index of package match makes publishing cost follow the matches; it
// says when it degrades. One message to many subscriptions of one query is
// written once, into a log that all of them read. Reading costs one atomic
// operation a call, so a reader that takes what there is by NextBatch keeps up
// with more than one that calls Next for each message. A subscription that is
// idle takes the same memory at any capacity.
package pubsub
