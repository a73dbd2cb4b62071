package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

// A command is one process of hark in a test.
type command struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner

	mu  sync.Mutex
	err bytes.Buffer // what it said on standard error
}

// Write takes standard error in.
func (c *command) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err.Write(b)
}

func (c *command) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err.String()
}

// startHark starts a process of hark, with a Redis or nil. It is killed if the
// test ends before it.
func startHark(t *testing.T, redis *redistest.Server, args ...string) *command {
	t.Helper()
	return startProcess(t, redis, "hark", args...)
}

func startProcess(t *testing.T, redis *redistest.Server, name string, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := &command{Cmd: exec.CommandContext(ctx, name, args...)}
	c.Env = append(c.Environ(), "HARK_REDIS=")
	if redis != nil {
		c.Env = append(c.Env, "HARK_REDIS=redis://"+redis.Addr)
	}
	c.Stderr = c
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	c.in, c.out = in, bufio.NewScanner(out)
	require.NoError(t, c.Start())
	return c
}

func (c *command) awaitReady(t *testing.T) { c.await(t, "ready\n") }

// await waits until it has said so on standard error.
func (c *command) await(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(c.said(), text) }, 30*time.Second, 5*time.Millisecond, text)
}

// line returns the next line of standard output, decoded.
func (c *command) line(t *testing.T) (line struct {
	Data   json.RawMessage
	Events map[string][]string
	Cursor string
}) {
	t.Helper()
	require.True(t, c.out.Scan(), "%s", c.said())
	require.NoError(t, json.Unmarshal(c.out.Bytes(), &line), "%s", c.out.Text())
	return line
}

func (c *command) exits(t *testing.T, status int) {
	t.Helper()
	_ = c.Wait()
	require.Equal(t, status, c.ProcessState.ExitCode(), "%s", c.said())
}

func TestMessagesSurviveTwentyKillsOfEveryConnection(t *testing.T) {
	const n, kills = 20_000, 20
	redis := redistest.Start(t)
	url := func(name string) string { return "redis://" + redis.Addr + "?client_name=" + name }
	sub := startHark(t, nil, "sub", "--redis", url("sub"), "--mode", "durable", "--count", fmt.Sprint(n), "n EXISTS")
	sub.awaitReady(t)
	pub := startHark(t, nil, "pub", "--redis", url("pub"), "--mode", "durable")

	published, killed := make(chan error, 1), make(chan struct{}, kills)
	go func() {
		for i := range n {
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond) // the pace of publications
			}
			if i%(n/kills) == n/kills-1 {
				<-killed // so that no process has done its work before
			}
			if _, err := fmt.Fprintf(pub.in, `{"events":{"n":["%d"]},"data":%d}`+"\n", i, i); err != nil {
				published <- err
				return
			}
		}
		published <- nil // pub goes on, so that the last kill finds it
	}()
	for i := range n {
		if i%(n/kills) == n/kills/2 {
			killEveryConnection(t, redis, "name=pub", "name=sub")
			killed <- struct{}{}
		}
		require.Equal(t, fmt.Sprint(i), string(sub.line(t).Data))
	}
	require.NoError(t, <-published)
	require.NoError(t, pub.in.Close())
	pub.exits(t, 0)
	sub.exits(t, 0)
	require.NotContains(t, sub.said(), "gap")
}

// killEveryConnection kills those of each process, and waits for a process that
// has not come back since the last time.
func killEveryConnection(t *testing.T, redis *redistest.Server, processes ...string) {
	t.Helper()
	for _, process := range processes {
		require.Eventually(t, func() bool { return redis.KillClients(t, process) > 0 }, 30*time.Second, time.Millisecond, process)
	}
}

func TestSubResumesAfterACursor(t *testing.T) {
	redis := redistest.Start(t)
	pub := startHark(t, redis, "pub")
	for i := range 10 {
		fmt.Fprintf(pub.in, `{"events":{"n":["%d"]},"data":%d}`+"\n", i, i)
	}
	require.NoError(t, pub.in.Close())
	pub.exits(t, 0)

	from := "start"
	for i := 0; i < 10; i += 2 {
		sub := startHark(t, redis, "sub", "--from", from, "--count", "2", "n EXISTS")
		require.Equal(t, fmt.Sprint(i), string(sub.line(t).Data))
		line := sub.line(t)
		require.Equal(t, fmt.Sprint(i+1), string(line.Data))
		sub.exits(t, 0)
		from = line.Cursor
	}
}

func TestDataArrivesByteForByte(t *testing.T) {
	for _, mode := range []string{"live", "durable"} {
		redis := redistest.Start(t)
		sub := startHark(t, redis, "sub", "--mode", mode, "--count", "3", "a = 1")
		sub.awaitReady(t)
		pub := startHark(t, redis, "pub", "--mode", mode)
		const data = `{"b":  1.50, "a": "<&>é\u00e9" }`
		fmt.Fprintln(pub.in, `{"data":`+data+`,"events":{"a":["1"]}}`)
		fmt.Fprintln(pub.in, `{"events":{"a":["1"]}}`)
		fmt.Fprintln(pub.in, `{"events":{"a":["2"]}}`)
		fmt.Fprintln(pub.in, `{"jsonrpc":"2.0","id":1,"result":{"events":{"a":["1"]},"data":{"type":  "x"}}}`)
		require.NoError(t, pub.in.Close())
		pub.exits(t, 0)
		require.Equal(t, data, string(sub.line(t).Data))
		require.Equal(t, "null", string(sub.line(t).Data))
		require.Equal(t, `{"type":  "x"}`, string(sub.line(t).Data))
		sub.exits(t, 0)
	}
}

func TestInterruptFlushesAndExitsZero(t *testing.T) {
	redis := redistest.Start(t)
	sub := startHark(t, redis, "sub", "n EXISTS")
	sub.awaitReady(t)
	pub := startHark(t, redis, "pub")
	fmt.Fprintln(pub.in, `{"events":{"n":["1"]},"data":1}`)
	require.Equal(t, "1", string(sub.line(t).Data))
	interrupt(t, pub)
	pub.exits(t, 0)
	interrupt(t, sub)
	sub.exits(t, 0)
}

func TestSkippedLineIsExitStatusOne(t *testing.T) {
	redis := redistest.Start(t)
	pub := startHark(t, redis, "pub")
	fmt.Fprintln(pub.in, `{"events":`)
	fmt.Fprintln(pub.in, `{"events":{"n":["1"]}}`)
	require.NoError(t, pub.in.Close())
	pub.exits(t, 1)
	require.Contains(t, pub.said(), "line=1")
}

func TestGapIsToldAndExitStatusOne(t *testing.T) {
	redis := redistest.Start(t)
	sub := startHark(t, redis, "sub", "--from", "0123456789012345@1767323045000-42", "--count", "1", "n EXISTS")
	sub.awaitReady(t)
	pub := startHark(t, redis, "pub")
	fmt.Fprintln(pub.in, `{"events":{"n":["1"]},"data":1}`)
	require.NoError(t, pub.in.Close())
	pub.exits(t, 0)
	require.Equal(t, "1", string(sub.line(t).Data))
	sub.exits(t, 1)
	require.Contains(t, sub.said(), "hark: gap in partition 0: reset")
}

func TestGivingUpIsExitStatusTwo(t *testing.T) {
	redis := redistest.Start(t)
	redis.Kill()
	sub := startHark(t, redis, "sub", "--give-up-after", "200ms", "n EXISTS")
	sub.exits(t, 2)
	require.Contains(t, sub.said(), "gave up after 200ms")
	pub := startHark(t, redis, "pub", "--give-up-after", "200ms")
	fmt.Fprintln(pub.in, `{"events":{"n":["1"]},"data":1}`)
	require.NoError(t, pub.in.Close())
	pub.exits(t, 2)
	require.Contains(t, pub.said(), "gave up after 200ms")
}

// Nobody closes standard input here.
func TestPubEndsWithItsBridge(t *testing.T) {
	redis := redistest.Start(t)
	layOutFourPartitions(t, redis)
	pub := startHark(t, redis, "pub")
	pub.exits(t, 2)
	require.Contains(t, pub.said(), "this process was told 1")
	sub := startHark(t, redis, "sub", "n EXISTS")
	sub.exits(t, 2)
	require.Contains(t, sub.said(), "this process was told 1")

	redis.Kill()
	pub = startHark(t, redis, "pub", "--give-up-after", "200ms")
	pub.exits(t, 2)
	require.Contains(t, pub.said(), "gave up after 200ms")
}

func layOutFourPartitions(t *testing.T, redis *redistest.Server) {
	t.Helper()
	pub := startHark(t, redis, "pub", "--partitions", "4", "--route", "n")
	fmt.Fprintln(pub.in, `{"events":{"n":["1"]},"data":1}`)
	require.NoError(t, pub.in.Close())
	pub.exits(t, 0)
}

func interrupt(t *testing.T, c *command) {
	t.Helper()
	require.NoError(t, c.Process.Signal(os.Interrupt))
}
