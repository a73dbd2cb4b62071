package wire

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The clients of a test are the test's program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ClientsCommand {
		if err := Clients(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Each contender delivers everything to everybody.
func TestContendersDeliver(t *testing.T) {
	load := Load{Connections: 20, Burst: 5, Bursts: 2}
	for _, c := range []Contender{Hark, HarkDifferent, Gorilla, Centrifuge, NATS} {
		t.Run(c.Name, func(t *testing.T) {
			cost, err := load.Contender(c).Sample(1)
			require.NoError(t, err)
			require.Positive(t, cost)
		})
	}
	cost, err := CometBFTEncoding.Sample(1)
	require.NoError(t, err)
	require.Positive(t, cost)
}

func TestCosts(t *testing.T) {
	encodings, err := Encodings(5, 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, encodings)
	_, err = Allocations(20)
	require.NoError(t, err)
	bytes, err := IdleBytes(500, Health)
	require.NoError(t, err)
	require.Positive(t, bytes)
}

// A tenth of an audience stalls, and the others get all there is.
func TestStalledAudienceLosesWhatOthersGet(t *testing.T) {
	theater, err := OpenTheater(20, false, true)
	require.NoError(t, err)
	dropped := theater.Dropped()
	require.Positive(t, dropped)
	for audience := range 2 {
		_, err = theater.Contender(audience).Sample(1)
		require.NoError(t, err)
	}
	require.Greater(t, theater.Dropped(), dropped, "they still stall")
	require.NoError(t, theater.Close())
}

func TestCrowdComesBack(t *testing.T) {
	crowd, err := NewCrowd(50)
	require.NoError(t, err)
	defer crowd.Close()
	for range 2 {
		_, err = crowd.Cut(3)
		require.NoError(t, err)
		_, err = crowd.Restart(3)
		require.NoError(t, err)
	}
}
