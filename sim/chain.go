package sim

import (
	"math/rand/v2"
	"time"
)

// Config says which chain to simulate. Its zero value is a chain of the stated
// defaults.
type Config struct {
	Seed        uint64
	Start       time.Time // time of block 1; default 2024-01-01 UTC
	Accounts    int       // default 1,000
	Validators  int       // default 4
	TxsPerBlock int       // on average; default 12
}

func (c Config) withDefaults() Config {
	if c.Start.IsZero() {
		c.Start = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	c.Accounts = positive(c.Accounts, 1000)
	c.Validators = positive(c.Validators, 4)
	c.TxsPerBlock = positive(c.TxsPerBlock, 12)
	return c
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// A Publication is what a node tells its event bus at once.
type Publication struct {
	Data   any                 // Vote, Block or Tx
	Events map[string][]string // the receiver's own
}

// A Chain makes one publication after the other. It is for one goroutine at a
// time.
type Chain struct {
	config     Config
	random     *rand.Rand
	accounts   []string
	validators []validator
	sequences  []uint64 // per account: transactions sent
	proposals  uint64   // opened so far

	height int64
	at     time.Time     // of the block of this height
	block  []Publication // of this height, in order
	told   int           // of block
}

// New returns the chain of a Config, before its first block.
func New(c Config) *Chain {
	c = c.withDefaults()
	random := rand.New(rand.NewPCG(c.Seed, 0x68_61_72_6b))
	chain := &Chain{
		config:    c,
		random:    random,
		accounts:  make([]string, c.Accounts),
		sequences: make([]uint64, c.Accounts),
		at:        c.Start,
	}
	for i := range chain.accounts {
		chain.accounts[i] = chain.address("cosmos", accountLength)
	}
	for range c.Validators {
		chain.validators = append(chain.validators, chain.newValidator())
	}
	return chain
}

// Account returns the address of an account; i counts from 0, the busiest, and
// wraps around.
func (c *Chain) Account(i int) string { return c.accounts[i%len(c.accounts)] }

// Height returns the height that is being told, 0 before the first.
func (c *Chain) Height() int64 { return c.height }

// Next returns the next publication. There is always one.
func (c *Chain) Next() Publication {
	for c.told == len(c.block) {
		c.nextBlock()
	}
	p := c.block[c.told]
	c.block[c.told] = Publication{} // the receiver's alone
	c.told++
	return p
}

// nextBlock makes what is told of the next height.
func (c *Chain) nextBlock() {
	c.block, c.told = c.block[:0], 0
	if c.height++; c.height > 1 {
		c.at = c.at.Add(5*time.Second + time.Duration(c.random.Int64N(int64(2*time.Second))))
	}
	missing := c.vote()
	txs := c.config.TxsPerBlock/2 + c.random.IntN(c.config.TxsPerBlock+1)
	c.newBlock(txs, missing)
	for i := range txs {
		c.newTx(i)
	}
}

func (c *Chain) tell(data any, events map[string][]string) {
	c.block = append(c.block, Publication{Data: data, Events: events})
}
