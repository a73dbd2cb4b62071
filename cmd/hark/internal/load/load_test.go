package load

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(workload string) Options {
	w, _ := Named(workload)
	return Options{Workload: w, Subs: 100, Matching: 5, Rate: 1000, Duration: 2 * time.Second, Capacity: 100, Overflow: pubsub.Block}
}

func TestAPublicationMatchesAsManyAsAskedFor(t *testing.T) {
	for _, w := range Workloads {
		t.Run(w.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result, err := Run(t.Context(), options(w.Name), Quiet())
				require.NoError(t, err)
				require.InDelta(t, 2000, result.Published, 2)
				require.Equal(t, result.Matched, result.Delivered)
				require.EqualValues(t, result.Delivered, result.Latency.Count())
				require.NotZero(t, result.Matched)
				if !w.NeverMind {
					require.Equal(t, 5*result.Published, result.Matched)
				}
			})
		})
	}
}

func TestQueriesOfAWorkloadAreDistinct(t *testing.T) {
	for _, w := range Workloads {
		o, distinct := options(w.Name), make(map[string]bool)
		chain := sim.New(sim.Config{})
		for i := range o.Subs {
			distinct[query.MustParse(w.query(i, &o, chain)).String()] = true
		}
		require.Len(t, distinct, o.Subs, w.Name)
	}
}

func TestRunEndsEarlyWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		result, err := Run(ctx, options("equality"), Quiet())
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(start))
		require.InDelta(t, 1000, result.Published, 2)
	})
}

func TestProgressReachesItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown strings.Builder
		_, err := Run(t.Context(), options("equality"), Progress(&shown))
		require.NoError(t, err)
		require.Contains(t, shown.String(), "\rpublishing  ████████████████████░")
		require.Regexp(t, ` 95 % 1,00\d/s`, shown.String())
	})
}

func TestSummaryTellsWhatWasLost(t *testing.T) {
	r := Result{
		Options:     options("equality"),
		Subscribing: 200 * time.Microsecond, Bytes: 600, Publishing: 2 * time.Second,
		Published: 2000, Matched: 10_000, Delivered: 9_000, Dropped: 1_000, Cut: 3,
	}
	for range 3 {
		r.Latency.Record(1500 * time.Nanosecond)
	}
	r.Latency.Record(7 * time.Microsecond)
	var summary strings.Builder
	require.NoError(t, r.Write(&summary))
	require.Equal(t, `workload    equality: what happens in a group, except what one did oneself
subscribed  100 queries in 200µs (500,000/s), 600 bytes each with the index, without the query
published   2,000 in 2.0 s (1,000/s)
matched     10,000, 5 a publication
delivered   9,000 (4,500/s)
dropped     1,000, and 3 subscriptions cut
latency     p50 1.5µs  p90 7µs  p99 7µs  p99.9 7µs  p100 7µs

     1µs – 2µs      ████████████████████████████████████████  75.00 %
     2µs – 5µs      ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   0.00 %
     5µs – 10µs     ██████████████░░░░░░░░░░░░░░░░░░░░░░░░░░  25.00 %
`, summary.String())
}

func TestOptionsAreRefusedByName(t *testing.T) {
	for flag, spoil := range map[string]func(*Options){
		"--subs":     func(o *Options) { o.Subs = 0 },
		"--matching": func(o *Options) { o.Matching = o.Subs + 1 },
		"--rate":     func(o *Options) { o.Rate = -1 },
		"--duration": func(o *Options) { o.Duration = 0 },
		"--capacity": func(o *Options) { o.Capacity = 0 },
	} {
		o := options("equality")
		require.NoError(t, o.Validate())
		spoil(&o)
		require.ErrorContains(t, o.Validate(), flag)
	}
}
