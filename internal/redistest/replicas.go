package redistest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// StartReplicatedCluster starts a cluster of n masters with one replica each:
// Replicas[i] is that of Nodes[i]. It takes about five seconds.
func StartReplicatedCluster(t testing.TB, n int, directives ...string) *Cluster {
	t.Helper()
	c := StartCluster(t, n, directives...)
	for i, master := range c.Nodes {
		replica := Start(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no"}, directives...)...)
		replica.Do(t, "CLUSTER", "MEET", host, strconv.Itoa(master.Port))
		require.Eventually(t, func() bool {
			_, err := replica.run("CLUSTER", "REPLICATE", c.ids[i]) // as soon as it has heard of it
			return err == nil
		}, patience, 10*pause)
		c.Replicas = append(c.Replicas, replica)
	}
	for _, replica := range c.Replicas {
		require.Eventually(t, func() bool { return replica.Info(t, "master_link_status") == "up" }, patience, 10*pause)
	}
	known := "cluster_known_nodes:" + strconv.Itoa(2*n)
	for _, node := range append(c.Nodes[:n:n], c.Replicas...) {
		require.Eventually(t, func() bool {
			info, err := text(node.Do(t, "CLUSTER", "INFO"))
			return err == nil && hasLines(info, "cluster_state:ok", known)
		}, patience, 10*pause)
	}
	return c
}

// Failover kills Nodes[i] and returns when its replica has taken its place, and
// how long that took.
func (c *Cluster) Failover(t testing.TB, i int) time.Duration {
	t.Helper()
	began := time.Now()
	c.Nodes[i].Kill()
	require.Eventually(t, func() bool { return c.Replicas[i].Info(t, "role") == "master" }, patience, 10*pause)
	return time.Since(began)
}

// FailoverAndReturn kills Nodes[i], waits until its replica has taken its place,
// and starts it again as the replica of that: the two have changed places in c.
// What the replica had not received is lost.
func (c *Cluster) FailoverAndReturn(t testing.TB, i int) {
	t.Helper()
	c.Failover(t, i)
	c.exchange(t, i)
	c.Replicas[i].Restart(t)
	c.awaitReplica(t, i)
}

// handOverTimeout is when a replica that was not elected asks again: the others
// do not vote twice for one master within twice the node timeout.
const handOverTimeout = 5 * time.Second

// HandOver has the replica of Nodes[i] take its place, in agreement with it, so
// that nothing is lost: the two have changed places in c.
func (c *Cluster) HandOver(t testing.TB, i int) {
	t.Helper()
	require.Eventually(t, c.agreesOnEpochs, patience, 10*pause)
	var asked time.Time
	require.Eventually(t, func() bool {
		if time.Since(asked) > handOverTimeout {
			asked = time.Now()
			_, _ = c.Replicas[i].run("CLUSTER", "FAILOVER") // it refuses until it knows its master well
		}
		return c.Replicas[i].Info(t, "role") == "master" && c.Nodes[i].Info(t, "role") == "slave"
	}, patience, 10*pause)
	c.exchange(t, i)
	c.awaitReplica(t, i)
}

// agreesOnEpochs tells whether all nodes know the latest epoch, and no two
// masters have one: whoever is elected with an epoch that is taken already, as
// by a slot that moved, may have to step back and lose what it was given.
func (c *Cluster) agreesOnEpochs() bool {
	known := make(map[string]bool)
	taken := make(map[string]bool)
	for i, node := range slices.Concat(c.Nodes, c.Replicas) {
		result, err := node.run("CLUSTER", "INFO")
		if err != nil {
			return false
		}
		info, err := text(result)
		if err != nil {
			return false
		}
		for line := range strings.SplitSeq(info, "\r\n") {
			if epoch, ok := strings.CutPrefix(line, "cluster_current_epoch:"); ok {
				known[epoch] = true
			} else if epoch, ok := strings.CutPrefix(line, "cluster_my_epoch:"); ok && i < len(c.Nodes) {
				taken[epoch] = true
			}
		}
	}
	return len(known) == 1 && len(taken) == len(c.Nodes)
}

func (c *Cluster) exchange(t testing.TB, i int) {
	t.Helper()
	c.Nodes[i], c.Replicas[i] = c.Replicas[i], c.Nodes[i]
	id, err := text(c.Nodes[i].Do(t, "CLUSTER", "MYID"))
	require.NoError(t, err)
	c.ids[i] = id
}

// awaitReplica waits until Replicas[i] follows Nodes[i] and all masters know who
// they are.
func (c *Cluster) awaitReplica(t testing.TB, i int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return c.Replicas[i].Info(t, "role") == "slave" && c.Replicas[i].Info(t, "master_link_status") == "up"
	}, patience, 10*pause)
	for _, node := range c.Nodes {
		require.Eventually(t, func() bool {
			nodes, err := text(node.Do(t, "CLUSTER", "NODES"))
			return err == nil && isMasterIn(nodes, c.ids[i])
		}, patience, 10*pause)
	}
}

// isMasterIn tells whether CLUSTER NODES shows a node as a master that serves
// slots.
func isMasterIn(nodes, id string) bool {
	for line := range strings.SplitSeq(nodes, "\n") {
		if fields := strings.Fields(line); len(fields) > 8 && fields[0] == id {
			return strings.Contains(fields[2], "master") && !strings.Contains(fields[2], "fail")
		}
	}
	return false
}
