package redistest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

const slotCount = 16384

// A Cluster is a number of masters that share the slots evenly, without
// replicas. Its methods may be called from any goroutine.
type Cluster struct {
	Nodes    []*Server
	Replicas []*Server // of the nodes, in their order; see StartReplicatedCluster
	ids      []string  // of the nodes, in their order
}

// StartCluster starts a cluster of n masters. It takes about two seconds.
func StartCluster(t testing.TB, n int, directives ...string) *Cluster {
	t.Helper()
	c, err := NewCluster(n, directives...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// NewCluster is StartCluster for a TestMain. The caller closes the cluster.
func NewCluster(n int, directives ...string) (*Cluster, error) {
	c := &Cluster{}
	for range n {
		node, err := NewServer(append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no"}, directives...)...)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
	}
	if err := c.form(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// form deals out the slots and introduces every node to every other. Distinct
// configuration epochs spare the nodes the collisions that would resolve one
// per gossip round.
func (c *Cluster) form() error {
	n := len(c.Nodes)
	for i, node := range c.Nodes {
		for _, command := range [][]string{
			{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(slotCount * i / n), strconv.Itoa(slotCount*(i+1)/n - 1)},
			{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)},
		} {
			if _, err := node.run(command...); err != nil {
				return err
			}
		}
	}
	for _, node := range c.Nodes {
		for _, other := range c.Nodes {
			if node == other {
				continue
			}
			if _, err := node.run("CLUSTER", "MEET", host, strconv.Itoa(other.Port)); err != nil {
				return err
			}
		}
	}
	for _, node := range c.Nodes {
		if err := c.awaitOK(node); err != nil {
			return err
		}
		id, err := node.run("CLUSTER", "MYID")
		if err != nil {
			return err
		}
		name, err := text(id)
		if err != nil {
			return err
		}
		c.ids = append(c.ids, name)
	}
	return nil
}

// awaitOK waits until node has met all others and sees every slot served.
func (c *Cluster) awaitOK(node *Server) error {
	var info string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * pause) {
		result, err := node.run("CLUSTER", "INFO")
		if err != nil {
			return err
		}
		if info, err = text(result); err != nil {
			return err
		}
		if hasLines(info, "cluster_state:ok", fmt.Sprintf("cluster_slots_ok:%d", slotCount),
			fmt.Sprintf("cluster_known_nodes:%d", len(c.Nodes)), fmt.Sprintf("cluster_size:%d", len(c.Nodes))) {
			return nil
		}
	}
	return fmt.Errorf("redistest: cluster node %s not ready:\n%s", node.Addr, info)
}

func hasLines(text string, lines ...string) bool {
	for _, line := range lines {
		if !strings.Contains(text, line+"\r\n") {
			return false
		}
	}
	return true
}

// Option returns what reaches the cluster through all of its nodes.
func (c *Cluster) Option() rueidis.ClientOption {
	option := c.Nodes[0].Option()
	option.ForceSingleClient = false
	option.InitAddress = nil
	for _, node := range c.Nodes {
		option.InitAddress = append(option.InitAddress, node.Addr)
	}
	return option
}

// Client returns a new cluster client, closed with the test.
func (c *Cluster) Client(t testing.TB) rueidis.Client {
	t.Helper()
	return newClient(t, c.Option())
}

// Slot returns the slot of a key or sharded channel, as the servers see it.
func (c *Cluster) Slot(t testing.TB, key string) int {
	t.Helper()
	slot, err := c.SlotOf(key)
	require.NoError(t, err)
	return slot
}

// SlotOf is Slot for programs that are no tests.
func (c *Cluster) SlotOf(key string) (int, error) {
	result, err := c.Nodes[0].run("CLUSTER", "KEYSLOT", key)
	if err != nil {
		return 0, err
	}
	slot, err := result.AsInt64()
	return int(slot), err
}

// Owner returns the index of the node that serves a slot.
func (c *Cluster) Owner(t testing.TB, slot int) int {
	t.Helper()
	owner, err := c.OwnerOf(slot)
	require.NoError(t, err)
	return owner
}

// OwnerOf is Owner for programs that are no tests.
func (c *Cluster) OwnerOf(slot int) (int, error) {
	owner, _, err := c.owner(c.Nodes[0], slot)
	return owner, err
}

// owner asks one node for the owner of a slot and the configuration epoch of
// that.
func (c *Cluster) owner(asked *Server, slot int) (owner int, epoch string, err error) {
	result, err := asked.run("CLUSTER", "NODES")
	if err != nil {
		return 0, "", err
	}
	nodes, err := text(result)
	if err != nil {
		return 0, "", err
	}
	for line := range strings.SplitSeq(nodes, "\n") {
		// id addr flags master ping pong epoch link slot…
		if fields := strings.Fields(line); len(fields) > 8 && serves(fields[8:], slot) {
			owner, err := c.index(fields[0])
			return owner, fields[6], err
		}
	}
	return 0, "", fmt.Errorf("redistest: no node serves slot %d:\n%s", slot, nodes)
}

// serves reads the slot ranges of a line of CLUSTER NODES.
func serves(ranges []string, slot int) bool {
	for _, r := range ranges {
		first, last, isRange := strings.Cut(r, "-")
		if !isRange {
			last = first
		}
		low, errLow := strconv.Atoi(first)
		high, errHigh := strconv.Atoi(last)
		if errors.Join(errLow, errHigh) == nil && low <= slot && slot <= high {
			return true
		}
	}
	return false
}

func (c *Cluster) index(id string) (int, error) {
	for i := range c.ids {
		if c.ids[i] == id {
			return i, nil
		}
	}
	return 0, fmt.Errorf("redistest: unknown node %s", id)
}

// MoveSlot gives a slot, which must hold no key, to the node with index to, and
// returns when every node knows.
func (c *Cluster) MoveSlot(t testing.TB, slot, to int) {
	t.Helper()
	require.NoError(t, c.Move(slot, to))
}

// Move is MoveSlot for programs that are no tests.
func (c *Cluster) Move(slot, to int) error {
	from, err := c.OwnerOf(slot)
	if err != nil {
		return err
	}
	number := strconv.Itoa(slot)
	_, importing := c.Nodes[to].run("CLUSTER", "SETSLOT", number, "IMPORTING", c.ids[from])
	_, migrating := c.Nodes[from].run("CLUSTER", "SETSLOT", number, "MIGRATING", c.ids[to])
	if err := errors.Join(importing, migrating); err != nil {
		return err
	}
	order := []*Server{c.Nodes[to], c.Nodes[from]} // the new owner first: it must not refuse what the old one redirects
	for i, node := range c.Nodes {
		if i != to && i != from {
			order = append(order, node)
		}
	}
	for _, node := range order {
		if _, err := node.run("CLUSTER", "SETSLOT", number, "NODE", c.ids[to]); err != nil {
			return err
		}
	}
	return c.awaitMoved(slot, to)
}

// awaitMoved waits until all nodes know the new owner of a slot, replicas too:
// one that took over without would leave the slot with its old master. They must know
// the epoch as well: a node that has not heard of the latest would not outbid
// it when it gets the slot in turn, and lose it again.
func (c *Cluster) awaitMoved(slot, to int) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		_, epoch, err := c.owner(c.Nodes[to], slot)
		if err == nil && !slices.ContainsFunc(slices.Concat(c.Nodes, c.Replicas), func(node *Server) bool {
			o, e, err := c.owner(node, slot)
			return err != nil || o != to || e != epoch
		}) {
			return nil
		}
	}
	return fmt.Errorf("redistest: not every node knows that slot %d moved", slot)
}

// Close ends all nodes.
func (c *Cluster) Close() {
	for _, node := range append(slices.Clone(c.Nodes), c.Replicas...) { // they may have changed places
		node.Close()
	}
}
