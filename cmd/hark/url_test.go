package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// startServe starts hark serve and returns its address once it listens there.
func startServe(t *testing.T, args ...string) (*command, string) {
	t.Helper()
	server := startHark(t, nil, append([]string{"serve"}, args...)...)
	server.await(t, "msg=listening")
	return server, regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(server.said())[1]
}

// stop ends a server as an operator would.
func (c *command) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	c.exits(t, 0)
}

// A server that starts late, and one that is started anew, are waited for. What
// is published meanwhile is not lost, and the subscriber is told of the restart.
func TestPubAndSubWaitForAServer(t *testing.T) {
	address := freeAddress(t)
	url := "ws://" + address + "/websocket"
	sub := startHark(t, nil, "sub", "--url", url, "--count", "3", "n EXISTS")
	pub := startHark(t, nil, "pub", "--url", url)
	sub.await(t, "trying again")
	pub.await(t, "trying again")

	server, _ := startServe(t, "--listen", address)
	sub.awaitReady(t)
	for i := range 2 {
		fmt.Fprintf(pub.in, `{"events":{"n":["%d"]},"data":%d}`+"\n", i, i)
		require.Equal(t, fmt.Sprint(i), string(sub.line(t).Data))
	}
	server.stop(t)
	fmt.Fprintln(pub.in, `{"events":{"n":["2"]},"data":2}`)
	pub.await(t, "client: publish: ")

	server, _ = startServe(t, "--listen", address)
	require.Equal(t, "2", string(sub.line(t).Data))
	require.NoError(t, pub.in.Close())
	pub.exits(t, 0)
	sub.exits(t, 1)
	require.Contains(t, sub.said(), ": epoch_changed")
	server.stop(t)
}

// An interrupt ends pub and sub with success, though there is no server.
func TestInterruptEndsTheWaitForAServer(t *testing.T) {
	url := "ws://" + freeAddress(t) + "/websocket"
	for _, args := range [][]string{{"sub", "--url", url, "n EXISTS"}, {"pub", "--url", url}} {
		c := startHark(t, nil, args...)
		c.await(t, "trying again")
		interrupt(t, c)
		c.exits(t, 0)
	}
}

// Of what is sent together only the publication that the server refuses is
// skipped.
func TestALineThatIsTooLargeIsSkippedAlone(t *testing.T) {
	server, address := startServe(t, "--listen", "127.0.0.1:0")
	url := "ws://" + address + "/websocket"
	sub := startHark(t, nil, "sub", "--url", url, "--count", "2", "n EXISTS")
	sub.awaitReady(t)
	file := filepath.Join(t.TempDir(), "events.jsonl")
	lines := ""
	for i, size := range []int{1, 999_990, 1} {
		lines += fmt.Sprintf(`{"events":{"n":["%d"]},"data":"%s"}`+"\n", i, strings.Repeat("x", size))
	}
	require.NoError(t, os.WriteFile(file, []byte(lines), 0o600))
	pub := startHark(t, nil, "pub", "--url", url, file)
	pub.exits(t, 1)
	require.Contains(t, pub.said(), "line=2")
	for _, n := range []string{"0", "2"} {
		require.Equal(t, []string{n}, sub.line(t).Events["n"])
	}
	sub.exits(t, 0)
	server.stop(t)
}

// What will not get better is not tried again.
func TestARefusedConnectionIsExitStatusTwo(t *testing.T) {
	address := freeAddress(t)
	server, _ := startServe(t, "--listen", address)
	sub := startHark(t, nil, "sub", "--url", "ws://"+address+"/nothing", "n EXISTS")
	sub.exits(t, 2)
	require.Contains(t, sub.said(), "the server answered 400 Bad Request")
	server.stop(t)
}
