//go:build browser

package interop

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Chromium's own EventSource and WebSocket follow the bus from a page of
// another origin, through the same as the clients of npm. `make browsers` runs
// it.
func TestBrowserResumesWithoutLoss(t *testing.T) {
	browser := os.Getenv("HARK_BROWSER")
	require.NotEmpty(t, browser, "make browsers says which")

	var w *walk
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(out http.ResponseWriter, r *http.Request) { http.ServeFile(out, r, "npm/page.html") })
	pages.HandleFunc("GET /follow.js", func(out http.ResponseWriter, r *http.Request) { http.ServeFile(out, r, "npm/follow.js") })
	pages.HandleFunc("POST /told", func(_ http.ResponseWriter, r *http.Request) { w.listen(r.Body) })
	site := httptest.NewServer(pages)
	t.Cleanup(site.Close)
	w = newWalk(t, []string{"EventSource", "WebSocket"}, "--origin", site.URL)

	var log strings.Builder
	chromium := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-breakpad", "--remote-debugging-port=0",
		"--enable-logging=stderr", "--user-data-dir="+t.TempDir(), site.URL+"/?bus="+w.proxy.address)
	chromium.Stderr = &log
	chromium.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is many processes
	chromium.WaitDelay = 10 * time.Second
	require.NoError(t, chromium.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-chromium.Process.Pid, syscall.SIGKILL)
		_ = chromium.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	w.all(10)
}
