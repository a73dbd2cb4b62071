package sim

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"
)

// A Vote is a validator's precommit for a block.
type Vote struct {
	Height    int64  `json:"height,string"`
	Round     int    `json:"round"`
	Validator string `json:"validator"`
	Power     int64  `json:"power,string"`
}

// A Block is the head of a block.
type Block struct {
	Height   int64     `json:"height,string"`
	Time     time.Time `json:"time"`
	Hash     string    `json:"hash"` // 64 upper-case hexadecimal digits
	Proposer string    `json:"proposer"`
	Txs      int       `json:"txs"`
}

// One in so many votes of a validator is missing.
const missingVotes = 100

// vote tells the votes for this height and returns who did not vote.
func (c *Chain) vote() (missing []*validator) {
	height := strconv.FormatInt(c.height, 10)
	for i := range c.validators {
		v := &c.validators[i]
		if c.random.IntN(missingVotes) == 0 {
			v.missed++
			missing = append(missing, v)
			continue
		}
		c.tell(Vote{Height: c.height, Validator: v.operator, Power: v.power}, map[string][]string{
			"tm.event":       {"Vote"},
			"vote.type":      {"precommit"},
			"vote.height":    {height},
			"vote.round":     {"0"},
			"vote.validator": {v.operator},
			"vote.power":     {amount(v.power)},
		})
	}
	return missing
}

// newBlock tells the block of this height: coins are minted, and what the fee
// collector has goes to the validators.
func (c *Chain) newBlock(txs int, missing []*validator) {
	height := strconv.FormatInt(c.height, 10)
	minted := c.ownCoin(4_000_000, 5_000_000)
	proposer := c.validators[int(c.height)%len(c.validators)]
	events := map[string][]string{
		"tm.event":               {"NewBlock"},
		"block.height":           {height},
		"block.time":             {c.at.Format(time.RFC3339Nano)},
		"block.proposer":         {proposer.operator},
		"block.num_txs":          {strconv.Itoa(txs)},
		"coinbase.minter":        {minter},
		"coinbase.amount":        {minted},
		"mint.bonded_ratio":      {c.ratio(6)},
		"mint.inflation":         {c.ratio(1)},
		"mint.amount":            {minted[:len(minted)-len(stake)]},
		"transfer.sender":        {minter},
		"transfer.recipient":     {feeCollector},
		"transfer.amount":        {minted},
		"proposer_reward.amount": {c.ownCoin(100_000, 200_000)},
	}
	for i := range c.validators {
		v := &c.validators[i]
		add(events, "rewards.validator", v.operator)
		add(events, "rewards.amount", c.fraction(v.power))
		add(events, "commission.validator", v.operator)
		add(events, "commission.amount", c.fraction(v.power/10+1))
	}
	for _, v := range missing {
		add(events, "liveness.address", v.consensus)
		add(events, "liveness.missed_blocks", strconv.Itoa(v.missed))
		add(events, "liveness.height", height)
	}
	hash := c.hash("block", c.height, 0)
	c.tell(Block{Height: c.height, Time: c.at, Hash: hash, Proposer: proposer.operator, Txs: txs}, events)
}

// fraction draws an amount with the 18 decimals that rewards are kept in.
func (c *Chain) fraction(scale int64) string {
	return fmt.Sprintf("%d.%018d%s", scale*(900+c.random.Int64N(200)), c.random.Int64N(1e18), stake)
}

// ratio draws a number that starts with the given tenths.
func (c *Chain) ratio(tenths int) string {
	return fmt.Sprintf("0.%d%017d", tenths, c.random.Int64N(1e16))
}

// hash is what identifies a thing of this chain, as nodes print it.
func (c *Chain) hash(what string, height int64, index int) string {
	return fmt.Sprintf("%X", sha256.Sum256(fmt.Appendf(nil, "%d/%s/%d/%d", c.config.Seed, what, height, index)))
}

func add(events map[string][]string, key, value string) {
	events[key] = append(events[key], value)
}
