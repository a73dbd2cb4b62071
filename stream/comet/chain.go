// Package comet simulates a chain that speaks CometBFT's JSON: data that typed
// clients, in Go or JavaScript, decode.
//
//	chain := comet.New("hark-1", 1)
//	for _, p := range chain.Next() { // NewBlock, NewBlockHeader, Tx
//		err := server.PublishWithEvents(ctx, p.Data, p.Events)
//	}
//
// Heights begin at 1 and rise by one; each has one transaction. What happens
// in it comes from package sim. The same seed gives the same chain, but for the
// time of its blocks. A Chain is for one goroutine at a time, but for Status.
// [NodeStatus] is what a node answers to the method status.
package comet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/harkbus/pubsub/sim"
)

// A Publication is what a node tells its event bus at once.
type Publication struct {
	Data   any // NewBlock, NewBlockHeader or Tx
	Events map[string][]string
}

// A Chain makes one block after the other.
type Chain struct {
	id     string
	source *sim.Chain
	block  NewBlock // the last one

	mu     sync.Mutex
	status NodeStatus
}

// New returns a chain before its first block.
func New(id string, seed uint64) *Chain {
	c := &Chain{id: id, source: sim.New(sim.Config{Seed: seed})}
	c.status = NewNodeStatus(id, "tcp://127.0.0.1:26656")
	return c
}

// Next makes the next block and returns what a node would tell of it: the
// block, its header, its transaction.
func (c *Chain) Next() []Publication {
	tx, events := c.nextTx()
	height := c.block.Block.Header.Height + 1
	tx.TxResult.Height = height
	tx.TxResult.Tx = fmt.Appendf(nil, "tx-%d", height)
	number := []string{strconv.FormatInt(height, 10)}
	events["tx.height"] = number
	events["tx.hash"] = []string{digest(tx.TxResult.Tx)}
	tx.TxResult.Result.Events = applicationEvents(events)

	c.block = c.nextBlock(height, tx.TxResult)
	c.setStatus(c.block.Block.Header)
	return []Publication{
		{c.block, map[string][]string{"tm.event": {"NewBlock"}, "block.height": number}},
		{NewBlockHeader{c.block.Block.Header}, map[string][]string{"tm.event": {"NewBlockHeader"}, "block.height": number}},
		{tx, events},
	}
}

// nextTx returns a transaction of the simulation.
func (c *Chain) nextTx() (Tx, map[string][]string) {
	for {
		p := c.source.Next()
		if done, ok := p.Data.(sim.Tx); ok {
			result := Result{Code: done.Code, Log: "ok", GasWanted: done.GasUsed + 10_000, GasUsed: done.GasUsed}
			if done.Code != 0 {
				result.Log = "insufficient funds"
			}
			return Tx{TxResult{Result: result}}, p.Events
		}
	}
}

func (c *Chain) nextBlock(height int64, tx TxResult) NewBlock {
	at := time.Now().UTC()
	last := LastCommit{BlockID: BlockID{}, Signatures: []CommitSignature{}}
	header := Header{
		Version:            Version{Block: 11, App: 1},
		ChainID:            c.id,
		Height:             height,
		Time:               at,
		LastCommitHash:     c.hash("commit", height),
		DataHash:           digest(tx.Tx),
		ValidatorsHash:     c.hash("validators", 0),
		NextValidatorsHash: c.hash("validators", 0),
		ConsensusHash:      c.hash("consensus", 0),
		AppHash:            c.hash("app", height),
		LastResultsHash:    c.hash("results", height-1),
		EvidenceHash:       digest(nil),
		ProposerAddress:    c.status.ValidatorInfo.Address,
	}
	if height > 1 {
		header.LastBlockID = c.block.BlockID
		last = c.commit(height-1, at)
	}
	app, err := hex.DecodeString(header.AppHash)
	if err != nil {
		panic(err) // it is a hash
	}
	id := BlockID{Hash: c.hash("block", height), Parts: Parts{Total: 1, Hash: c.hash("parts", height)}}
	return NewBlock{
		Block:               Block{Header: header, Data: Txs{[][]byte{tx.Tx}}, Evidence: Evidence{[]struct{}{}}, LastCommit: last},
		BlockID:             id,
		ResultFinalizeBlock: ResultFinalizeBlock{Events: []Event{}, TxResults: []Result{tx.Result}, AppHash: app},
	}
}

// commit returns the signature of the block before.
func (c *Chain) commit(height int64, at time.Time) LastCommit {
	half := sha256.Sum256([]byte(c.hash("signature", height)))
	return LastCommit{Height: height, BlockID: c.block.BlockID, Signatures: []CommitSignature{{
		BlockIDFlag: 2, ValidatorAddress: c.status.ValidatorInfo.Address, Timestamp: at, Signature: append(half[:], half[:]...),
	}}}
}

// hash stands for a hash of something of this chain.
func (c *Chain) hash(what string, height int64) string {
	return digest(fmt.Appendf(nil, "%s/%s/%d", c.id, what, height))
}

func digest(b []byte) string { return fmt.Sprintf("%X", sha256.Sum256(b)) }

// applicationEvents returns the events as an application emits them: those of
// one type together, the first values of its attributes first.
func applicationEvents(events map[string][]string) []Event {
	byType := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(events)) {
		typ, attribute, _ := strings.Cut(key, ".")
		if typ != "tm" && typ != "tx" {
			byType[typ] = append(byType[typ], attribute)
		}
	}
	list := []Event{}
	for _, typ := range slices.Sorted(maps.Keys(byType)) {
		for i, more := 0, true; more; i++ {
			e := Event{Type: typ}
			more = false
			for _, attribute := range byType[typ] {
				if values := events[typ+"."+attribute]; i < len(values) {
					e.Attributes = append(e.Attributes, Attribute{attribute, values[i], true})
					more = true
				}
			}
			if more {
				list = append(list, e)
			}
		}
	}
	return list
}

func (c *Chain) setStatus(h Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.status.SyncInfo
	s.LatestBlockHash, s.LatestAppHash = c.block.BlockID.Hash, h.AppHash
	s.LatestBlockHeight, s.LatestBlockTime = strconv.FormatInt(h.Height, 10), h.Time
	if h.Height == 1 {
		s.EarliestBlockHash, s.EarliestAppHash = s.LatestBlockHash, s.LatestAppHash
		s.EarliestBlockHeight, s.EarliestBlockTime = s.LatestBlockHeight, s.LatestBlockTime
	}
}

// Status returns the status of the node that tells of this chain. It may be
// called from any goroutine.
func (c *Chain) Status() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}
