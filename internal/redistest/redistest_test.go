package redistest_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("REDISTEST_ABANDON") != "" {
		abandon()
	}
	goleak.VerifyTestMain(m, redistest.Sleepers()...)
}

// abandon starts a server, tells its process id and dies without a word.
func abandon() {
	server, err := redistest.NewServer()
	if err != nil {
		panic(err)
	}
	client, err := rueidis.NewClient(server.Option())
	if err != nil {
		panic(err)
	}
	info, err := client.Do(context.Background(), client.B().Info().Section("server").Build()).ToString()
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(info)
	self, _ := os.FindProcess(os.Getpid())
	_ = self.Kill()
	select {}
}

func TestServersDieWithTheirParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REDISTEST_ABANDON=1")
	out, err := cmd.Output()
	require.Error(t, err, "the child kills itself")
	_, rest, found := strings.Cut(string(out), "tcp_port:")
	require.True(t, found, "%s", out)
	port, _, _ := strings.Cut(rest, "\r\n")
	require.Eventually(t, func() bool { return !listens("127.0.0.1:" + port) }, 10*time.Second, 5*time.Millisecond)
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

func TestServerTakesDirectives(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "3mb")
	require.Equal(t, "3145728", server.Info(t, "maxmemory"))
}

func TestABadDirectiveIsToldInTheServersWords(t *testing.T) {
	_, err := redistest.NewServer("--no-such-directive", "1")
	require.ErrorContains(t, err, "Bad directive")
}

func TestServerIsKilledAndRestarted(t *testing.T) {
	server := redistest.Start(t)
	server.Do(t, "SET", "k", "v")
	server.Kill()
	require.False(t, listens(server.Addr))
	server.Restart(t)
	require.True(t, rueidis.IsRedisNil(server.Do(t, "GET", "k").Error()), "nothing is saved")
}

func TestServerIsPausedAndResumed(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	server.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, client.Do(ctx, client.B().Get().Key("k").Build()).Error())
	server.Resume(t)
	server.Do(t, "PING")
}

func TestKillClientsFindsThemByTheWordsOfTheList(t *testing.T) {
	server := redistest.Start(t)
	option := server.Option()
	option.ClientName = "reader"
	reader, err := rueidis.NewClient(option)
	require.NoError(t, err)
	defer reader.Close()
	require.Equal(t, 0, server.KillClients(t, "name=other"))
	require.Equal(t, 1, server.KillClients(t, "name=reader"))
}

func TestTLS(t *testing.T) {
	server := redistest.StartTLS(t)
	server.Do(t, "PING")
	plain := server.Option()
	plain.TLSConfig = nil
	_, err := rueidis.NewClient(plain)
	require.Error(t, err)
}

func TestClusterMovesSlots(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	client := cluster.Client(t)
	require.Equal(t, rueidis.ClientModeCluster, client.Mode())
	slot := cluster.Slot(t, "{tag}1")
	to := (cluster.Owner(t, slot) + 1) % 3
	cluster.MoveSlot(t, slot, to)
	require.Equal(t, to, cluster.Owner(t, slot))
	require.NoError(t, client.Do(t.Context(), client.B().Set().Key("{tag}2").Value("v").Build()).Error())
	cluster.Nodes[to].Do(t, "GET", "{tag}2")
}

func TestSentinelFailsOver(t *testing.T) {
	sentinel := redistest.StartSentinel(t)
	first := sentinel.Master(t)
	second := sentinel.Failover(t)
	require.NotEqual(t, first.Addr, second.Addr)
	sentinel.Client(t)
	second.Do(t, "SET", "k", "v")
}

func TestProxyFaults(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	dial := func() (rueidis.Client, error) {
		option := server.Option()
		option.InitAddress = []string{proxy.Addr}
		option.ConnWriteTimeout = 100 * time.Millisecond
		option.DisableRetry = true
		return rueidis.NewClient(option)
	}
	get := func(client rueidis.Client) error {
		err := client.Do(t.Context(), client.B().Get().Key("k").Build()).Error()
		if rueidis.IsRedisNil(err) {
			return nil
		}
		return err
	}

	client, err := dial()
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, get(client))
	require.Equal(t, 1, proxy.Dials())

	require.Equal(t, 1, proxy.Cut())
	require.Eventually(t, func() bool { return get(client) == nil }, 5*time.Second, time.Millisecond)
	require.Equal(t, 2, proxy.Dials())

	proxy.Refuse(t, true)
	require.NoError(t, get(client), "what stands, stands")
	_, err = dial()
	require.ErrorContains(t, err, "refused")
	proxy.Refuse(t, false)

	proxy.Blackhole(true)
	require.Error(t, get(client))
	proxy.Blackhole(false)
	require.Eventually(t, func() bool { return get(client) == nil }, 5*time.Second, time.Millisecond)

	proxy.Delay(20 * time.Millisecond)
	began := time.Now()
	require.NoError(t, get(client))
	require.GreaterOrEqual(t, time.Since(began), 40*time.Millisecond)
	proxy.Delay(0)

	proxy.CutOn("GET")
	require.Error(t, get(client))
	proxy.CutOn("")
	require.Eventually(t, func() bool { return get(client) == nil }, 5*time.Second, time.Millisecond)
}
