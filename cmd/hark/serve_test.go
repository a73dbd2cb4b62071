package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/stream"
	"github.com/harkbus/pubsub/stream/comet"
)

// A lockedBuffer is written by a server and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serveForTest serves on a free port until the test ends, and returns the
// addresses.
func serveForTest(t *testing.T, o serveOptions) (address, admin string) {
	t.Helper()
	o.listen, o.adminListen, o.drain, o.overflow = "127.0.0.1:0", "127.0.0.1:0", 5*time.Second, "cancel"
	var log lockedBuffer
	a := &app{in: strings.NewReader(""), out: io.Discard, err: &log, log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- a.serve(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	addresses := regexp.MustCompile(`address=(\S+)`)
	require.Eventually(t, func() bool { return len(addresses.FindAllString(log.String(), -1)) == 2 }, 10*time.Second, time.Millisecond)
	found := addresses.FindAllStringSubmatch(log.String(), 2)
	return found[0][1], found[1][1]
}

func TestServeSimulatesAChainWithoutAGap(t *testing.T) {
	address, admin := serveForTest(t, serveOptions{simulate: 500, seed: 1})
	client, err := stream.Dial(t.Context(), "ws://"+address+"/v1/websocket", stream.ClientOptions{})
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	last, n := int64(0), 0
	for result, err := range client.Subscribe(ctx, "tm.event = 'Tx' AND transfer.amount EXISTS AND tx.height > 0", stream.SubscribeOptions{}) {
		require.NoError(t, err)
		require.Equal(t, comet.TypeTx, result.Data.Type)
		tx, err := stream.DataAs[comet.Tx](result)
		require.NoError(t, err)
		if last != 0 {
			require.Equal(t, last+1, tx.TxResult.Height)
		}
		if last = tx.TxResult.Height; n == 100 {
			break
		}
		n++
	}
	get := func(url string) string {
		response, err := http.Get(url)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Contains(t, get("http://"+admin+"/metrics"), "hark_stream_frames_total")
	require.Contains(t, get("http://"+address+"/metrics"), "for administrators only")
	var status struct{ Result stream.NodeStatus }
	require.NoError(t, json.Unmarshal([]byte(get("http://"+address+"/status")), &status))
	require.Equal(t, "hark-1", status.Result.NodeInfo.Network)
	require.NotEqual(t, "1", status.Result.SyncInfo.LatestBlockHeight)
	http.DefaultClient.CloseIdleConnections()
}

// Half a configuration of tokens would ask nobody for one.
func TestTokenFlagsWithoutAKeyAreRefused(t *testing.T) {
	for _, flag := range []string{"--token-algorithm=ES256", "--token-audience=hark", "--token-issuer=x", "--token-admin-claim=admin", "--token-publish-claim=p"} {
		var out bytes.Buffer
		require.Equal(t, 2, run([]string{"serve", "--listen", "127.0.0.1:0", flag}, strings.NewReader(""), io.Discard, &out))
		require.Contains(t, out.String(), "without --token-key")
	}
}
