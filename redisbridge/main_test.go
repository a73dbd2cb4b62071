package redisbridge

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"
)

func TestMain(m *testing.M) {
	runChaosProcess()
	goleak.VerifyTestMain(m, redistest.Sleepers()...)
}

const patience = 30 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func startServer(t testing.TB) *pubsub.Server {
	t.Helper()
	s := pubsub.NewServer()
	require.NoError(t, s.Start())
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func attach(t testing.TB, s *pubsub.Server, o Options) *Bridge {
	t.Helper()
	b, err := Attach(s, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func subscribeAll(t testing.TB, s *pubsub.Server, capacity int) *pubsub.Subscription {
	t.Helper()
	sub, err := s.SubscribeWithArgs(context.Background(), pubsub.SubscribeArgs{ClientID: t.Name(), Query: query.All, Capacity: capacity})
	require.NoError(t, err)
	return sub
}

func TestMiniredisServes(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			mini := miniredis.RunT(t)
			redis, err := ParseURL("redis://" + mini.Addr())
			require.NoError(t, err)
			a, b := startServer(t), startServer(t)
			ba := attach(t, a, Options{Redis: redis, Mode: mode})
			bb := attach(t, b, Options{Redis: redis, Mode: mode})
			ctx := within(t, patience)
			require.NoError(t, ba.Ready(ctx))
			require.NoError(t, bb.Ready(ctx))
			sub := subscribeAll(t, b, 10000)
			require.NoError(t, bb.Announce(ctx))
			for i := range 1000 {
				require.NoError(t, ba.Publish(ctx, i, map[string][]string{"tm.event": {"Tx"}, "n": {"1", "2"}}))
			}
			require.NoError(t, ba.Flush(ctx))
			for i := range 1000 {
				m, err := sub.Next(ctx)
				require.NoError(t, err)
				require.Equal(t, i, m.Data())
				require.Equal(t, ba.Origin(), m.Origin())
				require.Equal(t, map[string][]string{"tm.event": {"Tx"}, "n": {"1", "2"}}, m.Events())
			}
			require.NoError(t, ba.Close())
			require.NoError(t, bb.Close())
		})
	}
}

// The table of faults names the tests that show what it says.
func TestTestsThatTheDocumentationNamesExist(t *testing.T) {
	page, err := os.ReadFile("../docs/bridge.md")
	require.NoError(t, err)
	var source strings.Builder
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		source.Write(text)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+|…[A-Za-z0-9]+)(…?)`").FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(named), 25)
	for _, n := range named {
		pattern := `func ` + strings.Replace(n[1], "…", `Test\w*`, 1)
		if n[2] == "" {
			pattern += `\(`
		}
		require.Regexp(t, pattern, source.String(), n[0])
	}
}
