package store_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/store"
)

func TestBatchHasItsChangesInOrder(t *testing.T) {
	var b store.Batch
	for range 2 {
		require.True(t, b.OnlyDeletes())
		b.Delete([]byte("a"))
		require.True(t, b.OnlyDeletes())
		b.Put([]byte("a"), nil)
		b.Put([]byte("b"), []byte("value"))
		require.False(t, b.OnlyDeletes())
		var ops []store.Op
		for o := range b.All() {
			ops = append(ops, o)
		}
		require.Equal(t, []store.Op{
			{Key: []byte("a"), Delete: true},
			{Key: []byte("a"), Value: []byte{}},
			{Key: []byte("b"), Value: []byte("value")},
		}, ops)
		require.Equal(t, 3, b.Len())
		require.Equal(t, 8, b.Size())
		b.Reset()
		require.Zero(t, b.Len()+b.Size())
	}
}

func TestBatchesTakeNoMemoryAgain(t *testing.T) {
	var b store.Batch
	key, value := []byte("key"), bytes.Repeat([]byte("v"), 100)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		b.Reset()
		for range 100 {
			b.Put(key, value)
		}
		for range b.All() {
		}
	}))
}
