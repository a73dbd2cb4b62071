package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/client"
)

func TestFlagsForRegularExpressionsHaveTheDocumentedDefaults(t *testing.T) {
	flags := new(app).newServe().Flags()
	for name, value := range map[string]string{
		"max-expression": "100", "max-expressions": "200", "all-expressions": "2000", "replay-steps": "500000000", "expression-budget": "64000000",
	} {
		require.Equal(t, value, flags.Lookup(name).DefValue, name)
	}
}

// Clients have as many regular expressions as they may. A value of 30,000 bytes
// ends none of them; of one as large as a client may publish, those that would
// take too long. Nobody waits for that.
func TestALargeValueIsPublishedSoonWhateverClientsSubscribeTo(t *testing.T) {
	const generous = 20 // other processes, and the race detector
	address, admin := serveForTest(t, serveOptions{expressionBudget: serveExpressionBudget})
	queries := []string{"m STARTSWITH 'x'", "m MATCHES '(foo|bar).*z'"}
	for i := range 19 {
		queries = append(queries, fmt.Sprintf("m MATCHES '(x{0,29}|%d)z|^x'", 10+i))
	}
	outcomes := make([]chan error, len(queries))
	sizes := make([][]int, len(queries))
	for i, text := range queries {
		c, err := client.Dial(t.Context(), "ws://"+address+"/websocket", client.Options{})
		require.NoError(t, err)
		defer c.Close()
		outcomes[i] = make(chan error, 1)
		go func() {
			for result, err := range c.Subscribe(t.Context(), text, client.SubscribeOptions{}) {
				if err != nil {
					outcomes[i] <- err
					return
				}
				size, _ := client.DataAs[int](result)
				if sizes[i] = append(sizes[i], size); len(sizes[i]) == 2 {
					outcomes[i] <- nil
					return
				}
			}
		}()
	}
	require.Eventually(t, func() bool {
		return strings.Contains(body(t, "http://"+admin+"/v1/stats"), fmt.Sprintf(`"clients":%d`, len(queries)))
	}, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, body(t, "http://"+admin+"/v1/stats"), `"expressions":1`, "thousand and more")

	publish := func(size int) {
		text, err := json.Marshal(map[string]any{"data": size, "events": map[string][]string{"m": {strings.Repeat("x", size-4) + "fooz"}}})
		require.NoError(t, err)
		response, err := http.Post("http://"+address+"/publish", "application/json", bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 200, response.StatusCode)
	}
	start := time.Now()
	publish(30_000)
	publish(999_900)
	require.Less(t, time.Since(start), 2*generous*500*time.Millisecond)
	for i := range queries {
		err := <-outcomes[i]
		require.Equal(t, 30_000, sizes[i][0], queries[i])
		if i < 2 {
			require.NoError(t, err, queries[i])
			require.Equal(t, 999_900, sizes[i][1])
		} else {
			require.ErrorContains(t, err, "the conditions of the query take too long on a publication")
		}
	}
	require.Contains(t, body(t, "http://"+admin+"/metrics"), fmt.Sprintf("hark_bus_over_budget_total %d", len(queries)-2))
	require.Contains(t, body(t, "http://"+admin+"/metrics"), fmt.Sprintf("hark_stream_over_budget_total %d", len(queries)-2))
	http.DefaultClient.CloseIdleConnections()
}

func body(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}
