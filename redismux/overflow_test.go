package redismux_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
)

// The next connection would overflow as well, as long as the callbacks are busy
// with what came through the last one.
func TestConnectionIsNotMadeAgainBeforeAnOverflowWasTold(t *testing.T) {
	redis := redistest.Start(t)
	mux := redismux.NewWithOpts(redismux.FromOption(redis.Option()), redismux.Options{BufferBytes: 10_000})
	defer mux.Stop()
	active, busy := make(chan struct{}, 2), make(chan struct{})
	free := sync.OnceFunc(func() { close(busy) })
	defer free()
	sub := mux.NewChannelSubscription(func(string, []byte) { <-busy }, nil, func(string) { active <- struct{}{} })
	require.NoError(t, sub.Add("a"))
	<-active
	for range 100 {
		redis.Do(t, "PUBLISH", "a", strings.Repeat("x", 1000))
	}
	require.Eventually(t, func() bool { return mux.Stats().Disconnects == 1 }, 30*time.Second, time.Millisecond)
	time.Sleep(200 * time.Millisecond) // many times the first delay before a dial
	require.EqualValues(t, 1, mux.Stats().Dials)
	free()
	<-active
	require.EqualValues(t, 2, mux.Stats().Dials)
}
