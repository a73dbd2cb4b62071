package redismux_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/stretchr/testify/require"
)

// published sends a first message, until it is heard, and then the others.
func published(t testing.TB, server *redistest.Server, channel string, messages ...string) {
	t.Helper()
	eventually(t, func() bool { return publish(t, server, channel, messages[0]) > 0 })
	for _, message := range messages[1:] {
		publish(t, server, channel, message)
	}
}

func TestLeavingTheLoopRemovesTheChannels(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	go published(t, server, "a", "1", "2", "3")
	var got []string
	for message, err := range mux.Messages(within(t), "a", "b") {
		require.NoError(t, err)
		if got = append(got, message.Channel+"="+string(message.Data)); len(got) == 3 {
			break
		}
	}
	require.Equal(t, []string{"a=1", "a=2", "a=3"}, got)
	eventually(t, func() bool { channels, _ := subscribed(t, server); return channels == 0 })
}

func TestMessagesEndWithTheCause(t *testing.T) {
	server := redistest.Start(t, "--user", "limited", "on", ">pw", "~*", "+@all", "resetchannels", "&ok", "&lost", "&left", "&stopped")
	option := server.Option()
	option.Username, option.Password = "limited", "pw"
	mux := newMux(t, option, redismux.Options{BufferBytes: 10 << 10})

	// Each has a channel of its own: one that was just left may still be
	// subscribed to, and take the message that the next loop waits for.
	t.Run("refused", func(t *testing.T) {
		requireLast(t, mux, within(t), "NOPERM", "forbidden", func(redismux.Message) {})
	})
	t.Run("lost", func(t *testing.T) {
		go published(t, server, "lost", "1")
		requireLast(t, mux, within(t), "connection lost", "lost", func(redismux.Message) { server.KillClients(t, "sub=1") })
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(within(t))
		go published(t, server, "left", "1")
		requireLast(t, mux, ctx, "enough", "left", func(redismux.Message) { cancel(errors.New("enough")) })
	})
	t.Run("overflow", func(t *testing.T) {
		go published(t, server, "ok", "1")
		first := true
		requireLast(t, mux, within(t), redismux.ErrOverflow.Error(), "ok", func(redismux.Message) {
			for i := 0; first && i < 20; i++ {
				publish(t, server, "ok", strings.Repeat("x", 1000))
			}
			if first {
				first = false
				barrier(t, server, mux)
			}
		})
	})
	t.Run("stopped", func(t *testing.T) {
		go published(t, server, "stopped", "1")
		requireLast(t, mux, within(t), redismux.ErrStopped.Error(), "stopped", func(redismux.Message) { mux.Stop() })
	})
}

// barrier returns when what was published so far was dispatched.
func barrier(t testing.TB, server *redistest.Server, mux *redismux.Multiplexer) {
	done, active := make(chan struct{}), make(chan struct{})
	sub := mux.NewChannelSubscription(func(_ string, message []byte) {
		if string(message) == "barrier" {
			close(done)
		}
	}, nil, func(string) { close(active) })
	defer sub.Close()
	require.NoError(t, sub.Add("ok"))
	<-active
	publish(t, server, "ok", "barrier")
	<-done
}

// requireLast ranges over a channel to the end, which must be an error that
// contains text.
func requireLast(t *testing.T, mux *redismux.Multiplexer, ctx context.Context, text, channel string, onMessage func(redismux.Message)) {
	t.Helper()
	var last error
	for message, err := range mux.Messages(ctx, channel) {
		require.NoError(t, last, "one error, and last")
		if last = err; err == nil {
			onMessage(message)
		}
	}
	require.ErrorContains(t, last, text)
}
