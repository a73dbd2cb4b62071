package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redisbridge"
)

// bridgedData are texts that JSON encoders like to change.
var bridgedData = []string{
	`{"b":  1.50, "a": "<&>é\u00e9" }`,
	`12345678901234567890.10`,
	`{"type":  "test/price", "value":{"z":1e2,"a":null}}`,
	`"last"`,
}

// What is posted to one server reaches the subscribers of another one, whole
// and once.
func TestServersOnOneRedisAreOneBus(t *testing.T) {
	for _, mode := range []string{"live", "durable"} {
		t.Run(mode, func(t *testing.T) {
			redis := redistest.Start(t)
			serve := func() (*command, string) {
				server, address := startServe(t, "--listen", "127.0.0.1:0", "--redis", "redis://"+redis.Addr, "--mode", mode)
				require.Eventually(t, func() bool { return status(t, "http://"+address+"/readyz") == http.StatusOK }, 30*time.Second, 5*time.Millisecond)
				return server, address
			}
			first, here := serve()
			second, there := serve()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			events := openEvents(t, ctx, "http://"+there+"/events?query=n+EXISTS")
			for i, data := range bridgedData {
				response, err := http.Post("http://"+here+"/publish", "application/json",
					strings.NewReader(`{"data":`+data+`,"events":{"n":"`+string(rune('0'+i))+`"}}`))
				require.NoError(t, err)
				response.Body.Close()
				require.Equal(t, http.StatusOK, response.StatusCode)
			}
			receiveBridged(t, ctx, there)
			for i, data := range bridgedData {
				if i == 2 {
					data = `{"type":"test/price","value":{"z":1e2,"a":null}}` // typed data goes on the wire in these words
				} else {
					data = `{"type":"hark/json","value":` + data + `}`
				}
				require.Equal(t, `data: {"query":"n EXISTS","data":`+data+`,"events":{"n":["`+string(rune('0'+i))+`"]}}`, <-events)
			}
			first.stop(t)
			second.stop(t)
			require.Equal(t, `data: {"reason":"the server is shutting down"}`, <-events, "nothing came twice")
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

func TestServeEndsWithItsBridge(t *testing.T) {
	redis := redistest.Start(t)
	layOutFourPartitions(t, redis)
	server, _ := startServe(t, "--listen", "127.0.0.1:0", "--redis", "redis://"+redis.Addr, "--simulate", "10")
	server.exits(t, 2)
	require.Contains(t, server.said(), "the bridge to Redis has ended")
	require.Contains(t, server.said(), "draining")
}

// Redis stays away, after it has been there or from the beginning.
func TestServeGivesUpWhenRedisStaysAway(t *testing.T) {
	redis := redistest.Start(t)
	start := func(giveUpAfter string) (*command, string) {
		return startServe(t, "--listen", "127.0.0.1:0", "--redis", "redis://"+redis.Addr, "--give-up-after", giveUpAfter)
	}
	joined, address := start("3s") // time to reach it in
	require.Eventually(t, func() bool { return status(t, "http://"+address+"/readyz") == http.StatusOK }, 30*time.Second, 5*time.Millisecond)
	http.DefaultClient.CloseIdleConnections()
	redis.Kill()
	alone, _ := start("200ms")
	alone.exits(t, 2)
	require.Contains(t, alone.said(), "gave up after 200ms without Redis")
	joined.exits(t, 2)
	require.Contains(t, joined.said(), "gave up after 3s without Redis")
}

func TestServerWhoseBridgeHasEndedIsNotReady(t *testing.T) {
	o := redisbridge.Options{Redis: rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}}
	bridge, err := redisbridge.Attach(pubsub.NewServer(), o)
	require.NoError(t, err)
	s := &served{bridge: bridge}
	s.joined.Store(true)
	require.NoError(t, s.ready())
	require.NoError(t, bridge.Close())
	require.ErrorIs(t, s.ready(), redisbridge.ErrClosed)
}

// receiveBridged reads bridgedData over a WebSocket, from the history on.
func receiveBridged(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	c, err := client.Dial(ctx, "ws://"+address+"/websocket", client.Options{})
	require.NoError(t, err)
	defer c.Close()
	var got []string
	for result, err := range c.Subscribe(ctx, "n EXISTS", client.SubscribeOptions{After: history.Cursor{}.String()}) {
		require.NoError(t, err)
		if result.Gap != nil {
			continue // what was before
		}
		if got = append(got, string(result.Data.Value)); len(got) == len(bridgedData) {
			break
		}
	}
	require.Equal(t, []string{bridgedData[0], bridgedData[1], `{"z":1e2,"a":null}`, bridgedData[3]}, got)
}

func status(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	return response.StatusCode
}

// openEvents returns the data lines of an event stream that has begun.
func openEvents(t *testing.T, ctx context.Context, url string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		defer response.Body.Close()
		for scan := bufio.NewScanner(response.Body); scan.Scan(); {
			if strings.HasPrefix(scan.Text(), "data: ") {
				lines <- scan.Text()
			}
		}
	}()
	return lines
}
