package eventlog_test

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/eventlog"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

// A sick engine cannot read some records.
type sick struct {
	store.Engine
	from, to uint64 // offsets
}

var errSick = errors.New("a block is damaged")

func (s *sick) Ascend(low, high []byte) iter.Seq2[store.Pair, error] {
	return func(yield func(store.Pair, error) bool) {
		for pair, err := range s.Engine.Ascend(low, high) {
			if err == nil && pair.Key[0] == 'r' {
				if n := binary.BigEndian.Uint64(pair.Key[1:]); n >= s.from && n <= s.to {
					err = errSick
				}
			}
			if !yield(pair, err) || err != nil {
				return
			}
		}
	}
}

// Whatever is damaged, what is whole is there afterwards, at its place.
func TestSalvageKeepsWhatIsWhole(t *testing.T) {
	r := newRig(t, 1)
	r.append(count(0, 29)...)
	r.reopen()
	r.append(count(30, 99)...)
	require.NoError(t, r.log.Prune(t.Context(), eventlog.Retention{Count: 90}))
	before := r.read(r.firstCursor())
	r.change(func(b *store.Batch) {
		records := r.records()
		b.Delete(records[5].Key) // of publication 15
		damaged := slices.Clone(records[50].Value)
		damaged[len(damaged)-1] ^= 1
		b.Put(records[50].Key, damaged) // of 60
	})
	want := slices.DeleteFunc(count(10, 99), func(n int) bool { return n == 15 || n == 60 || n >= 70 && n <= 76 })
	for _, damage := range []string{"", "s", "v"} {
		if damage != "" {
			r.change(func(b *store.Batch) { b.Put([]byte(damage), []byte("damaged")) })
			_, err := eventlog.Open(r.engine, eventlog.Options{})
			require.ErrorContains(t, err, "damaged")
		}
		salvaged := &rig{t: t, disk: storetest.NewDisk(2)}
		engine, err := salvaged.disk.Open()
		require.NoError(t, err)
		report, err := eventlog.Salvage(t.Context(), &sick{r.engine, 71, 77}, engine)
		require.NoError(t, err)
		require.EqualValues(t, len(want), report.Publications)
		require.Len(t, report.Gaps, 3)
		require.NoError(t, engine.Close())
		salvaged.open()
		require.Len(t, salvaged.records(), len(want), "what is damaged stays behind")
		got := salvaged.read(salvaged.firstCursor())
		require.Equal(t, want, got.numbers)
		for i, n := range got.numbers {
			require.Equal(t, before.cursors[n-10], got.cursors[i], "places stay")
		}
		var reasons []history.Reason
		for _, gap := range got.gaps {
			reasons = append(reasons, gap.Reason)
		}
		require.Equal(t, []history.Reason{history.Corruption, history.Corruption, history.Corruption}, reasons)
		next := salvaged.append(100)
		require.Greater(t, next.Major, got.cursors[len(got.cursors)-1].Major)
	}
}

func TestSalvageNeedsAnEmptyEngine(t *testing.T) {
	r, other := newRig(t, 1), newRig(t, 2)
	r.append(0)
	other.append(1)
	_, err := eventlog.Salvage(t.Context(), r.engine, other.engine)
	require.ErrorContains(t, err, "not empty")
	require.Equal(t, []int{1}, other.read(history.Cursor{}).numbers)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	empty, err := storetest.NewDisk(3).Open()
	require.NoError(t, err)
	_, err = eventlog.Salvage(ctx, r.engine, empty)
	require.ErrorIs(t, err, context.Canceled)
}
