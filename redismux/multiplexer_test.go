package redismux_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

func TestStopAndRestart(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
	d.await(t, "active c")
	require.ErrorIs(t, mux.Restart(), redismux.ErrRunning)

	mux.Stop()
	require.Equal(t, []string{"active c", "lost"}, d.text())
	require.ErrorIs(t, d.lastCause(), redismux.ErrStopped)
	mux.Stop()
	eventually(t, func() bool { return publish(t, server, "c", "unheard") == 0 })

	late := mux.NewChannelSubscription(d.onMessage, nil, d.onActivation)
	require.NoError(t, late.Add("late"))
	require.NoError(t, mux.Restart())
	d.await(t, "active c", "active c", "active late")
	publish(t, server, "late", "x")
	d.await(t, "late=x")
}

func TestStopBeforeThereIsAServer(t *testing.T) {
	proxy := redistest.StartProxy(t, "127.0.0.1:1")
	for _, fault := range []func(){func() {}, func() { proxy.Blackhole(true) }, func() { proxy.Refuse(t, true) }} {
		fault()
		mux := redismux.New(redismux.FromOption(rueidis.ClientOption{InitAddress: []string{proxy.Addr}}))
		eventually(t, func() bool { return mux.Stats().Dials > 0 })
		began := time.Now()
		mux.Stop()
		require.Less(t, time.Since(began), 500*time.Millisecond)
	}
}

// A connection to a black hole does not delay Stop by the second that rueidis
// gives it.
func TestStopInABlackHole(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()))
	eventually(t, func() bool { return mux.Stats().Connected })
	proxy.Blackhole(true)
	began := time.Now()
	mux.Stop()
	require.Less(t, time.Since(began), 500*time.Millisecond)
}

func TestStopAndRestartFromManyGoroutines(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				name := fmt.Sprintf("c%d.%d", i, j)
				_ = sub.Add(name)
				mux.Stop()
				_ = mux.Restart()
				_ = sub.Remove(name)
				mux.Stats()
			}
		})
	}
	all.Wait()
	_ = mux.Restart()
	require.NoError(t, sub.Add("last"))
	d.await(t, "active last")
	eventually(t, func() bool { channels, _ := subscribed(t, server); return channels == 1 })
}

func TestLossIsToldInOrderAndNamesComeBack(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()))
	d := newDiary()
	entered, release := make(chan struct{}, 4), make(chan struct{})
	tell, onDisconnect, onActivation, _ := d.as("1")
	first := mux.NewChannelSubscription(func(channel string, message []byte) {
		entered <- struct{}{}
		<-release // what follows piles up behind
		tell(channel, message)
	}, onDisconnect, onActivation)
	require.NoError(t, first.Add("c"))
	onMessage, onDisconnect, onActivation, _ := d.as("2")
	mux.NewPatternSubscription("c*", onMessage, onDisconnect, onActivation)
	onMessage, onDisconnect, _, _ = d.as("3")
	mux.NewChannelSubscription(onMessage, onDisconnect, nil)
	d.await(t, "1: active c", "2: active c*")
	d.reset()

	for i := range 3 {
		publish(t, server, "c", fmt.Sprint(i))
	}
	<-entered
	require.Positive(t, proxy.Cut())
	eventually(t, func() bool { return mux.Stats().Disconnects == 1 })
	require.Empty(t, d.text())
	close(release)
	d.await(t, "1: c=0", "1: active c", "2: active c*")
	lines := d.text()
	lost := slices.Index(lines, "1: lost")
	require.Equal(t, []string{"1: lost", "2: lost", "3: lost"}, lines[lost:lost+3], "in the order of creation")
	for _, line := range lines[:lost] {
		require.Contains(t, line, "=", "messages come first")
	}
	for _, line := range lines[lost+3:] {
		require.Contains(t, line, "active", "then names come back")
	}
	publish(t, server, "c", "again")
	d.await(t, "1: c=again", "2: c=again")
}

func TestServerIsKilledAndRestarted(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	all := names("c", 2000)
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add(all...))
	for range 3 {
		eventually(t, func() bool { return d.count("active c01999") == 1 })
		d.reset()
		server.Kill()
		d.await(t, "lost")
		server.Restart(t)
	}
	eventually(t, func() bool { return d.count("active c01999") == 1 })
	channels, _ := subscribed(t, server)
	require.Equal(t, len(all), channels)
	lines := d.text()
	require.Len(t, lines, 1+len(all))
	for i, name := range all {
		require.Equal(t, "active "+name, lines[1+i], "in the order of the first call")
	}
}

// What was changed while the server was away holds when it is back.
func TestChangesWhileDisconnected(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()))
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation)
	require.NoError(t, sub.Add("stays", "goes", "changes"))
	d.await(t, "active stays", "active goes", "active changes")
	proxy.Refuse(t, true)
	proxy.Cut()
	d.await(t, "lost")
	d.reset()
	require.NoError(t, sub.Remove("goes", "changes"))
	require.NoError(t, sub.Add("comes", "changes"))
	proxy.Refuse(t, false)
	d.await(t, "active stays", "active comes", "active changes")
	names, err := server.Do(t, "PUBSUB", "CHANNELS").AsStrSlice()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"stays", "comes", "changes"}, names)
	require.Len(t, d.text(), 3)
}

func TestConnectThenCutBacksOff(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	proxy.CutOn("SUBSCRIBE")
	mux := newMux(t, through(proxy, server.Option()))
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
	<-time.After(2 * time.Second)
	t.Logf("%d dials in 2 s", proxy.Dials())
	require.Less(t, proxy.Dials(), 30, "13.5 attempts on average, the first with two dials")
	proxy.CutOn("")
	d.await(t, "active c")
}

func TestRefusedNamesAreFoundByHalves(t *testing.T) {
	server, option := limited(t, "+@all", "resetchannels", "&ok*")
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, option))
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	all := names("ok", 2000)
	all = slices.Insert(all, 700, "no1")
	all = slices.Insert(all, 701, "no2")
	all = append(all, "no3")
	require.NoError(t, sub.Add(all...))
	eventually(t, func() bool { return len(d.text()) == len(all) })
	d.await(t, "error no1", "error no2", "error no3", "active ok00000", "active ok01999")
	require.ErrorContains(t, d.lastCause(), "NOPERM")
	require.Contains(t, sub.Channels(), "no1", "it is tried again")
	require.Zero(t, mux.Stats().Disconnects)
	require.Equal(t, 2, proxy.Dials())

	// Permission is given, and asked for by another subscription.
	server.Do(t, "ACL", "SETUSER", "limited", "&no1")
	other := mux.NewChannelSubscription(d.onMessage, nil, d.onActivation)
	require.NoError(t, other.Add("no1"))
	d.await(t, "active no1", "active no1")

	// Permission is taken away, by which Redis ends the connection.
	d.reset()
	server.Do(t, "ACL", "SETUSER", "limited", "resetchannels", "&ok*", "&no1")
	server.Do(t, "ACL", "SETUSER", "limited", "resetchannels", "&ok00001")
	d.await(t, "lost", "active ok00001", "error ok00000", "error no1")
}

func TestACommandThatIsRefusedIsNotTriedByHalves(t *testing.T) {
	_, option := limited(t, "&*", "+@all", "-psubscribe", "-subscribe")
	mux := newMux(t, option)
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	require.NoError(t, sub.Add(names("c", 512)...))
	eventually(t, func() bool { return len(d.text()) == 512 })
	require.Less(t, mux.Stats().Commands, uint64(10))
	require.EqualValues(t, 512, mux.Stats().Refused)
}

func TestRefusalsGoToTheOptionWithoutACallback(t *testing.T) {
	_, option := limited(t, "+@all", "resetchannels")
	d := newDiary()
	mux := newMux(t, option, redismux.Options{OnError: d.onError})
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, nil, nil).Add("c"))
	mux.NewPatternSubscription("p*", d.onMessage, nil, nil)
	mux.NewPatternSubscription("", d.onMessage, nil, nil)
	d.await(t, "error c", "error p*", "error ")
}

func TestWrongPasswordIsRetriedWithoutACallback(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	option := server.Option()
	option.Password = "wrong"
	var log syncBuffer
	mux := newMux(t, option, redismux.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
	eventually(t, func() bool { return mux.Stats().DialErrors >= 3 })
	require.Contains(t, log.String(), "WRONGPASS")
	require.NotContains(t, log.String(), "wrong\"")
	require.Empty(t, d.text())
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAFactoryThatFailsIsCalledAgain(t *testing.T) {
	server := redistest.Start(t)
	calls := 0
	good := redismux.FromOption(server.Option())
	mux := redismux.New(func(ctx context.Context) (rueidis.Client, error) {
		switch calls++; calls {
		case 1:
			return nil, errors.New("not yet")
		case 2:
			return nil, nil
		}
		return good(ctx)
	})
	defer mux.Stop()
	eventually(t, func() bool { return mux.Stats().Connected })
	require.EqualValues(t, 2, mux.Stats().DialErrors)
}

func TestASharedClientIsNotClosed(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	mux := redismux.New(redismux.FromClient(client))
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
	d.await(t, "active c")
	require.Positive(t, server.KillClients(t, "sub=1"))
	d.await(t, "lost", "active c", "active c")
	mux.Stop()
	require.NoError(t, client.Do(t.Context(), client.B().Ping().Build()).Error())
	eventually(t, func() bool { channels, _ := subscribed(t, server); return channels == 0 })
}

// A reconnect needs one dial: the client stays.
func TestOneConnectionIsSubscribed(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	mux := newMux(t, through(proxy, server.Option()))
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
	mux.NewPatternSubscription("p*", d.onMessage, nil, d.onActivation)
	d.await(t, "active c", "active p*")
	require.Equal(t, 1, mux.Stats().Connections)
	require.Equal(t, 2, proxy.Dials())
	proxy.Cut()
	d.await(t, "lost", "active c", "active c", "active p*", "active p*")
	require.Equal(t, 3, proxy.Dials())
}

func TestOverTLS(t *testing.T) {
	server := redistest.StartTLS(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, nil, d.onActivation).Add("c"))
	d.await(t, "active c")
	publish(t, server, "c", "secret")
	d.await(t, "c=secret")
}

func TestRESP2(t *testing.T) {
	server := redistest.Start(t)
	option := server.Option()
	option.AlwaysRESP2 = true
	mux := newMux(t, option)
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation)
	require.NoError(t, sub.Add("a", "b"))
	mux.NewPatternSubscription("p*", d.onMessage, nil, d.onActivation)
	d.await(t, "active a", "active b", "active p*")
	publish(t, server, "a", "1")
	publish(t, server, "px", "2")
	d.await(t, "a=1", "px=2")
	require.NoError(t, sub.Remove("a"))
	eventually(t, func() bool { return publish(t, server, "a", "unheard") == 0 })
	server.KillClients(t, "sub=1")
	d.await(t, "lost", "active b", "active b", "active p*", "active p*")
}

func TestSlowCallbacksEndTheConnectionNotTheProcess(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option(), redismux.Options{BufferBytes: 100 << 10})
	d := newDiary()
	release := make(chan struct{})
	sub := mux.NewChannelSubscription(func(string, []byte) { <-release; d.note("message") }, d.onDisconnect, d.onActivation)
	require.NoError(t, sub.Add("c"))
	d.await(t, "active c")
	load := strings.Repeat("x", 10_000)
	sent := 0
	for ; mux.Stats().Dropped == 0; sent++ {
		publish(t, server, "c", load)
	}
	require.LessOrEqual(t, mux.Stats().Pending, 100<<10)
	require.Equal(t, 1, d.count("active c"))
	close(release)
	d.await(t, "active c", "lost", "active c")
	lines := d.text()
	require.Equal(t, "lost", lines[len(lines)-2], "after what was in the buffer")
	require.ErrorIs(t, d.lastCause(), redismux.ErrOverflow)
	require.Less(t, d.count("message"), sent)
	require.Zero(t, mux.Stats().Pending)
}

// A message larger than the whole buffer still passes.
func TestAHugeMessage(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option(), redismux.Options{BufferBytes: 1})
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(func(_ string, message []byte) { d.note(fmt.Sprint(len(message))) }, nil, d.onActivation).Add("c"))
	d.await(t, "active c")
	publish(t, server, "c", strings.Repeat("x", 1<<20))
	d.await(t, "1048576")
}

func TestSentinelFailover(t *testing.T) {
	sentinel := redistest.StartSentinel(t)
	mux := newMux(t, sentinel.Option())
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation).Add("c"))
	d.await(t, "active c")
	publish(t, sentinel.Master(t), "c", "before")
	d.await(t, "c=before")
	master := sentinel.Failover(t)
	d.await(t, "lost", "active c", "active c")
	publish(t, master, "c", "after")
	d.await(t, "c=after")
}

// An error that passes costs no connection.
func TestABusyServerIsAskedAgain(t *testing.T) {
	server := redistest.Start(t, "--busy-reply-threshold", "20")
	proxy := redistest.StartProxy(t, server.Addr)
	var log syncBuffer
	mux := newMux(t, through(proxy, server.Option()), redismux.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	eventually(t, func() bool { return mux.Stats().Connected })
	busy, other := server.Client(t), server.Client(t)
	script := make(chan struct{})
	go func() {
		defer close(script)
		_ = busy.Do(within(t), busy.B().Eval().Script("while true do end").Numkeys(0).Build())
	}()
	eventually(t, func() bool {
		err := other.Do(within(t), other.B().Get().Key("k").Build()).Error()
		return strings.HasPrefix(err.Error(), "BUSY")
	})
	d := newDiary()
	require.NoError(t, mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError)).Add("c"))
	eventually(t, func() bool { return strings.Contains(log.String(), "BUSY") })
	require.NoError(t, other.Do(within(t), other.B().ScriptKill().Build()).Error())
	<-script
	d.await(t, "active c")
	require.Equal(t, []string{"active c"}, d.text())
	require.Equal(t, 2, proxy.Dials())
}

// The line of the package comment.
func TestTheDocumentedACLIsEnough(t *testing.T) {
	server := redistest.Start(t, "--user", "mux", "on", ">secret", "resetchannels", "&news.*", "&reply:*",
		"-@all", "+subscribe", "+unsubscribe", "+psubscribe", "+punsubscribe", "+ping", "+ssubscribe", "+sunsubscribe")
	option := server.Option()
	option.Username, option.Password, option.ForceSingleClient = "mux", "secret", false
	mux := newMux(t, option)
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	require.NoError(t, sub.Add("news.a", "news.b", "other"))
	sharded := mux.NewShardedSubscription(d.onMessage, d.onDisconnect, d.onActivation, redismux.WithOnError(d.onError))
	require.NoError(t, sharded.Add("news.s"))
	d.await(t, "active news.a", "active news.b", "error other", "active news.s")
	require.NoError(t, mux.NewPromiseSubscription("reply:").WaitForActivation(within(t)))
	require.NoError(t, sub.Remove("news.b"))
	eventually(t, func() bool { return publish(t, server, "news.b", "unheard") == 0 })
	<-time.After(time.Second) // some keep-alives
	require.Equal(t, 0, d.count("lost"))
}
