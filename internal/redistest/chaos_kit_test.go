package redistest_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

func TestClockOfAServerSteps(t *testing.T) {
	clock := redistest.NewClock(t)
	server := clock.Start(t)
	ahead := func() time.Duration {
		now, err := server.Do(t, "TIME").AsStrSlice()
		require.NoError(t, err)
		seconds, err := strconv.ParseInt(now[0], 10, 64)
		require.NoError(t, err)
		return time.Until(time.Unix(seconds, 0))
	}
	require.InDelta(t, 0, ahead().Seconds(), 100)
	for _, step := range []time.Duration{time.Hour, -3 * time.Hour} {
		want, err := clock.Step(step)
		require.NoError(t, err)
		require.InDelta(t, want.Seconds(), ahead().Seconds(), 100)
	}
}

func TestProgramIsStoppedAndKilled(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	program, err := redistest.StartProgram([]string{"WORD=hello"}, []*os.File{write}, "sh", "-c", "echo $WORD >&3; echo printed; sleep 60 3>&-")
	require.NoError(t, err)
	require.NoError(t, write.Close())
	require.NoError(t, program.Pause())
	require.NoError(t, program.Resume())
	buf := make([]byte, 10)
	n, err := read.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(buf[:n]))
	time.Sleep(10 * time.Millisecond) // it may have printed
	require.Contains(t, []string{"", "printed\n"}, program.Close())
}

func TestReplicasTakeOverAndReturn(t *testing.T) {
	cluster := redistest.StartReplicatedCluster(t, 3)
	slot := cluster.Slot(t, "key")
	owner := cluster.Owner(t, slot)
	before := cluster.Nodes[owner].Addr
	cluster.Nodes[owner].Do(t, "SET", "key", "kept")
	cluster.HandOver(t, owner)
	require.NotEqual(t, before, cluster.Nodes[owner].Addr)
	require.Equal(t, owner, cluster.Owner(t, slot))
	other := (owner + 1) % 3
	cluster.FailoverAndReturn(t, other)
	cluster.MigrateSlot(t, slot, other)
	kept, err := cluster.Nodes[other].Do(t, "GET", "key").ToString()
	require.NoError(t, err)
	require.Equal(t, "kept", kept)
}
