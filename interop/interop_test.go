// Package interop holds what others have written against hark serve: CometBFT's
// own Go client, @cosmjs/tendermint-rpc, a browser and three more clients from
// npm, all unmodified, and proxies.
package interop

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
	"github.com/cometbft/cometbft/types"
	"github.com/stretchr/testify/require"
)

// events is how many transactions each client takes without a gap; at 500 a
// second that is 20 seconds.
const events = 10_000

// binary is hark, built once.
var binary string

func TestMain(m *testing.M) {
	if address := os.Getenv("HARK_PROXY"); address != "" {
		runProxy(address, os.Getenv("HARK_PROXY_TO"))
		return
	}
	folder, err := os.MkdirTemp("", "hark-interop")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(folder, "hark")
	build := exec.Command("go", "build", "-o", binary, "./cmd/hark")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	status := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

// A node is hark serve.
type node struct {
	t       *testing.T
	address string
	cmd     *exec.Cmd
	exited  chan error
}

// freeAddress returns an address on which nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	return freeAddressOn(t, "127.0.0.1")
}

func freeAddressOn(t *testing.T, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start starts a node that simulates a chain and returns when it listens.
func start(t *testing.T, address string, flags ...string) *node {
	t.Helper()
	return serve(t, address, append(flags, "--simulate", "500", "--buffer", "10000")...)
}

// serve starts a node and returns when it listens.
func serve(t *testing.T, address string, flags ...string) *node {
	t.Helper()
	n := &node{t: t, address: address, exited: make(chan error, 1)}
	n.cmd = exec.Command(binary, append([]string{"serve", "--listen", address}, flags...)...)
	stderr, err := n.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, n.cmd.Start())
	listening := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "msg=listening") {
				close(listening)
			}
		}
		n.exited <- n.cmd.Wait()
	}()
	t.Cleanup(n.kill)
	select {
	case <-listening:
	case err := <-n.exited:
		n.exited <- err // for kill
		t.Fatalf("hark serve ended: %v", err)
	}
	return n
}

// drain ends the node as an operator does, and waits.
func (n *node) drain() {
	n.t.Helper()
	require.NoError(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(n.t, <-n.exited)
	n.exited <- nil
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	n.exited <- <-n.exited // once more, when the test ends
}

func connect(t *testing.T, n *node) *rpchttp.HTTP {
	t.Helper()
	client, err := rpchttp.New("tcp://" + n.address)
	require.NoError(t, err)
	require.NoError(t, client.Start())
	t.Cleanup(func() { _ = client.Stop() })
	return client
}

// next returns the next event.
func next(t *testing.T, ch <-chan coretypes.ResultEvent) coretypes.ResultEvent {
	t.Helper()
	select {
	case e := <-ch:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event for 30 s")
		return coretypes.ResultEvent{}
	}
}

func TestCometBFTGoClientTakesEventsWithoutAGap(t *testing.T) {
	t.Parallel()
	n := start(t, freeAddress(t))
	client := connect(t, n)
	ctx := context.Background()
	status, err := client.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, "hark-1", status.NodeInfo.Network)
	require.Positive(t, status.SyncInfo.LatestBlockHeight)

	const query = "tm.event='Tx' AND tx.height > 0 AND transfer.amount EXISTS"
	ch, err := client.Subscribe(ctx, "test", query, events)
	require.NoError(t, err)
	last := int64(0)
	for i := range events {
		e := next(t, ch)
		tx, ok := e.Data.(types.EventDataTx)
		require.True(t, ok, "event %d is %T", i, e.Data)
		require.Equal(t, query, e.Query)
		require.Equal(t, fmt.Sprintf("tx-%d", tx.Height), string(tx.Tx))
		require.Equal(t, []string{fmt.Sprintf("%X", types.Tx(tx.Tx).Hash())}, e.Events["tx.hash"])
		require.NotEmpty(t, tx.Result.Events)
		if last != 0 {
			require.Equal(t, last+1, tx.Height, "event %d", i)
		}
		last = tx.Height
	}
	require.NoError(t, client.Unsubscribe(ctx, "test", query))
}

func TestCometBFTGoClientDecodesBlocks(t *testing.T) {
	t.Parallel()
	n := start(t, freeAddress(t))
	client := connect(t, n)
	ctx := context.Background()
	blocks, err := client.Subscribe(ctx, "test", "tm.event='NewBlock'", 100)
	require.NoError(t, err)
	headers, err := client.Subscribe(ctx, "test", "tm.event='NewBlockHeader'", 100)
	require.NoError(t, err)
	var last *types.EventDataNewBlock
	for range 50 {
		block, ok := next(t, blocks).Data.(types.EventDataNewBlock)
		require.True(t, ok)
		h := block.Block.Header
		require.EqualValues(t, 11, h.Version.Block)
		require.Equal(t, "hark-1", h.ChainID)
		for _, hash := range [][]byte{h.AppHash, h.ConsensusHash, h.DataHash, h.EvidenceHash, h.LastCommitHash, h.ValidatorsHash, h.LastResultsHash} {
			require.Len(t, hash, 32)
		}
		require.Len(t, h.ProposerAddress, 20)
		require.Len(t, block.Block.Txs, 1)
		require.NoError(t, block.BlockID.ValidateBasic())
		require.NoError(t, h.ValidateBasic())
		require.NoError(t, block.Block.LastCommit.ValidateBasic())
		require.Len(t, block.ResultFinalizeBlock.TxResults, 1)
		if last != nil {
			require.Equal(t, last.Block.Height+1, h.Height)
			require.Equal(t, last.BlockID, h.LastBlockID)
		}
		last = &block
		header, ok := next(t, headers).Data.(types.EventDataNewBlockHeader)
		require.True(t, ok)
		require.NoError(t, header.Header.ValidateBasic())
	}
	require.NoError(t, client.UnsubscribeAll(ctx, "test"))
}

// The Go client dials again after a drain, and goes on.
func TestCometBFTGoClientSurvivesADrain(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	n := start(t, address)
	client := connect(t, n)
	ch, err := client.Subscribe(context.Background(), "test", "tm.event='NewBlockHeader'", 10_000)
	require.NoError(t, err)
	next(t, ch)
	n.drain()
	again := start(t, address)
	client2 := connect(t, again)
	status, err := client2.Status(context.Background())
	require.NoError(t, err)
	began := status.SyncInfo.EarliestBlockTime // of the second node
	deadline := time.After(time.Minute)
	for {
		select {
		case e := <-ch:
			if header, ok := e.Data.(types.EventDataNewBlockHeader); ok && !header.Header.Time.Before(began) {
				return
			}
		case <-deadline:
			t.Fatal("the client has not come back")
		}
	}
}
