// Package pubsubtest helps to test code that publishes to or subscribes to a
// pubsub.Server.
//
//	func TestTransferIsAnnounced(t *testing.T) {
//		server := pubsubtest.NewServer(t)
//		sub := pubsubtest.Subscribe(t, server, "tm.event = 'Transfer'")
//
//		NewBank(server).Transfer("alice", "bob", 7)
//
//		pubsubtest.Expect(t, sub, Transfer{"alice", "bob", 7})
//		pubsubtest.ExpectNone(t, sub)
//	}
//
// # Waiting
//
// The functions that expect a message wait for it, at most Patience; those
// that expect nothing look at what is there now. A publication made by the
// goroutine of the test is there when Publish returns, if the server was idle.
// Where other goroutines publish, run the test inside testing/synctest and
// call synctest.Wait before ExpectNone: it returns once nothing moves any
// more. Inside a bubble waiting takes no real time.
//
// # Failures
//
// All functions fail the test at once, as testing.TB.Fatal does, and say which
// subscription got what instead of what. They must be called from the
// goroutine of the test.
package pubsubtest
