package compat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	query "github.com/harkbus/pubsub/compat/tmquery"
)

func TestCodeWrittenForTendermint(t *testing.T) {
	server := pubsub.NewServer(pubsub.BufferCapacity(10))
	require.NoError(t, server.Start())
	defer func() { _ = server.Stop() }()
	q := query.MustParse("tm.event='NewBlock' AND block.height > 5")
	sub, err := server.Subscribe(t.Context(), "", q, 10)
	require.NoError(t, err)
	events := map[string][]string{"tm.event": {"NewBlock"}, "block.height": {"6"}}
	require.NoError(t, server.PublishWithEvents(t.Context(), "block 6", events))
	select {
	case msg := <-sub.Out():
		require.Equal(t, "block 6", msg.Data())
		require.Equal(t, events, msg.Events())
	case <-sub.Cancelled():
		t.Fatal(sub.Err())
	}
	conditions, err := q.Conditions()
	require.NoError(t, err)
	require.Equal(t, query.Condition{CompositeKey: "block.height", Op: query.OpGreater, Operand: int64(5)}, conditions[1])
	require.NoError(t, server.UnsubscribeAll(t.Context(), ""))
}

// asked is a query of another package, as that of an unmodified node is.
type asked struct{ *query.Query }

func (q asked) Indexed() {} // not pubsub's

func TestQueriesOfTheNodeAreAsked(t *testing.T) {
	server := pubsub.NewServer()
	require.NoError(t, server.Start())
	defer func() { _ = server.Stop() }()
	sub, err := server.Subscribe(t.Context(), "a", asked{query.MustParse("tm.event = 'Tx'")})
	require.NoError(t, err)
	require.Zero(t, server.Stats().Index.Queries)
	require.NoError(t, server.PublishWithEvents(t.Context(), 1, map[string][]string{"tm.event": {"Tx"}}))
	require.Equal(t, 1, (<-sub.Out()).Data())
}
