package sim_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/sim"
)

func take(c *sim.Chain, n int) []sim.Publication {
	publications := make([]sim.Publication, n)
	for i := range publications {
		publications[i] = c.Next()
	}
	return publications
}

func TestTheSameSeedTellsTheSameChain(t *testing.T) {
	a := take(sim.New(sim.Config{Seed: 7}), 5000)
	require.Equal(t, a, take(sim.New(sim.Config{Seed: 7}), 5000))
	require.NotEqual(t, a, take(sim.New(sim.Config{Seed: 8}), 5000))
}

// What others measured on a seed stays true: a change of this digest changes
// every simulated chain, and belongs into the changelog.
func TestTheChainOfASeedStays(t *testing.T) {
	hash := sha256.New()
	require.NoError(t, json.NewEncoder(hash).Encode(take(sim.New(sim.Config{Seed: 1}), 2000)))
	require.Equal(t, "f02453c3f1b2191491960bb564eb22926435a886160b19d85ddfb9e92488d175", hex.EncodeToString(hash.Sum(nil)))
}

func TestHeightsHaveNoGapAndTellVotesThenBlockThenTxs(t *testing.T) {
	const (
		votes = iota
		block
		txs
	)
	height, phase, remaining := int64(0), txs, 0
	var at time.Time
	for _, p := range take(sim.New(sim.Config{Seed: 3}), 20_000) {
		switch data := p.Data.(type) {
		case sim.Vote:
			if phase == txs {
				require.Zero(t, remaining, "a transaction of height %d is missing", height)
				height, phase = height+1, votes
			}
			require.Equal(t, votes, phase)
			require.Equal(t, height, data.Height)
		case sim.Block:
			require.Equal(t, votes, phase)
			require.Equal(t, height, data.Height)
			require.True(t, data.Time.After(at), "block times rise")
			phase, remaining, at = block, data.Txs, data.Time
		case sim.Tx:
			require.NotEqual(t, votes, phase)
			require.Equal(t, height, data.Height)
			phase, remaining = txs, remaining-1
		}
		if phase == block && remaining == 0 {
			phase = txs
		}
	}
}

func TestEventsAreWellFormed(t *testing.T) {
	for _, p := range take(sim.New(sim.Config{Seed: 5}), 5000) {
		require.Len(t, p.Events["tm.event"], 1)
		for key, values := range p.Events {
			require.NotEmpty(t, values, key)
			for _, value := range values {
				require.True(t, value != "" && utf8.ValidString(value), "%s = %q", key, value)
			}
		}
		require.Equal(t, len(p.Events["transfer.sender"]), len(p.Events["transfer.amount"]))
		if tx, ok := p.Data.(sim.Tx); ok {
			require.Equal(t, []string{strconv.FormatInt(tx.Height, 10)}, p.Events["tx.height"])
			require.Equal(t, []string{tx.Hash}, p.Events["tx.hash"])
			require.Equal(t, tx.Code == 0, p.Events["message.action"] != nil)
		}
	}
}

// A query can be met by much, by little and by next to nothing.
func TestPublicationsAreSpread(t *testing.T) {
	chain := sim.New(sim.Config{Seed: 11})
	const n = 20_000
	seen := map[string]int{}
	several := 0
	for _, p := range take(chain, n) {
		seen[p.Events["tm.event"][0]]++
		for _, action := range p.Events["message.action"] {
			seen[action]++
		}
		if len(p.Events["transfer.amount"]) > 1 {
			several++
		}
		for _, i := range []int{0, 900} {
			if slices.Contains(p.Events["transfer.sender"], chain.Account(i)) {
				seen[fmt.Sprint("sender ", i)]++
			}
		}
	}
	require.Greater(t, seen["Tx"], n/2)
	require.Greater(t, seen["Vote"], n/10)
	require.Greater(t, seen["NewBlock"], n/50)
	require.Greater(t, several, n/3)
	require.Greater(t, seen["/cosmos.bank.v1beta1.MsgSend"], n/4)
	require.Greater(t, seen["/cosmos.gov.v1.MsgVote"], n/100)
	require.Greater(t, seen["sender 0"], 10*max(1, seen["sender 900"]))
}

func TestSmallestChainRuns(t *testing.T) {
	chain := sim.New(sim.Config{Accounts: 1, Validators: 1, TxsPerBlock: 1})
	take(chain, 1000)
	require.Greater(t, chain.Height(), int64(100))
	require.Equal(t, chain.Account(0), chain.Account(5))
}

func TestSettingsThatAreNotPositiveStandForTheirDefaults(t *testing.T) {
	const n = 500
	odd := sim.New(sim.Config{Accounts: -1, Validators: -1, TxsPerBlock: -1})
	require.Equal(t, take(sim.New(sim.Config{}), n), take(odd, n))
}

func ExampleChain_Next() {
	chain := sim.New(sim.Config{Seed: 1})
	for range 5 {
		p := chain.Next()
		fmt.Println(p.Events["tm.event"], p.Events["transfer.amount"])
	}
	// Output:
	// [Vote] []
	// [Vote] []
	// [Vote] []
	// [Vote] []
	// [NewBlock] [4219918uatom]
}

func ExampleChain_Publish() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	published := 0
	publish := func(_ context.Context, _ any, _ map[string][]string) error {
		if published++; published == 1000 {
			cancel()
		}
		return nil
	}
	err := sim.New(sim.Config{Seed: 1}).Publish(ctx, 0, publish)
	fmt.Println(published, err)
	// Output: 1000 context canceled
}

func BenchmarkNext(b *testing.B) {
	chain := sim.New(sim.Config{Seed: 1})
	b.ReportAllocs()
	for b.Loop() {
		chain.Next()
	}
}
