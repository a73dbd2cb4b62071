package compat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	query "github.com/harkbus/pubsub/compat/cmtquery"
	"github.com/harkbus/pubsub/compat/cmtquery/syntax"
)

func TestCodeWrittenForCometBFT(t *testing.T) {
	server := pubsub.NewServer(pubsub.BufferCapacity(10))
	require.NoError(t, server.Start())
	defer func() { _ = server.Stop() }()
	q := query.MustCompile("tm.event='NewBlock' AND block.height > 5")
	sub, err := server.Subscribe(t.Context(), "", q, 10)
	require.NoError(t, err)
	require.NoError(t, server.PublishWithEvents(t.Context(), "block 6", map[string][]string{"tm.event": {"NewBlock"}, "block.height": {"6"}}))
	select {
	case msg := <-sub.Out():
		require.Equal(t, "block 6", msg.Data())
	case <-sub.Canceled():
		t.Fatal(sub.Err())
	}
	height := q.Syntax()[1]
	require.EqualValues(t, syntax.TGt, height.Op)
	require.Equal(t, "block.height", height.Tag)
	require.NoError(t, server.Unsubscribe(t.Context(), "", q))
}
