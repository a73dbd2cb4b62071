package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// window is how many publications the server keeps for those who come back.
const window = 2_000

// apart is a loopback address on which clients have no ports, so that whoever
// was killed finds its own free again.
const apart = "127.0.0.3"

// A step is what a client tells.
type step struct {
	Client string
	Open   bool // it has connected
	N      int  // the event that it got
	Cursor string
	Gap    *struct{ From, To, Reason string }
	Error  string
}

// A walk is a server, a proxy that breaks, and clients that follow the server's
// events through it.
type walk struct {
	t       *testing.T
	n       *node
	proxy   *proxy
	clients []string
	flags   []string // of the server
	cursors []string // of each event; the first is 1

	mu    sync.Mutex
	opens map[string]int
	last  map[string]int    // event
	steps map[string][]step // but for opens
}

func newWalk(t *testing.T, clients []string, flags ...string) *walk {
	w := &walk{
		t: t, clients: clients, flags: append(flags, "--buffer", "10000", "--window-count", fmt.Sprint(window)),
		cursors: []string{""}, opens: map[string]int{}, last: map[string]int{}, steps: map[string][]step{},
	}
	w.n = serve(t, freeAddressOn(t, apart), w.flags...)
	w.proxy = &proxy{t: t, address: freeAddressOn(t, apart), to: w.n.address}
	w.proxy.start()
	t.Cleanup(func() {
		w.proxy.kill()
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("published %d, connections %v, last events %v", len(w.cursors)-1, w.opens, w.last)
		}
	})
	return w
}

// listen takes what the clients tell, a line each.
func (w *walk) listen(told io.Reader) {
	lines := bufio.NewScanner(told)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			s.Error = lines.Text()
		}
		w.mu.Lock()
		switch {
		case s.Error != "":
			w.t.Errorf("%s: %s", s.Client, s.Error)
		case s.Open:
			w.opens[s.Client]++
		default:
			w.last[s.Client] = max(w.last[s.Client], s.N)
			w.steps[s.Client] = append(w.steps[s.Client], s)
		}
		w.mu.Unlock()
	}
}

// every says whether something is true of every client.
func (w *walk) every(is func(client string) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(w.clients, func(client string) bool { return !is(client) })
}

// wait waits until something is true of every client.
func (w *walk) wait(is func(client string) bool, what string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.every(is) }, 2*time.Minute, 5*time.Millisecond, what)
}

// caughtUp waits until the clients have got the newest event.
func (w *walk) caughtUp() {
	w.t.Helper()
	w.wait(func(client string) bool { return w.last[client] == len(w.cursors)-1 }, "every client gets the newest event")
}

// publish publishes n events.
func (w *walk) publish(n int) {
	w.t.Helper()
	for range n {
		event := fmt.Sprintf(`{"data":%d,"events":{"interop.n":"%[1]d"}}`, len(w.cursors))
		response, err := http.Post("http://"+w.n.address+"/publish", "application/json", strings.NewReader(event))
		require.NoError(w.t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(w.t, err)
		require.NoError(w.t, response.Body.Close())
		var answer struct{ Cursor string }
		require.NoError(w.t, json.Unmarshal(body, &answer))
		w.cursors = append(w.cursors, answer.Cursor)
	}
}

// cut publishes, cuts all connections in the middle of it, and goes on until
// the clients are back, but not beyond what the window has.
func (w *walk) cut() {
	w.t.Helper()
	w.mu.Lock()
	before := maps.Clone(w.opens)
	w.mu.Unlock()
	back := func(client string) bool { return w.opens[client] > before[client] }
	w.publish(50)
	w.proxy.cut()
	for range window / 2 {
		if w.every(back) {
			break
		}
		w.publish(1)
		time.Sleep(time.Millisecond)
	}
	w.wait(back, "every client connects again")
	w.publish(50)
	w.caughtUp()
}

// all goes through everything that breaks, and compares what each client was
// told with what was published.
func (w *walk) all(cuts int) {
	t := w.t
	w.wait(func(client string) bool { return w.opens[client] > 0 }, "every client connects")
	for range cuts {
		w.cut()
	}

	w.proxy.kill()
	w.publish(window / 2)
	w.proxy.start()
	w.caughtUp()

	w.proxy.kill()
	w.publish(window + window/2)
	w.proxy.start()
	w.caughtUp()

	w.proxy.kill()
	w.publish(20) // which nobody gets
	w.n.kill()
	w.n = serve(t, w.n.address, w.flags...)
	w.publish(50)
	w.proxy.start()
	w.caughtUp()

	for _, client := range w.clients {
		reasons, received := w.compare(client)
		require.Equal(t, []string{"retention", "epoch_changed"}, reasons, client)
		t.Logf("%s: %d connections, %d of %d events once and in order, the others in two gaps", client, w.opens[client], received, len(w.cursors)-1)
	}
}

// compare looks at every event that was published: a client got it, once and in
// order, or it is in a gap, and nothing else is. It returns the gaps' reasons.
func (w *walk) compare(client string) (reasons []string, received int) {
	t := w.t
	next := 1
	for _, s := range w.steps[client] {
		if s.Gap == nil {
			require.Equal(t, next, s.N, client)
			require.Equal(t, w.cursors[next], s.Cursor, client)
			received++
			next++
			continue
		}
		require.Less(t, w.cursors[next-1], s.Gap.From, "%s was given event %d, which is in the gap", client, next-1)
		require.LessOrEqual(t, s.Gap.From, w.cursors[next], "%s: the gap begins after event %d", client, next)
		for next < len(w.cursors) && w.cursors[next] <= s.Gap.To {
			next++
		}
		reasons = append(reasons, s.Gap.Reason)
	}
	require.Equal(t, len(w.cursors), next, client)
	return reasons, received
}

// Three clients of npm follow the bus through cuts of all connections, a proxy
// that is killed, a window that is too short and a server that is killed.
func TestNpmClientsResumeWithoutLoss(t *testing.T) {
	t.Parallel()
	npmCI(t, "npm")
	w := newWalk(t, []string{"eventsource", "reconnecting-websocket", "rpc-websockets"})
	client := exec.Command("node", "client.js", w.proxy.address)
	client.Dir = "npm"
	client.Stderr = os.Stderr
	stdout, err := client.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, client.Start())
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		w.listen(stdout)
	}()
	t.Cleanup(func() {
		_ = client.Process.Kill()
		<-heard
		_ = client.Wait()
	})
	w.all(1)
}
