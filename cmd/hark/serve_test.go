package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redisbridge"
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
	c, err := client.Dial(t.Context(), "ws://"+address+"/v1/websocket", client.Options{})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	last, n := int64(0), 0
	for result, err := range c.Subscribe(ctx, "tm.event = 'Tx' AND transfer.amount EXISTS AND tx.height > 0", client.SubscribeOptions{}) {
		require.NoError(t, err)
		require.Equal(t, comet.TypeTx, result.Data.Type)
		tx, err := client.DataAs[comet.Tx](result)
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
	var status struct{ Result comet.NodeStatus }
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

// The image's own command serves, and PUBSUB_ADDR says where.
func TestTheCommandOfTheImageServes(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	env := regexp.MustCompile(`(?m)^ENV (.*)$`).FindSubmatch(text)
	require.NotNil(t, env)
	var command []string
	require.NoError(t, json.Unmarshal(regexp.MustCompile(`(?m)^CMD (.*)$`).FindSubmatch(text)[1], &command))
	for _, variable := range strings.Fields(string(env[1])) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	t.Setenv("PUBSUB_ADDR", "0.0.0.0:0")
	hark := startHark(t, nil, command...)
	hark.await(t, "msg=listening")
	_, port, err := net.SplitHostPort(regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(hark.said())[1])
	require.NoError(t, err)
	response, err := http.Get("http://localhost:" + port + "/status")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
	hark.stop(t)
}

// The first signal drains; whoever cannot wait sends another one.
func TestASecondSignalEndsADrain(t *testing.T) {
	hark, address := startServe(t, "--listen", "127.0.0.1:0", "--drain-timeout", "1m", "--read-timeout", "1m")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err) // the drain waits for the rest
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+address+"/websocket", nil)
	require.NoError(t, err)
	defer ws.Close() // until then it does not answer the close
	require.NoError(t, hark.Process.Signal(syscall.SIGTERM))
	hark.await(t, "draining")
	require.NoError(t, hark.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, hark.Wait(), &exit)
	require.Equal(t, syscall.SIGTERM, exit.Sys().(syscall.WaitStatus).Signal())
}

// Settings of the log come from the environment and from the file, which the
// environment may name.
func TestTheLogIsAsTheEnvironmentAndTheFileSay(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "settings.json")
	require.NoError(t, os.WriteFile(settings, []byte(`{"log-format": "json", "listen": "127.0.0.1:0"}`), 0o600))
	t.Setenv("HARK_CONFIG", settings)
	t.Setenv("HARK_LOG_LEVEL", "debug")
	hark := startHark(t, nil, "serve")
	hark.await(t, `"msg":"listening"`)
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(hark.said())[1]
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+address+"/websocket", nil)
	require.NoError(t, err)
	require.NoError(t, ws.Close())
	hark.await(t, `"level":"DEBUG","msg":"stream: connection ends"`)
	hark.stop(t)
}

// What Redis has not got when the server ends is part of the drain, whether
// Redis is away or does not answer.
func TestServeEndsWithinItsDrainDuringAnOutage(t *testing.T) {
	const drain = time.Second
	for name, fail := range map[string]func(t *testing.T, redis *redistest.Server){
		"killed": func(_ *testing.T, redis *redistest.Server) { redis.Kill() },
		"silent": func(t *testing.T, redis *redistest.Server) { redis.Pause(t) },
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			server, address := startServe(t, "--listen", "127.0.0.1:0", "--redis", "redis://"+redis.Addr, "--drain-timeout", drain.String())
			server.await(t, "joined the bus")
			fail(t, redis)
			response, err := http.Post("http://"+address+"/publish", "application/json", strings.NewReader(`{"data":1,"events":{"n":"1"}}`))
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, http.StatusOK, response.StatusCode)
			http.DefaultClient.CloseIdleConnections()
			begun := time.Now()
			require.NoError(t, server.Process.Signal(syscall.SIGTERM))
			server.exits(t, 2)
			require.Contains(t, server.said(), "1 publications that Redis did not acknowledge")
			require.Less(t, time.Since(begun), redisbridge.DefaultCloseTimeout, "%v is what the drain may take", drain)
		})
	}
}

// Whoever operates a server with more limits than descriptors is told when it
// starts, and when it cannot accept, and it goes on once there is room.
func TestServeTellsOfTooFewDescriptors(t *testing.T) {
	server := startProcess(t, nil, "sh", "-c", `ulimit -n 40 && exec hark serve --listen 127.0.0.1:0`)
	server.await(t, "too few descriptors for --max-connections and --max-open")
	require.Contains(t, server.said(), "limit=40 needed=2932")
	address := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(server.said())[1]
	var conns []net.Conn
	for range 60 {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer conn.Close()
		conns = append(conns, conn)
	}
	server.await(t, "too many open files")
	for _, conn := range conns {
		conn.Close()
	}
	require.Eventually(t, func() bool { return status(t, "http://"+address+"/readyz") == http.StatusOK }, 30*time.Second, 5*time.Millisecond)
	http.DefaultClient.CloseIdleConnections()
	server.stop(t)
}

func TestServeDoesNotWarnOfEnoughDescriptors(t *testing.T) {
	server, _ := startServe(t, "--listen", "127.0.0.1:0", "--max-connections", "4", "--max-open", "4")
	server.stop(t)
	require.NotContains(t, server.said(), "descriptors")
}

// Who asks the administrators' listener by its address, as a Prometheus does, is
// answered, though the other one is on loopback; names are listed for both.
func TestEachListenerHasItsHosts(t *testing.T) {
	for _, one := range []struct {
		o        serveOptions
		yes, nay string
	}{
		{serveOptions{listen: "127.0.0.1:1"}, "127.0.0.1", "10.0.0.5"},
		{serveOptions{listen: "127.0.0.1:1", adminListen: "127.0.0.1:2"}, "localhost", "10.0.0.5"},
		{serveOptions{listen: "127.0.0.1:1", adminListen: "10.0.0.5:2"}, "10.0.0.5", "evil.test"},
		{serveOptions{listen: "0.0.0.0:1", adminListen: "127.0.0.1:2"}, "10.0.0.5", "evil.test"},
		{serveOptions{listen: "127.0.0.1:1", adminListen: "127.0.0.1:2", allowedHosts: []string{"bus.test"}}, "bus.test", "evil.test"},
	} {
		allow := one.o.allowHost()
		require.True(t, allow(one.yes), "%+v", one)
		require.False(t, allow(one.nay), "%+v", one)
	}
}
