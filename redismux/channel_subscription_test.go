package redismux_test

import (
	"testing"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/stretchr/testify/require"
)

func TestChannelsComeAndGo(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, d.onDisconnect, d.onActivation)
	require.Empty(t, sub.Channels())

	require.NoError(t, sub.Add("a", "b", "a"))
	require.Equal(t, map[string]struct{}{"a": {}, "b": {}}, sub.Channels())
	d.await(t, "active a", "active b")
	publish(t, server, "a", "1")
	publish(t, server, "b", "2")
	d.await(t, "a=1", "b=2")

	require.NoError(t, sub.Remove("a", "unknown"))
	require.False(t, sub.HasChannel("a"))
	eventually(t, func() bool { return publish(t, server, "a", "unheard") == 0 })
	require.NoError(t, sub.Clear())
	eventually(t, func() bool { channels, _ := subscribed(t, server); return channels == 0 })
	require.Equal(t, []string{"active a", "active b", "a=1", "b=2"}, d.text())
}

func TestUseAfterClose(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, nil, d.onActivation)
	require.NoError(t, sub.Add("a"))
	d.await(t, "active a")
	sub.Close()
	sub.Close()
	require.ErrorIs(t, sub.Add("b"), redismux.ErrClosed)
	require.ErrorIs(t, sub.Add(), redismux.ErrClosed)
	require.ErrorIs(t, sub.Remove("a"), redismux.ErrClosed)
	require.ErrorIs(t, sub.Clear(), redismux.ErrClosed)
	require.Empty(t, sub.Channels())
	eventually(t, func() bool { channels, _ := subscribed(t, server); return channels == 0 })
	require.Zero(t, mux.Stats().Subscriptions)
}

func TestNilOnMessagePanics(t *testing.T) {
	mux := newMux(t, redistest.Start(t).Option())
	require.Panics(t, func() { mux.NewChannelSubscription(nil, nil, nil) })
	require.Panics(t, func() { mux.NewPatternSubscription("p", nil, nil, nil) })
	require.Panics(t, func() { redismux.New(nil) })
}

func TestAllListenersOfANameGetAMessageInTheOrderTheyCame(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	for _, name := range []string{"first", "second", "third"} {
		onMessage, _, onActivation, _ := d.as(name)
		require.NoError(t, mux.NewChannelSubscription(onMessage, nil, onActivation).Add("c"))
		d.await(t, name+": active c")
	}
	publish(t, server, "c", "x")
	d.await(t, "third: c=x")
	require.Equal(t, []string{"first: c=x", "second: c=x", "third: c=x"}, d.text()[3:])
	require.Equal(t, 1, mux.Stats().Channels)
}

func TestTenThousandNamesTakeTwentyCommands(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	eventually(t, func() bool { return mux.Stats().Connected })
	all := names("c", 10_000)
	d := newDiary()
	sub := mux.NewChannelSubscription(d.onMessage, nil, d.onActivation)
	require.NoError(t, sub.Add(all...))
	eventually(t, func() bool { return d.count("active c09999") == 1 })
	lines := d.text()
	require.Len(t, lines, len(all), "each once")
	for i, name := range all {
		require.Equal(t, "active "+name, lines[i], "in the order of the call")
	}
	require.LessOrEqual(t, mux.Stats().Commands, uint64(2*20), "the writer may catch up with the caller")
}

// A callback may do everything but stop the Multiplexer.
func TestCallbacksMayCallEveryMethod(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	var sub, other *redismux.ChannelSubscription
	done := make(chan struct{})
	other = mux.NewChannelSubscription(d.onMessage, nil, nil)
	ready := make(chan struct{})
	sub = mux.NewChannelSubscription(func(channel string, message []byte) {
		switch string(message) {
		case "1":
			_ = sub.Add("b")
			_ = sub.Remove("a")
		case "2":
			other.Close()
			mux.NewPatternSubscription("p*", d.onMessage, nil, d.onActivation).Close()
			sub.Close()
			close(done)
		}
	}, nil, func(name string) {
		if name == "a" {
			close(ready)
			return
		}
		d.onActivation(name)
	})
	require.NoError(t, sub.Add("a"))
	<-ready
	publish(t, server, "a", "1")
	d.await(t, "active b")
	publish(t, server, "b", "2")
	<-done
	eventually(t, func() bool { s := mux.Stats(); return s.Subscriptions+s.Channels+s.Patterns == 0 })
}

// What is removed in a callback gets nothing more, even if it is next in line
// for the very message.
func TestNothingComesAfterRemove(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	d := newDiary()
	var second *redismux.ChannelSubscription
	first := mux.NewChannelSubscription(func(channel string, message []byte) {
		d.onMessage(channel, message)
		second.Close()
	}, nil, d.onActivation)
	second = mux.NewChannelSubscription(func(string, []byte) { d.note("too late") }, nil, d.onActivation)
	require.NoError(t, first.Add("c"))
	require.NoError(t, second.Add("c"))
	d.await(t, "active c", "active c")
	publish(t, server, "c", "1")
	publish(t, server, "c", "2")
	d.await(t, "c=1", "c=2")
	require.NotContains(t, d.text(), "too late")
}
