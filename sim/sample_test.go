package sim_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/sim"
)

var update = flag.Bool("update", false, "write docs/sample.jsonl")

// The file that the README greps is what the chain of seed 1 begins with.
func TestTheSampleIsTheBeginningOfAChain(t *testing.T) {
	const file = "../docs/sample.jsonl"
	var want bytes.Buffer
	lines := json.NewEncoder(&want)
	chain := sim.New(sim.Config{Seed: 1})
	for range 100 {
		p := chain.Next()
		require.NoError(t, lines.Encode(struct {
			Events map[string][]string `json:"events"`
			Data   any                 `json:"data"`
		}{p.Events, p.Data}))
	}
	if *update {
		require.NoError(t, os.WriteFile(file, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got))
}
