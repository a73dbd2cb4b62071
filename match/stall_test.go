//go:build !race

package match_test

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
	"github.com/stretchr/testify/require"
)

// allocated returns the bytes that have been taken from the heap so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func inUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestManyKeysStallNobodyAndAreGivenBack has every query ask for a key of its
// own. What one Add copies is at most what it allocates.
func TestManyKeysStallNobodyAndAreGivenBack(t *testing.T) {
	for name, text := range map[string]string{
		"equality": "k%d = 'x'", "range": "k%d > 5", "hot": "a = 'x' AND k%d EXISTS", "contains": "k%d CONTAINS 'some text'",
	} {
		t.Run(name, func(t *testing.T) {
			const n = 50_000
			queries := make([]*query.Query, n)
			for i := range queries {
				queries[i] = query.MustParse(fmt.Sprintf(text, i))
			}
			ids := make([]match.ID, n)
			x := match.New[int]()
			x.Add(query.All, -1)
			before, empty := inUse(), x.Stats().Bytes
			most, moved := uint64(0), uint64(0)
			for i, q := range queries {
				begin, stats := allocated(), x.Stats()
				ids[i] = x.Add(q, i)
				most, moved = max(most, allocated()-begin), max(moved, x.Stats().Moved-stats.Moved)
			}
			t.Logf("one Add allocates at most %d bytes and moves %d entries; %d bytes a query", most, moved, (inUse()-before)/n)
			require.LessOrEqual(t, most, uint64(512<<10))
			require.LessOrEqual(t, moved, uint64(mostMoved))

			for i, id := range ids { // all but a few
				if i%1000 != 0 {
					require.True(t, x.Remove(id))
				}
			}
			for i, id := range ids {
				if i%1000 == 0 {
					require.True(t, x.Remove(id))
				}
			}
			left := inUse() - before
			t.Logf("%d bytes are left, %d of them known", left, x.Stats().Bytes-empty)
			require.LessOrEqual(t, left, 512<<10)
			runtime.KeepAlive(queries)
			runtime.KeepAlive(x)
		})
	}
}
