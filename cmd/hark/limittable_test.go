package main

import (
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/metrics"
	"github.com/harkbus/pubsub/metrics/streammetrics"
	"github.com/harkbus/pubsub/stream"
)

var (
	limitFlag   = regexp.MustCompile("`--([a-z-]+)`")
	limitMetric = regexp.MustCompile("(reason )?`([a-z_]+)`")
)

// bytesInWords are the values of flags that the table of limits has in another
// unit.
var bytesInWords = map[string]string{"4194304": "4 MiB", "33554432": "32 MiB", "67108864": "64 MiB", "134217728": "128 MiB", "268435456": "256 MiB", "10s": "10 s", "30s": "30 s", "5s": "5 s"}

// Each flag in the table of limits is there with the default that the table
// says, each metric too, and each row names its test.
func TestTheTableOfLimitsIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/stream.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "\n| what | flag | default |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	flags := new(app).newServe().Flags()
	scraped := scrape(t)
	seen := map[string]bool{}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		require.Len(t, cells, 6, line)
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		defaults := strings.Split(strings.Split(cells[2], ";")[0], ", ")
		for i, flag := range limitFlag.FindAllStringSubmatch(cells[1], -1) {
			f := flags.Lookup(flag[1])
			require.NotNil(t, f, flag[1])
			value := f.DefValue
			if words, ok := bytesInWords[value]; ok {
				value = words
			}
			require.Equal(t, strings.ReplaceAll(strings.TrimSuffix(defaults[i], " bytes"), ",", ""), value, flag[1])
			seen[flag[1]] = true
		}
		for _, more := range []string{"per-ip", "per-identity"} {
			if strings.Contains(cells[1], ", "+more) {
				name := limitFlag.FindStringSubmatch(cells[1])[1] + "-" + more
				require.NotNil(t, flags.Lookup(name), name)
				require.Equal(t, "0", flags.Lookup(name).DefValue, name)
				seen[name] = true
			}
		}
		for _, metric := range limitMetric.FindAllStringSubmatch(cells[4], -1) {
			switch {
			case metric[1] != "":
				require.Contains(t, scraped, `hark_stream_refusals_total{reason="`+metric[2]+`"}`)
			case strings.HasPrefix(metric[2], "hark_"):
				require.Contains(t, scraped, "# HELP "+metric[2]+" ")
			default:
				require.Contains(t, scraped, `hark_stream_limit_used{limit="`+metric[2]+`"}`)
			}
		}
		require.Regexp(t, `^\[Test\w+\]\(\.\./stream/\w+_test\.go\)$`, cells[5], line)
	}
	for _, prefix := range []string{"max-", "all-", "input-", "answer-", "read-timeout", "write-timeout", "compressors", "buffer", "queue", "window-", "replay-", "expression-"} {
		flags.VisitAll(func(f *pflag.Flag) {
			if strings.HasPrefix(f.Name, prefix) {
				require.True(t, seen[f.Name], "--%s is not in the table", f.Name)
			}
		})
	}
}

// scrape returns the metrics of a server that has all limits.
func scrape(t *testing.T) string {
	bus := pubsub.NewServer()
	server, err := stream.New(bus, stream.Config{HeldBytes: 256 << 20})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	metrics.Handler(metrics.NewBus(bus), streammetrics.New(server)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
