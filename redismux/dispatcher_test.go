package redismux

// In-package because the order in which a server's answers and its messages
// come cannot be had on demand.

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// unconnected returns a Multiplexer that never has a connection.
func unconnected(t *testing.T, options Options) *Multiplexer {
	t.Helper()
	m := NewWithOpts(func(ctx context.Context) (rueidis.Client, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, options)
	t.Cleanup(m.Stop)
	return m
}

func TestMessagesComeBetweenActivationAndDisconnect(t *testing.T) {
	m := unconnected(t, Options{})
	var told []string
	sub := m.NewChannelSubscription(
		func(_ string, message []byte) { told = append(told, string(message)) },
		func(error) { told = append(told, "disconnected") },
		func(string) { told = append(told, "active") })
	require.NoError(t, sub.Add("a"))
	m.mu.Lock()
	listened := m.topics[channels]["a"]
	listened.sent, listened.epoch, listened.awaiting = true, 1, 1
	m.mu.Unlock()
	message := func(text string) {
		m.tell(&event{what: messageCame, name: "a", channel: "a", message: text, link: m.base, epoch: 1})
	}
	m.tell(&event{what: linkUp, link: m.base, epoch: 1})
	message("before")
	m.tell(&event{what: confirmed, topics: []*topic{listened}, link: m.base, epoch: 1})
	message("while")
	m.tell(&event{what: linkLost, link: m.base, epoch: 1, err: errors.New("lost"), told: make(chan struct{})})
	message("after")
	require.Equal(t, []string{"active", "while", "disconnected"}, told)
}

// After a message that did not fit none of that connection comes: what was
// delivered before OnDisconnect has no hole.
func TestNothingFollowsAMessageThatDidNotFit(t *testing.T) {
	m := unconnected(t, Options{})
	c := &conn{link: m.base, inbox: newMailbox(1000), overflow: make(chan struct{})}
	say := func(size int) {
		c.onMessage(rueidis.PubSubMessage{Channel: "a", Message: strings.Repeat("x", size)})
	}
	say(100)
	say(1000)
	<-c.overflow
	say(1)
	events, _ := c.inbox.take(nil)
	require.Len(t, events, 1)
	require.EqualValues(t, 2, m.Stats().Dropped)
}

// A silent is a connection that notes how long it may take to answer.
type silent struct {
	rueidis.DedicatedClient
	until time.Time
}

func (s *silent) DoMulti(ctx context.Context, _ ...rueidis.Completed) []rueidis.RedisResult {
	s.until, _ = ctx.Deadline()
	return nil
}

func TestReplyIsNotAwaitedLongerThanItsTimeout(t *testing.T) {
	m := unconnected(t, Options{ReplyTimeout: time.Minute})
	s := &silent{}
	c := &conn{link: m.base, dedicated: s}
	c.do(t.Context(), nil)
	require.WithinDuration(t, time.Now().Add(time.Minute), s.until, 10*time.Second)
}
