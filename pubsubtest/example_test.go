package pubsubtest_test

import (
	"context"
	"testing"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/pubsubtest"
)

// A Bank is the code under test: it announces what it does.
type Bank struct{ bus *pubsub.Server }

func (b Bank) Transfer(ctx context.Context, to string, amount string) error {
	return b.bus.PublishWithEvents(ctx, amount, map[string][]string{
		"tm.event":    {"Transfer"},
		"transfer.to": {to},
	})
}

func Example() {
	test := func(t *testing.T) { // TestTransferIsAnnounced
		server := pubsubtest.NewServer(t)
		sub := pubsubtest.Subscribe(t, server, "tm.event = 'Transfer' AND transfer.to = 'bob'")

		bank := Bank{server}
		bank.Transfer(t.Context(), "bob", "7uatom")
		bank.Transfer(t.Context(), "carol", "8uatom")

		pubsubtest.Expect(t, sub, "7uatom")
		pubsubtest.ExpectNone(t, sub)
	}
	testing.RunTests(func(_, _ string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "TestTransferIsAnnounced", F: test}})
	// Output:
}
