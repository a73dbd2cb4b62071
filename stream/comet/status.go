package comet

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// NodeStatus is the result of the status method, in the shape of CometBFT's:
// its clients refuse one with a field missing or empty.
type NodeStatus struct {
	NodeInfo      NodeInfo      `json:"node_info"`
	SyncInfo      SyncInfo      `json:"sync_info"`
	ValidatorInfo ValidatorInfo `json:"validator_info"`
}

// NodeInfo says what a node is.
type NodeInfo struct {
	ProtocolVersion ProtocolVersion `json:"protocol_version"`
	ID              string          `json:"id"` // 40 hexadecimal digits
	ListenAddr      string          `json:"listen_addr"`
	Network         string          `json:"network"`
	Version         string          `json:"version"`
	Channels        string          `json:"channels"` // hexadecimal
	Moniker         string          `json:"moniker"`
	Other           NodeInfoOther   `json:"other"`
}

// ProtocolVersion has numbers as strings.
type ProtocolVersion struct {
	P2P   string `json:"p2p"`
	Block string `json:"block"`
	App   string `json:"app"`
}

// NodeInfoOther says what else there is to know.
type NodeInfoOther struct {
	TxIndex    string `json:"tx_index"`
	RPCAddress string `json:"rpc_address"`
}

// SyncInfo says how far a node is.
type SyncInfo struct {
	LatestBlockHash     string    `json:"latest_block_hash"`
	LatestAppHash       string    `json:"latest_app_hash"`
	LatestBlockHeight   string    `json:"latest_block_height"`
	LatestBlockTime     time.Time `json:"latest_block_time"`
	EarliestBlockHash   string    `json:"earliest_block_hash"`
	EarliestAppHash     string    `json:"earliest_app_hash"`
	EarliestBlockHeight string    `json:"earliest_block_height"`
	EarliestBlockTime   time.Time `json:"earliest_block_time"`
	CatchingUp          bool      `json:"catching_up"`
}

// ValidatorInfo says who signs.
type ValidatorInfo struct {
	Address     string `json:"address"`
	PubKey      PubKey `json:"pub_key"`
	VotingPower string `json:"voting_power"`
}

// PubKey is a key with its type.
type PubKey struct {
	Type  string `json:"type"`
	Value string `json:"value"` // base64
}

// NewNodeStatus returns the status of a node of a network that has no block
// yet. What is not known is made up from the name, so that no field is empty.
func NewNodeStatus(network, listenAddr string) NodeStatus {
	seed := sha256.Sum256([]byte(network))
	hash := fmt.Sprintf("%X", seed)
	start := time.Unix(0, 0).UTC()
	return NodeStatus{
		NodeInfo: NodeInfo{
			ProtocolVersion: ProtocolVersion{P2P: "9", Block: "11", App: "1"},
			ID:              fmt.Sprintf("%x", seed[:20]),
			ListenAddr:      listenAddr,
			Network:         network,
			Version:         "1.0.1",
			Channels:        "40202122233038606100",
			Moniker:         "hark",
			Other:           NodeInfoOther{TxIndex: "off", RPCAddress: listenAddr},
		},
		SyncInfo: SyncInfo{
			LatestBlockHash: hash, LatestAppHash: hash, LatestBlockHeight: "1", LatestBlockTime: start,
			EarliestBlockHash: hash, EarliestAppHash: hash, EarliestBlockHeight: "1", EarliestBlockTime: start,
		},
		ValidatorInfo: ValidatorInfo{
			Address:     fmt.Sprintf("%X", seed[:20]),
			PubKey:      PubKey{Type: "tendermint/PubKeyEd25519", Value: base64.StdEncoding.EncodeToString(seed[:])},
			VotingPower: "10",
		},
	}
}
