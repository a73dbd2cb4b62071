package redismux_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// shared is started by the first test that needs it: it takes two seconds.
var shared sharedCluster

type sharedCluster struct {
	once    sync.Once
	cluster *redistest.Cluster
	err     error
}

func (s *sharedCluster) close() {
	s.once.Do(func() {})
	if s.cluster != nil {
		s.cluster.Close()
	}
}

func cluster(t testing.TB) *redistest.Cluster {
	t.Helper()
	shared.once.Do(func() { shared.cluster, shared.err = redistest.NewCluster(3) })
	require.NoError(t, shared.err)
	return shared.cluster
}

func spublish(t testing.TB, client rueidis.Client, channel, message string) {
	t.Helper()
	require.NoError(t, client.Do(within(t), client.B().Spublish().Channel(channel).Message(message).Build()).Error())
}

func TestClusterCarriesOrdinaryChannels(t *testing.T) {
	c := cluster(t)
	mux := newMux(t, c.Option())
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add(names("c", 100)...))
	promises := mux.NewPromiseSubscription("p:")
	eventually(t, func() bool { return d.count("active c00099") == 1 })
	require.Equal(t, 1, mux.Stats().Connections)
	promise, err := promises.WaitForNewPromise(within(t), "1", time.Hour)
	require.NoError(t, err)
	for i, node := range c.Nodes {
		name := fmt.Sprintf("c%05d", i)
		publish(t, node, name, "x")
		d.await(t, name+"=x")
	}
	publish(t, c.Nodes[1], "p:1", "kept")
	message, err := promise.Wait(within(t))
	require.NoError(t, err)
	require.Equal(t, "kept", string(message))
}

func TestShardedChannelsAreFoundOnTheirNodes(t *testing.T) {
	c := cluster(t)
	client := c.Client(t)
	mux := newMux(t, c.Option())
	d := newDiary()
	sub := mux.NewShardedSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	all := names("s", 300)
	require.NoError(t, sub.Add(all...))
	eventually(t, func() bool { return len(d.text()) == len(all) })
	require.Equal(t, 4, mux.Stats().Connections, "one per node and the one for ordinary channels")
	for _, name := range all {
		spublish(t, client, name, "x")
	}
	eventually(t, func() bool { return len(d.text()) == 2*len(all) })

	// A sharded channel and an ordinary one of the same name are two things.
	other := newDiary()
	require.NoError(t, mux.NewChannelSubscription(other.onMessage, nil, other.onActivation).Add(all[0]))
	other.await(t, "active "+all[0])
	spublish(t, client, all[0], "sharded")
	publish(t, c.Nodes[0], all[0], "ordinary")
	d.await(t, all[0]+"=sharded")
	other.await(t, all[0]+"=ordinary")
	require.Len(t, other.text(), 2)

	require.NoError(t, sub.Clear())
	eventually(t, func() bool { return mux.Stats().Sharded == 0 })
	for _, node := range c.Nodes {
		eventually(t, func() bool {
			left, err := node.Do(t, "PUBSUB", "SHARDCHANNELS").AsStrSlice()
			return err == nil && len(left) == 0
		})
	}
}

func TestShardedChannelsFollowTheirSlot(t *testing.T) {
	c := cluster(t)
	client := c.Client(t)
	mux := newMux(t, c.Option())
	d := newDiary()
	sub := mux.NewShardedSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	moving := []string{"{moves}1", "{moves}2"}
	require.NoError(t, sub.Add(moving...))
	d.await(t, "active {moves}1", "active {moves}2")
	slot := c.Slot(t, "{moves}")
	for range 6 {
		d.reset()
		began := time.Now()
		c.MoveSlot(t, slot, (c.Owner(t, slot)+1)%3)
		d.await(t, "error {moves}1", "error {moves}2", "active {moves}1", "active {moves}2")
		t.Logf("resumed %v after the move began", time.Since(began))
		require.ErrorIs(t, d.lastCause(), redismux.ErrSlotMoved)
		for _, name := range moving {
			spublish(t, client, name, "x")
		}
		d.await(t, "{moves}1=x", "{moves}2=x")
	}
	require.Zero(t, d.count("lost"), "no connection was lost")
}

func TestOneNodesConnectionIsLost(t *testing.T) {
	c := cluster(t)
	client := c.Client(t)
	mux := newMux(t, c.Option())
	d := newDiary()
	var subs []string
	for i := range c.Nodes {
		name := nameOn(t, c, i)
		subs = append(subs, name)
		onMessage, onDisconnect, onActivation, onError := d.as(fmt.Sprint(i))
		require.NoError(t, mux.NewShardedSubscription(onMessage, onDisconnect, onActivation, onError).Add(name))
		d.await(t, fmt.Sprintf("%d: active %s", i, name))
	}
	d.reset()
	require.Equal(t, 1, c.Nodes[1].KillClients(t, "ssub=1"))
	d.await(t, "1: lost", "1: active "+subs[1])
	require.Len(t, d.text(), 2, "only those with a name there are told")
	for i, name := range subs {
		spublish(t, client, name, "x")
		d.await(t, fmt.Sprintf("%d: %s=x", i, name))
	}
}

// nameOn returns a channel whose slot is on a node.
func nameOn(t testing.TB, c *redistest.Cluster, node int) string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("n%d", i); c.Owner(t, c.Slot(t, name)) == node {
			return name
		}
	}
}

// A node dies for good, and its slots are taken over.
func TestANodeIsGone(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	mux := newMux(t, c.Option())
	d := newDiary()
	name := nameOn(t, c, 2)
	slot := c.Slot(t, name)
	sub := mux.NewShardedSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	require.NoError(t, sub.Add(name))
	d.await(t, "active "+name)
	c.Nodes[2].Kill()
	d.await(t, "lost")
	for _, node := range c.Nodes[:2] {
		id, err := c.Nodes[0].Do(t, "CLUSTER", "MYID").ToString()
		require.NoError(t, err)
		node.Do(t, "CLUSTER", "SETSLOT", fmt.Sprint(slot), "NODE", id)
	}
	d.await(t, "active "+name, "active "+name)
	c.Nodes[0].Do(t, "SPUBLISH", name, "x")
	d.await(t, name+"=x")
}

func TestShardedChannelsOnOneServer(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	sub := mux.NewShardedSubscription(d.onMessage, d.onDisconnect, d.onActivation)
	require.NoError(t, sub.Add("a", "b"))
	d.await(t, "active a", "active b")
	server.Do(t, "SPUBLISH", "a", "x")
	d.await(t, "a=x")
	mux.Stop()
	require.NoError(t, mux.Restart())
	d.await(t, "lost", "active a", "active a")
}

// A client of one node of a cluster cannot follow a redirection: that is told.
func TestAClientWithoutClusterCannotFollow(t *testing.T) {
	c := cluster(t)
	mux := newMux(t, c.Nodes[0].Option())
	d := newDiary()
	sub := mux.NewShardedSubscription(d.onMessage, nil, d.onActivation, redismux.WithOnError(d.onError))
	here, elsewhere := nameOn(t, c, 0), nameOn(t, c, 1)
	require.NoError(t, sub.Add(here, elsewhere))
	d.await(t, "active "+here, "error "+elsewhere)
	require.ErrorContains(t, d.lastCause(), "MOVED")
}
