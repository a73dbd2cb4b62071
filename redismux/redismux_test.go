package redismux_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(tests{m}, redistest.Sleepers()...)
}

// tests end what tests share before goroutines are counted.
type tests struct{ *testing.M }

func (m tests) Run() int {
	defer shared.close()
	return m.M.Run()
}

const patience = 20 * time.Second

// A diary notes the callbacks of one or more subscriptions, one line each:
//
//	active NAME    CHANNEL=MESSAGE    lost    error NAME
type diary struct {
	mu      sync.Mutex
	changed *sync.Cond
	lines   []string
	causes  []error // of "lost" and "error"
}

func newDiary() *diary {
	d := &diary{}
	d.changed = sync.NewCond(&d.mu)
	return d
}

func (d *diary) note(line string, causes ...error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	d.causes = append(d.causes, causes...)
	d.changed.Broadcast()
}

func (d *diary) onMessage(channel string, message []byte) { d.note(channel + "=" + string(message)) }
func (d *diary) onActivation(name string)                 { d.note("active " + name) }
func (d *diary) onDisconnect(cause error)                 { d.note("lost", cause) }
func (d *diary) onError(name string, err error)           { d.note("error "+name, err) }

// as puts a name before each line of a subscription.
func (d *diary) as(name string) (redismux.OnMessageFunc, redismux.OnDisconnectFunc, redismux.OnActivationFunc, redismux.SubscriptionOption) {
	return func(channel string, message []byte) { d.note(name + ": " + channel + "=" + string(message)) },
		func(cause error) { d.note(name+": lost", cause) },
		func(of string) { d.note(name + ": active " + of) },
		redismux.WithOnError(func(of string, err error) { d.note(name+": error "+of, err) })
}

func (d *diary) text() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func (d *diary) lastCause() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.causes[len(d.causes)-1]
}

func (d *diary) count(line string) int {
	n := 0
	for _, l := range d.text() {
		if l == line {
			n++
		}
	}
	return n
}

// reset empties the diary.
func (d *diary) reset() *diary {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines, d.causes = nil, nil
	return d
}

// await waits until the diary holds all the lines, each as often as it is given.
func (d *diary) await(t testing.TB, lines ...string) {
	t.Helper()
	timeout := time.AfterFunc(patience, func() { d.changed.Broadcast() })
	defer timeout.Stop()
	deadline := time.Now().Add(patience)
	d.mu.Lock()
	defer d.mu.Unlock()
	for !containsAll(d.lines, lines) {
		if !time.Now().Before(deadline) {
			t.Fatalf("no %q in\n%s", lines, strings.Join(d.lines, "\n"))
		}
		d.changed.Wait()
	}
}

func containsAll(have, want []string) bool {
	rest := slices.Clone(have)
	for _, w := range want {
		i := slices.Index(rest, w)
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}

func newMux(t testing.TB, option rueidis.ClientOption, options ...redismux.Options) *redismux.Multiplexer {
	t.Helper()
	var o redismux.Options
	if len(options) > 0 {
		o = options[0]
	}
	mux := redismux.NewWithOpts(redismux.FromOption(option), o)
	t.Cleanup(mux.Stop)
	return mux
}

func through(proxy *redistest.Proxy, option rueidis.ClientOption) rueidis.ClientOption {
	option.InitAddress = []string{proxy.Addr}
	return option
}

func publish(t testing.TB, server *redistest.Server, channel, message string) (receivers int64) {
	t.Helper()
	n, err := server.Do(t, "PUBLISH", channel, message).AsInt64()
	require.NoError(t, err)
	return n
}

// subscribed asks the server for the number of its subscribed channels and
// patterns.
func subscribed(t testing.TB, server *redistest.Server) (channels, patterns int) {
	t.Helper()
	names, err := server.Do(t, "PUBSUB", "CHANNELS").AsStrSlice()
	require.NoError(t, err)
	n, err := server.Do(t, "PUBSUB", "NUMPAT").AsInt64()
	require.NoError(t, err)
	return len(names), int(n)
}

func eventually(t testing.TB, condition func() bool, what ...any) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what...)
}

// within gives a test's wait an end.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func names(prefix string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return s
}

// limited starts a server with a user of the given permissions, and returns
// what reaches it as that user.
func limited(t testing.TB, permissions ...string) (*redistest.Server, rueidis.ClientOption) {
	t.Helper()
	server := redistest.Start(t, append([]string{"--user", "limited", "on", ">pw", "~*"}, permissions...)...)
	option := server.Option()
	option.Username, option.Password = "limited", "pw"
	return server, option
}
