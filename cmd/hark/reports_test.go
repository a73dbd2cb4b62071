package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who is refused is in the file of --access-log, and at --webhook, signed.
func TestServeReportsWhoIsRefused(t *testing.T) {
	posted := make(chan *http.Request, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		posted <- r
	}))
	defer receiver.Close()
	folder := t.TempDir()
	key, access := filepath.Join(folder, "key"), filepath.Join(folder, "access.log")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600))
	hark, address := startServe(t, "--listen", "127.0.0.1:0", "--access-log", access, "--webhook", receiver.URL, "--webhook-key", key)
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/status", nil)
	require.NoError(t, err)
	request.Host = "evil.test"
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusMisdirectedRequest, response.StatusCode)
	report := <-posted
	require.Regexp(t, regexp.MustCompile(`^t=\d+,v1=[0-9a-f]{64}$`), report.Header.Get("Hark-Signature"))
	body, err := io.ReadAll(report.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"kind":"refused","reason":"host"`)
	hark.stop(t)
	text, err := os.ReadFile(access)
	require.NoError(t, err)
	require.Regexp(t, `^time=\S+ level=INFO msg=access method=GET path=/status status=421 bytes=\d+ duration=\S+ identity="" remote=127.0.0.1\n$`, string(text))
	http.DefaultClient.CloseIdleConnections()
}

func TestFlagsOfReportsAreChecked(t *testing.T) {
	short := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(short, []byte("short"), 0o600))
	for said, flags := range map[string][]string{
		"--webhook-key is for --webhook": {"--webhook-key", short},
		"needs 32":                       {"--webhook", "http://127.0.0.1", "--webhook-key", short},
		"Config.Webhook.URL":             {"--webhook", "127.0.0.1"},
		"--access-log":                   {"--access-log", "/nowhere/at/all"},
	} {
		var out bytes.Buffer
		require.Equal(t, 2, run(append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...), strings.NewReader(""), io.Discard, &out))
		require.Contains(t, out.String(), said)
	}
}

// With --presence whoever may subscribe is told who does, and without it nobody.
func TestServeTellsWhoSubscribes(t *testing.T) {
	for _, on := range []bool{true, false} {
		flags := []string{"--listen", "127.0.0.1:0"}
		if on {
			flags = append(flags, "--presence")
		}
		hark, address := startServe(t, flags...)
		response, err := http.Get("http://" + address + "/presence?topic=/a")
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, on, strings.Contains(string(body), `"total":0`), string(body))
		http.DefaultClient.CloseIdleConnections()
		hark.stop(t)
	}
}
