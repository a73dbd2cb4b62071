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
// Each subscription has a buffer of fixed capacity; what happens to the message
// that does not fit is its Overflow policy: the subscription is cut (the
// default), or the oldest or the newest message is dropped, so that no
// publisher waits for a reader. Under Block, and without a buffer, the message
// waits for room. While it waits, later publications are queued, up to
// BufferCapacity, which is none by default, and then Publish waits under its
// own context. So a reader under Block that publishes may wait for itself; a
// wait of more than a second is logged and names it. Before Start, too,
// publications are queued, and then Publish waits.
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
// User code may panic, or exit its goroutine by runtime.Goexit as t.FailNow
// does: nobody else misses a message. A user-written Query that fails so, or
// returns an error, is logged once, counted in Stats and skipped; of an
// observer each failure is logged. Observers and queries may subscribe,
// unsubscribe and call Stop, which does not wait for them then; Reset, which would
// have to, returns an error. They may publish where Publish need not wait for
// room, which comes only once they have returned. The logger is called by
// goroutines of its own and may do all of that; lines that it is too slow for are
// counted in place of being written. Start and Stop wait until their lines have
// been written, so a logger that never returns keeps them, and nobody else.
//
// # Expressions and searches
//
// The cost of MATCHES follows the value and the expression, which strangers may
// choose. So a publication may spend a budget of steps on the expressions of all
// queries, and a fourth of it on those of one ([ExpressionBudget]); they run
// without a lock, the cheapest first. Subscriptions whose queries the budget
// does not reach end with [ErrExpressionBudget] at that publication, after all
// they got before. Within the default limits of package query that takes values
// of more than 16 KiB under one key, or many expressions without a literal. A
// query that another condition decides, or whose literal no value has, takes
// nothing: add one of these to an expression that has to live with large values.
//
// The same budget bounds CONTAINS, STARTSWITH and ENDSWITH where they would look
// at more than 4 KB, or 512 values, and at less where many queries do. What such a
// query compares besides counts too, as query.Query.Weigh has it. Comparisons alone
// need no budget: values that are many or long are read once for all of them. So are
// values that queries are found by, however many parts of the index the publication
// comes through: what is done with the lock is to read each value a few times, 1 to
// 2 ms of searches, and a look at each query that could match.
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
