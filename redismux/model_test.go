package redismux_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A listener is one subscription and what the model knows of it.
type listener struct {
	sub     *redismux.ChannelSubscription // nil for a pattern
	pattern *redismux.PatternSubscription
	wants   map[string]bool

	mu     sync.Mutex
	active map[string]bool // on the connection of now
	got    []string
	broken string // the first breach of the contract
}

func (l *listener) onMessage(channel string, message []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := channel
	if l.pattern != nil {
		name = l.pattern.GetPattern()
	}
	if !l.active[name] && l.broken == "" {
		l.broken = "message before activation of " + name
	}
	l.got = append(l.got, string(message))
}

func (l *listener) onActivation(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[name] = true
}

func (l *listener) onDisconnect(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.active)
}

func (l *listener) messages() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

func (l *listener) isActive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.wants {
		if !l.active[name] {
			return false
		}
	}
	return true
}

// Any sequence of calls, with connections cut in between, ends with the server
// subscribed to exactly what is wanted, and every listener getting exactly one
// copy of what it wants.
func TestMultiplexerAgainstAModel(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()), redismux.Options{MaxBackOff: 8 * time.Millisecond})
	client := server.Client(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{rt: rt, mux: mux, proxy: proxy}
		for range 3 {
			m.open()
		}
		rt.Repeat(map[string]func(*rapid.T){
			"add":     m.add,
			"remove":  m.remove,
			"clear":   m.clear,
			"swap":    m.swap,
			"pattern": m.togglePattern,
			"cut":     func(*rapid.T) { cut(t, mux, proxy) },
			"settle":  func(*rapid.T) { m.settle(t, server) },
		})
		m.settle(t, server)
		m.exchange(t, client)
		m.closeAll()
	})
}

// cut ends the connection and waits until the Multiplexer has noticed.
func cut(t testing.TB, mux *redismux.Multiplexer, proxy *redistest.Proxy) {
	eventually(t, func() bool { return mux.Stats().Connected })
	before := mux.Stats().Disconnects
	proxy.Cut()
	eventually(t, func() bool { return mux.Stats().Disconnects > before })
}

type model struct {
	rt        *rapid.T
	mux       *redismux.Multiplexer
	proxy     *redistest.Proxy
	listeners []*listener
	pattern   *listener
}

var modelNames = []string{"a", "b", "aa", "ab", "c"}

func (m *model) open() {
	l := &listener{wants: map[string]bool{}, active: map[string]bool{}}
	l.sub = m.mux.NewChannelSubscription(l.onMessage, l.onDisconnect, l.onActivation)
	m.listeners = append(m.listeners, l)
}

func (m *model) pick(rt *rapid.T) (*listener, []string) {
	return rapid.SampledFrom(m.listeners).Draw(rt, "listener"), rapid.SliceOf(rapid.SampledFrom(modelNames)).Draw(rt, "names")
}

func (m *model) add(rt *rapid.T) {
	l, names := m.pick(rt)
	require.NoError(rt, l.sub.Add(names...))
	for _, name := range names {
		l.wants[name] = true
	}
}

func (m *model) remove(rt *rapid.T) {
	l, names := m.pick(rt)
	require.NoError(rt, l.sub.Remove(names...))
	for _, name := range names {
		delete(l.wants, name)
	}
}

func (m *model) clear(rt *rapid.T) {
	l, _ := m.pick(rt)
	require.NoError(rt, l.sub.Clear())
	clear(l.wants)
}

func (m *model) swap(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.listeners)-1).Draw(rt, "listener")
	m.listeners[i].sub.Close()
	m.listeners = slices.Delete(m.listeners, i, i+1)
	m.open()
}

func (m *model) togglePattern(*rapid.T) {
	if m.pattern != nil {
		m.pattern.pattern.Close()
		m.pattern = nil
		return
	}
	l := &listener{wants: map[string]bool{"a*": true}, active: map[string]bool{}}
	l.mu.Lock() // the callbacks read l.pattern
	l.pattern = m.mux.NewPatternSubscription("a*", l.onMessage, l.onDisconnect, l.onActivation)
	l.mu.Unlock()
	m.pattern = l
}

// all returns the listeners, the pattern among them.
func (m *model) all() []*listener {
	all := slices.Clone(m.listeners)
	if m.pattern != nil {
		all = append(all, m.pattern)
	}
	return all
}

// settle waits until the server has what is wanted and every listener knows.
func (m *model) settle(t *testing.T, server *redistest.Server) {
	wanted := map[string]bool{}
	for _, l := range m.listeners {
		maps.Copy(wanted, l.wants)
		have := map[string]bool{}
		for name := range l.sub.Channels() {
			have[name] = true
		}
		require.Equal(m.rt, l.wants, have)
	}
	patterns := 0
	if m.pattern != nil {
		patterns = 1
	}
	eventually(t, func() bool {
		names, err := server.Do(t, "PUBSUB", "CHANNELS").AsStrSlice()
		_, n := subscribed(t, server)
		if err != nil || n != patterns || len(names) != len(wanted) {
			return false
		}
		for _, name := range names {
			if !wanted[name] {
				return false
			}
		}
		return !slices.ContainsFunc(m.all(), func(l *listener) bool { return !l.isActive() })
	})
}

// exchange publishes one message to each name, and a last one to all.
func (m *model) exchange(t *testing.T, client rueidis.Client) {
	for _, name := range append(slices.Clone(modelNames), modelNames...) {
		require.NoError(m.rt, client.Do(t.Context(), client.B().Publish().Channel(name).Message("to "+name).Build()).Error())
	}
	for i, l := range m.all() {
		var want []string
		for _, name := range append(slices.Clone(modelNames), modelNames...) {
			if l.wants[name] || l.pattern != nil && strings.HasPrefix(name, "a") {
				want = append(want, "to "+name)
			}
		}
		eventually(t, func() bool { return len(l.messages()) >= len(want) }, fmt.Sprint(i))
		require.Equal(m.rt, want, l.messages())
		require.Empty(m.rt, l.broken)
	}
}

func (m *model) closeAll() {
	for _, l := range m.listeners {
		l.sub.Close()
	}
	if m.pattern != nil {
		m.pattern.pattern.Close()
	}
}

// Everything at once from many goroutines, with cuts, leaves nothing behind.
func TestEverythingAtOnce(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()), redismux.Options{MaxBackOff: 8 * time.Millisecond})
	client := server.Client(t)
	ignore := func(string, []byte) {}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("c%d", (worker+i)%5)
				sub := mux.NewChannelSubscription(ignore, func(error) {}, func(string) {})
				_ = sub.Add(name, "x", fmt.Sprint(worker, i))
				promises := mux.NewPromiseSubscription(name)
				if promise, err := promises.WaitForNewPromise(within(t), "p", time.Duration(i%3)*time.Millisecond); err == nil {
					_, _ = promise.Wait(within(t))
				}
				pattern := mux.NewPatternSubscription(name+"*", ignore, nil, nil)
				_ = client.Do(t.Context(), client.B().Publish().Channel(name).Message("m").Build()).Error()
				_ = sub.Remove("x")
				pattern.Close()
				promises.Close()
				sub.Close()
			}
		})
	}
	for range 20 {
		cut(t, mux, proxy)
	}
	eventually(t, func() bool { return mux.Stats().Messages > 0 })
	close(stop)
	all.Wait()
	eventually(t, func() bool { channels, patterns := subscribed(t, server); return channels+patterns == 0 })
	eventually(t, func() bool { s := mux.Stats(); return s.Subscriptions+s.Channels+s.Patterns+s.Pending == 0 })
}
