package compat_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/service"
)

func TestCodeThatTakesTheLanguageToo(t *testing.T) {
	ctx := t.Context()
	q, err := query.New("tm.event = 'Tx' AND (transfer.amount > 50 OR message.action != 'send')")
	require.NoError(t, err)
	server := pubsub.NewServer()
	server.SetLogger(slog.Default())
	server.SetLogger(nil)
	server.Observe(func(m pubsub.Message) { slog.Debug("published", "sequence", m.Sequence(), "at", m.Time()) })
	require.NoError(t, server.Start())
	sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{ClientID: "wallet", Query: q, Capacity: 1000, Overflow: pubsub.DropOldest})
	require.NoError(t, err)
	require.NoError(t, server.PublishWithEvents(ctx, "80uatom", map[string][]string{"tm.event": {"Tx"}, "transfer.amount": {"80uatom"}}))
	require.NoError(t, server.Stop())
	var read []any
	for msg, err := range sub.Messages(ctx) {
		if err != nil {
			require.ErrorIs(t, err, pubsub.ErrServerStopped)
			break
		}
		read = append(read, msg.Data())
	}
	require.Equal(t, []any{"80uatom"}, read)
	slog.Info("read", "subscription", sub.ID(), "dropped", sub.Dropped(), "queued", server.Stats().Queued)
	var _ service.Service = server
}
