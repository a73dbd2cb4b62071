package comet

import "time"

// Names of the types of data, as CometBFT's clients know them.
const (
	TypeTx             = "tendermint/event/Tx"
	TypeNewBlock       = "tendermint/event/NewBlock"
	TypeNewBlockHeader = "tendermint/event/NewBlockHeader"
)

// Register names the types of this package in a registry, such as a
// stream.Registry.
func Register(r interface {
	Register(name string, example any)
}) {
	r.Register(TypeTx, Tx{})
	r.Register(TypeNewBlock, NewBlock{})
	r.Register(TypeNewBlockHeader, NewBlockHeader{})
}

// A Tx is the data of a transaction's event.
type Tx struct {
	TxResult TxResult `json:"TxResult"`
}

// A TxResult is what a transaction did.
type TxResult struct {
	Height int64  `json:"height,string"`
	Index  int    `json:"index,omitempty"`
	Tx     []byte `json:"tx"`
	Result Result `json:"result"`
}

// A Result is what executing a transaction gave.
type Result struct {
	Code      int     `json:"code,omitempty"` // 0: it succeeded
	Log       string  `json:"log"`
	GasWanted int64   `json:"gas_wanted,string"`
	GasUsed   int64   `json:"gas_used,string"`
	Events    []Event `json:"events"`
}

// An Event is one that an application emitted.
type Event struct {
	Type       string      `json:"type"`
	Attributes []Attribute `json:"attributes"`
}

// An Attribute is a key with its value.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Index bool   `json:"index"`
}

// NewBlock is the data of a block's event.
type NewBlock struct {
	Block               Block               `json:"block"`
	BlockID             BlockID             `json:"block_id"`
	ResultFinalizeBlock ResultFinalizeBlock `json:"result_finalize_block"`
}

// NewBlockHeader is the data of a header's event.
type NewBlockHeader struct {
	Header Header `json:"header"`
}

// A Block has the transactions of a height.
type Block struct {
	Header     Header     `json:"header"`
	Data       Txs        `json:"data"`
	Evidence   Evidence   `json:"evidence"`
	LastCommit LastCommit `json:"last_commit"`
}

// Txs are transactions.
type Txs struct {
	Txs [][]byte `json:"txs"`
}

// Evidence of misbehaviour; there is none here.
type Evidence struct {
	Evidence []struct{} `json:"evidence"`
}

// ResultFinalizeBlock is what executing a block gave.
type ResultFinalizeBlock struct {
	Events    []Event  `json:"events"`
	TxResults []Result `json:"tx_results"`
	AppHash   []byte   `json:"app_hash"`
}

// A Header is the head of a block. Hashes are upper-case hexadecimal.
type Header struct {
	Version            Version   `json:"version"`
	ChainID            string    `json:"chain_id"`
	Height             int64     `json:"height,string"`
	Time               time.Time `json:"time"`
	LastBlockID        BlockID   `json:"last_block_id"`
	LastCommitHash     string    `json:"last_commit_hash"`
	DataHash           string    `json:"data_hash"`
	ValidatorsHash     string    `json:"validators_hash"`
	NextValidatorsHash string    `json:"next_validators_hash"`
	ConsensusHash      string    `json:"consensus_hash"`
	AppHash            string    `json:"app_hash"`
	LastResultsHash    string    `json:"last_results_hash"`
	EvidenceHash       string    `json:"evidence_hash"`
	ProposerAddress    string    `json:"proposer_address"` // 40 digits, not 64
}

// Version is that of the block protocol and of the application.
type Version struct {
	Block uint64 `json:"block,string"`
	App   uint64 `json:"app,string"`
}

// A BlockID names a block; it is empty before height 2.
type BlockID struct {
	Hash  string `json:"hash"`
	Parts Parts  `json:"parts"`
}

// Parts are what a block is sent in.
type Parts struct {
	Total int    `json:"total"`
	Hash  string `json:"hash"`
}

// LastCommit has the signatures of the block before.
type LastCommit struct {
	Height     int64             `json:"height,string"`
	Round      int               `json:"round"`
	BlockID    BlockID           `json:"block_id"`
	Signatures []CommitSignature `json:"signatures"`
}

// A CommitSignature is one validator's.
type CommitSignature struct {
	BlockIDFlag      int       `json:"block_id_flag"` // 2: for the block
	ValidatorAddress string    `json:"validator_address"`
	Timestamp        time.Time `json:"timestamp"`
	Signature        []byte    `json:"signature"` // 64 bytes
}
