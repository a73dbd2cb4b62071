package redistest

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// MigrateSlot gives a slot with all its keys to the node with index to, as an
// operator does: key by key while clients go on, and returns when every node
// knows.
func (c *Cluster) MigrateSlot(t testing.TB, slot, to int) {
	t.Helper()
	from := c.Owner(t, slot)
	number := strconv.Itoa(slot)
	c.Nodes[to].Do(t, "CLUSTER", "SETSLOT", number, "IMPORTING", c.ids[from])
	c.Nodes[from].Do(t, "CLUSTER", "SETSLOT", number, "MIGRATING", c.ids[to])
	for {
		keys, err := c.Nodes[from].Do(t, "CLUSTER", "GETKEYSINSLOT", number, "100").AsStrSlice()
		require.NoError(t, err)
		if len(keys) == 0 {
			break
		}
		c.Nodes[from].Do(t, append([]string{"MIGRATE", host, strconv.Itoa(c.Nodes[to].Port), "", "0", "5000", "KEYS"}, keys...)...)
	}
	c.MoveSlot(t, slot, to)
}
