package sim

import "strconv"

// What an address is made of: bech32 letters, without a valid checksum, so
// that no address of the simulation is one of a real chain.
const (
	letters       = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	accountLength = 38
)

// Accounts of the chain itself.
const (
	minter       = "cosmos1mintermintermintermintermintermint"
	feeCollector = "cosmos1feesfeesfeesfeesfeesfeesfeesfeesfe"
	pool         = "cosmos1p00lp00lp00lp00lp00lp00lp00lp00lp0"
	escrow       = "cosmos1escrwescrwescrwescrwescrwescrwescr"
)

// address draws an address: a human-readable prefix, 1, and letters.
func (c *Chain) address(prefix string, length int) string {
	b := append(make([]byte, 0, len(prefix)+1+length), prefix...)
	b = append(b, '1')
	for range length {
		b = append(b, letters[c.random.IntN(len(letters))])
	}
	return string(b)
}

// someone draws the number of an account, low ones more often: of 1,000, the
// first does one transaction in thirty. It needs no floating point, which
// differs between machines.
func (c *Chain) someone() int {
	n := len(c.accounts)
	for range 3 {
		n = 1 + c.random.IntN(n)
	}
	return n - 1
}

// A validator signs blocks and earns part of what is minted.
type validator struct {
	operator  string // cosmosvaloper1…
	consensus string // cosmosvalcons1…
	power     int64
	missed    int // votes, so far
}

func (c *Chain) newValidator() validator {
	return validator{
		operator:  c.address("cosmosvaloper", accountLength),
		consensus: c.address("cosmosvalcons", accountLength),
		power:     100 + c.random.Int64N(900),
	}
}

// denominations that coins are drawn from; the first is the chain's own, and
// twice as frequent as any other.
var denominations = []string{
	stake, stake, "uosmo", "ujuno",
	"ibc/F663521BF1836B00F5F177680F74BFB9A8B5654A694D0D2BC249E03CF2509013",
}

const stake = "uatom"

// coin draws an amount of one to nine digits of some denomination.
func (c *Chain) coin() string {
	least := int64(1)
	for range c.random.IntN(9) {
		least *= 10
	}
	return amount(least+c.random.Int64N(9*least)) + denominations[c.random.IntN(len(denominations))]
}

// ownCoin is an amount of the chain's own denomination, from least to most.
func (c *Chain) ownCoin(least, most int64) string {
	return amount(least+c.random.Int64N(most-least)) + stake
}

func amount(n int64) string { return strconv.FormatInt(n, 10) }
