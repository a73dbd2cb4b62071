package match_test

import (
	"fmt"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// What the index and a batch hold of values is let go of in time: a value may be
// the whole of a subscription.

type value struct{ _ [1 << 10]byte }

func TestValueIsLetGoWithItsQuery(t *testing.T) {
	x := match.New[*value]()
	q := query.MustParse("a = 1")
	ids := make([]match.ID, 100)
	gone := make([]weak.Pointer[value], len(ids))
	for i := range ids {
		v := new(value)
		ids[i], gone[i] = x.Add(q, v), weak.Make(v)
	}
	for _, id := range ids[1:] { // the first keeps what it shares with others
		require.True(t, x.Remove(id))
	}
	runtime.GC()
	for i, v := range gone[1:] {
		require.Nil(t, v.Value(), "value %d", i+1)
	}
	require.NotNil(t, gone[0].Value())
	runtime.KeepAlive(x)
}

func TestBatchLetsGoOfWhatItFound(t *testing.T) {
	x := match.New[*value]()
	var ids []match.ID
	var gone []weak.Pointer[value]
	for i := range 20 {
		v := new(value)
		ids, gone = append(ids, x.Add(query.MustParse(fmt.Sprintf("a = %d", i%4)), v)), append(gone, weak.Make(v))
	}
	var batch match.Batch[*value]
	x.MatchBatch([]map[string][]string{{"a": {"0", "1"}}, {"a": {"2", "3"}}}, &batch)
	require.Len(t, batch.Of(0), 10)
	require.Len(t, batch.Of(1), 10)
	for _, id := range ids {
		x.Remove(id)
	}
	batch.Reset()
	require.Zero(t, batch.Len())
	runtime.GC()
	for i, v := range gone {
		require.Nil(t, v.Value(), "value %d", i)
	}
	runtime.KeepAlive(&batch)
	runtime.KeepAlive(x)
}
