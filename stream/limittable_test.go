package stream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

var configField = regexp.MustCompile("`(?:Config\\.)?([A-Z]\\w+)`")

// The defaults of Config in the table of limits are those that hold; cmd/hark
// looks at the flags.
func TestTheTableOfLimitsHasTheDefaultsOfConfig(t *testing.T) {
	page, err := os.ReadFile("../docs/stream.md")
	require.NoError(t, err)
	c, err := Config{}.withDefaults()
	require.NoError(t, err)
	seen := 0
	for _, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) < 5 || !strings.HasPrefix(cells[1], "`Config.") {
			continue
		}
		defaults := strings.Split(cells[2], ", ")
		for i, field := range configField.FindAllStringSubmatch(cells[1], -1) {
			value := reflect.ValueOf(c).FieldByName(field[1])
			require.True(t, value.IsValid(), field[1])
			require.Equal(t, defaults[i], inWords(value.Interface()), field[1])
			seen++
		}
	}
	require.GreaterOrEqual(t, seen, 9)
}

// inWords returns a limit as the table has it.
func inWords(limit any) string {
	switch v := limit.(type) {
	case time.Duration:
		return strconv.Itoa(int(v.Seconds())) + " s"
	case int:
		switch {
		case v >= 1<<20 && v%(1<<20) == 0:
			return strconv.Itoa(v>>20) + " MiB"
		case v > 1<<10 && v%(1<<10) == 0:
			return strconv.Itoa(v>>10) + " KiB"
		case v == 512:
			return "512 bytes"
		}
		return strconv.Itoa(v)
	}
	panic("no limit")
}

func TestAPullWaitsNoLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := pubsub.NewServer()
		server, err := New(bus, Config{MaxWait: time.Second})
		require.NoError(t, err)
		require.NoError(t, bus.Start())
		v := server.newVisit(httptest.NewRequest(http.MethodPost, "/", nil))
		began := time.Now()
		answer := newCaller(v, t.Context(), t.Context()).answerOne([]byte(`{"id":1,"method":"events","params":{"wait_time":3600000000000}}`))
		require.Contains(t, string(answer), `"items":[]`)
		require.Equal(t, time.Second, time.Since(began))
		require.NoError(t, server.Shutdown(t.Context()))
		require.NoError(t, bus.Stop())
	})
}

func TestAnswersAndBatchesAreLimited(t *testing.T) {
	r := newRig(t, Config{MaxResults: 2, MaxBatch: 2})
	for range 3 {
		r.publish("x", map[string][]string{"a": {"1"}})
	}
	ask := func(body string) string {
		response, err := http.Post(r.http.URL, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}
	answer := ask(`{"id":1,"method":"events","params":{"max_results":100}}`)
	require.Equal(t, 2, strings.Count(answer, `"value":"x"`))
	require.Contains(t, answer, `"more":true`)
	one := `{"id":1,"method":"health"}`
	require.NotContains(t, ask("["+one+","+one+"]"), "error")
	require.Contains(t, ask("["+one+","+one+","+one+"]"), "-32600")
	http.DefaultClient.CloseIdleConnections()
}

// A header has a size and a time, and so has a connection without a request;
// TestADripFedHeaderIsCut has the time of the header pass.
func TestHeadersAreLimited(t *testing.T) {
	r := newRig(t, Config{})
	web := r.server.HTTPServer(nil)
	require.Equal(t, []any{10 * time.Second, 60 * time.Second, 32 << 10}, []any{web.ReadHeaderTimeout, web.IdleTimeout, web.MaxHeaderBytes})
	limited := httptest.NewUnstartedServer(r.server)
	limited.Config = web
	limited.Start()
	defer limited.Close()
	request, err := http.NewRequest(http.MethodGet, limited.URL+"/status", nil)
	require.NoError(t, err)
	request.Header.Set("X", strings.Repeat("x", 40<<10))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}
