package wire

import (
	"encoding/json"

	abci "github.com/cometbft/cometbft/abci/types"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	"github.com/cometbft/cometbft/types"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

// CometBFTEncoding is what CometBFT v1.0.1 does for each subscriber of an
// event before anything is written: it encodes the event.
var CometBFTEncoding = trial.Contender{Name: "CometBFT, encoding alone", Sample: func(int) (float64, error) {
	const n = 2000
	before := processorTime()
	for range n {
		if _, err := json.Marshal(rpctypes.NewRPCSuccessResponse(rpctypes.JSONRPCIntID(1), cometEvent)); err != nil {
			return 0, err
		}
	}
	return float64(processorTime()-before) / n, nil
}}

var cometEvent = &coretypes.ResultEvent{
	Query: oneQuery,
	Data: types.EventDataTx{TxResult: abci.TxResult{Height: 13, Tx: []byte("tx-13"), Result: abci.ExecTxResult{Log: "ok", GasUsed: 7, Events: []abci.Event{{
		Type: "transfer", Attributes: []abci.EventAttribute{{Key: "sender", Value: "alice", Index: true}, {Key: "amount", Value: "13", Index: true}},
	}}}}},
	Events: events,
}
