package comet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// names is a registry.
type names map[reflect.Type]string

func (n names) Register(name string, example any) { n[reflect.TypeOf(example)] = name }

// The nested module interop/ has real clients decode it; here is what it says.
func TestHeightsHaveNoGapAndOneTransactionEach(t *testing.T) {
	registry := names{}
	Register(registry)
	chain := New("test-1", 7)
	for height := int64(1); height <= 200; height++ {
		all := chain.Next()
		require.Len(t, all, 3)
		block, header, tx := all[0].Data.(NewBlock), all[1].Data.(NewBlockHeader), all[2].Data.(Tx)
		require.Equal(t, height, block.Block.Header.Height)
		require.Equal(t, block.Block.Header, header.Header)
		require.Equal(t, height, tx.TxResult.Height)
		require.Equal(t, []string{fmt.Sprint(height)}, all[2].Events["tx.height"])
		require.NotEmpty(t, all[2].Events["transfer.amount"])
		require.Equal(t, []string{digest(tx.TxResult.Tx)}, all[2].Events["tx.hash"])
		require.Equal(t, height > 1, block.Block.Header.LastBlockID.Hash != "")
		for _, e := range tx.TxResult.Result.Events {
			require.NotEmpty(t, e.Attributes)
		}
		for i, name := range []string{TypeNewBlock, TypeNewBlockHeader, TypeTx} {
			require.Equal(t, name, registry[reflect.TypeOf(all[i].Data)])
			_, err := json.Marshal(all[i].Data)
			require.NoError(t, err)
		}
	}
	require.Equal(t, "200", chain.Status().(NodeStatus).SyncInfo.LatestBlockHeight)
	require.Equal(t, "1", chain.Status().(NodeStatus).SyncInfo.EarliestBlockHeight)
}

func TestTheSameSeedGivesTheSameTransactions(t *testing.T) {
	a, b := New("test-1", 7), New("test-1", 7)
	for range 50 {
		x, y := a.Next(), b.Next()
		require.Equal(t, x[2], y[2])
		require.Equal(t, x[0].Data.(NewBlock).BlockID, y[0].Data.(NewBlock).BlockID)
	}
}
