package wire

import (
	"encoding/json"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	"github.com/cometbft/cometbft/types"
)

// CometBFTEncoding returns the processor time in which CometBFT v1.0.1 encodes
// one event for one subscriber: it does so for each of them.
func CometBFTEncoding(rounds int) (Cost, error) {
	event := &coretypes.ResultEvent{
		Query: "tm.event = 'Tx'",
		Data: types.EventDataTx{TxResult: abci.TxResult{Height: 13, Tx: []byte("tx-13"), Result: abci.ExecTxResult{Log: "ok", GasUsed: 7, Events: []abci.Event{{
			Type: "transfer", Attributes: []abci.EventAttribute{{Key: "sender", Value: "alice", Index: true}, {Key: "amount", Value: "13", Index: true}},
		}}}}},
		Events: events(),
	}
	const n = 2000
	best := time.Hour
	for range rounds {
		before := processorTime()
		for range n {
			if _, err := json.Marshal(rpctypes.NewRPCSuccessResponse(rpctypes.JSONRPCIntID(1), event)); err != nil {
				return Cost{}, err
			}
		}
		best = min(best, (processorTime()-before)/n)
	}
	return Cost{"CometBFT, encoding alone", best, best}, nil
}
