package eventlog_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/eventlog"
	"github.com/harkbus/pubsub/store/tmdb"
)

// Publications of 100 bytes, each on disk when its Append returns.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 128, 1024} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			engine, err := tmdb.Open(b.TempDir())
			require.NoError(b, err)
			log, err := eventlog.Open(engine, eventlog.Options{})
			require.NoError(b, err)
			p := pubsub.PublishArgs{Data: strings.Repeat("x", 100)}
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for w := range writers {
				all.Go(func() {
					for range (b.N + w) / writers {
						_, _ = log.Append(b.Context(), p)
					}
				})
			}
			all.Wait()
			b.StopTimer()
			stats, err := log.Stats()
			require.NoError(b, err)
			b.ReportMetric(float64(stats.Commits.Calls)/float64(stats.Commits.Commits), "appends/sync")
			require.NoError(b, log.Close())
			require.NoError(b, engine.Close())
		})
	}
}
