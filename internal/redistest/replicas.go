package redistest

import (
	"strconv"
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
