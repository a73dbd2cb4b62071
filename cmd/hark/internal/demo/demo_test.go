package demo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record keeps what is shown.
type record struct {
	views  []View
	closed View
	err    error // of Show and Close
}

func (r *record) Show(v View) error  { r.views = append(r.views, v); return r.err }
func (r *record) Close(v View) error { r.closed = v; return r.err }

func TestTheDemoShowsWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown record
		start := time.Now()
		require.NoError(t, Run(t.Context(), Options{Seed: 1, Rate: 1000, Duration: 10 * time.Second}, &shown))
		require.Equal(t, 10*time.Second, time.Since(start))

		v := shown.closed
		require.InDelta(t, 10_000, v.Published, 2)
		require.Equal(t, v.Matched, v.Delivered+v.Dropped)
		require.Greater(t, v.Height, int64(500))
		require.GreaterOrEqual(t, len(shown.views), 99)
		for _, r := range v.Rows {
			require.NotZero(t, r.Matched, r.Name)
			switch r.Name {
			case "dashboard":
				require.InDelta(t, r.Matched, r.Dropped, 50, "it takes four a second")
				require.Empty(t, r.Cut)
			case "stuck":
				require.Regexp(t, `^[23]\.\d s: `+pubsub.ErrOutOfCapacity.Error()+"$", r.Cut)
			default:
				require.Zero(t, r.Dropped, r.Name)
				require.Empty(t, r.Cut, r.Name)
				require.Zero(t, r.Depth, r.Name)
			}
		}
		require.Len(t, v.News, 4)
	})
}

func TestTheDemoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var shown record
		require.NoError(t, Run(ctx, Options{Rate: 100}, &shown))
		require.InDelta(t, 150, shown.closed.Published, 1)
		for _, r := range shown.closed.Rows {
			require.Empty(t, r.Cut, r.Name)
		}
	})
}

func TestTheDemoEndsWhenItCannotBeShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		err := Run(t.Context(), Options{Rate: 100, Duration: time.Hour}, &record{err: broken})
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, "broken", "told once")
	})
}

func TestTheDemoRunsWithoutAPace(t *testing.T) {
	var shown record
	require.NoError(t, Run(t.Context(), Options{Duration: 500 * time.Millisecond}, &shown))
	require.NotZero(t, shown.closed.Published)
	require.Equal(t, shown.closed.Matched, shown.closed.Delivered+shown.closed.Dropped)
}

var update = flag.Bool("update", false, "write what is shown to testdata")

// The files in testdata are what two views look like.
func TestDisplays(t *testing.T) {
	first := View{
		Elapsed: 100 * time.Millisecond, Duration: 10 * time.Second,
		Rows: []Row{
			{Name: "explorer", Query: "tm.event = 'NewBlock'", Overflow: pubsub.Block, Capacity: 100},
			{Name: "dashboard", Query: "tm.event EXISTS", Overflow: pubsub.DropOldest, Capacity: 1},
			{Name: "stuck", Query: "message.module = 'governance' AND NOT proposal_vote.option = 'VOTE_OPTION_YES'", Capacity: 100},
		},
	}
	last := first
	last.Elapsed, last.Height = 10*time.Second, 1234
	last.Published, last.Rate = 1_234_567, 123_456.7
	last.Matched, last.Delivered, last.Dropped = 2_000_000, 1_999_000, 1000
	last.P50, last.P99 = 3141*time.Nanosecond, 27_182_818*time.Nanosecond
	last.Rows = []Row{first.Rows[0], first.Rows[1], first.Rows[2]}
	last.Rows[0].Matched, last.Rows[0].Rate = 1234, 9.94
	last.Rows[1].Matched, last.Rows[1].Rate, last.Rows[1].Depth, last.Rows[1].Dropped = 1_234_567, 9.96, 1, 999
	last.Rows[2].Cut = "3.4 s: out of capacity"
	last.News = []Event{{3400 * time.Millisecond, "stuck is cut: out of capacity"}}

	sized := func(width, height int) func() (int, int) { return func() (int, int) { return width, height } }
	var out bytes.Buffer
	for name, display := range map[string]Display{
		"plain":    Plain(&out),
		"wide":     Terminal(&out, true, sized(120, 40)),
		"narrow":   Terminal(&out, false, sized(80, 24)),
		"smallest": Terminal(&out, false, sized(1, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			out.Reset()
			require.NoError(t, display.Show(first))
			require.NoError(t, display.Show(last))
			require.NoError(t, display.Close(last))
			got := strings.ReplaceAll(out.String(), "\x1b", "ESC")
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}
