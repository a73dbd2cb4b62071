package history_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

func TestCursorTextSortsLikeCursors(t *testing.T) {
	number := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, ^uint64(0)}))
	cursor := rapid.Custom(func(t *rapid.T) history.Cursor {
		return history.Cursor{Epoch: number.Draw(t, "epoch"), Major: number.Draw(t, "major"), Minor: number.Draw(t, "minor")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := cursor.Draw(t, "a"), cursor.Draw(t, "b")
		require.Equal(t, a.Before(b), a.String() < b.String())
		back, err := history.ParseCursor(a.String())
		require.NoError(t, err)
		require.Equal(t, a, back)
		next := a.Next()
		require.True(t, a.Before(next) || a == history.Last)
		require.False(t, a.Before(b) && b.Before(next), "nothing is between a cursor and its Next")
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add("0000000000000001-0000000000000002-0000000000000003")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := history.ParseCursor(s); err == nil {
			require.Equal(t, s, c.String())
		} else {
			require.ErrorIs(t, err, history.ErrBadCursor)
		}
	})
}

// The window against a plain slice.
func TestWindowIsASuffixOfWhatWasAppended(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, size := rapid.IntRange(1, 200).Draw(t, "count"), rapid.IntRange(1, 20_000).Draw(t, "bytes")
		bus := pubsub.NewServer()
		require.NoError(t, bus.Start())
		defer func() { _ = bus.Stop() }()
		w := history.NewWindow(count, size)
		bus.Observe(w.Append)
		var model []int // sizes
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 300), 0, 300).Draw(t, "sizes") {
			require.NoError(t, bus.Publish(context.Background(), strings.Repeat("x", n)))
			model = append(model, n+128)
		}
		require.NoError(t, w.Await(context.Background(), w.Cursor(uint64(len(model)))))
		kept, sum := 0, 0
		for kept < len(model) && kept < count {
			if sum += model[len(model)-1-kept]; sum > size && kept > 0 {
				break
			}
			kept++
		}
		oldest, newest := w.Bounds()
		require.EqualValues(t, len(model), newest.Major)
		require.EqualValues(t, len(model)-kept, oldest.Major)

		var forward, backward []uint64
		for entry, err := range w.Read(oldest) {
			require.NoError(t, err)
			require.Nil(t, entry.Gap)
			require.Equal(t, entry.Cursor.Major, entry.Message.Sequence())
			forward = append(forward, entry.Cursor.Major)
		}
		for entry := range w.Backward(history.Last) {
			backward = append([]uint64{entry.Cursor.Major}, backward...)
		}
		require.Len(t, forward, kept)
		require.Equal(t, forward, backward)
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := history.NewWindow(1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, w.Await(ctx, w.Cursor(1)), context.DeadlineExceeded)
	})
}

// Backward begins just before a place, whether a publication is there or not.
func TestBackwardBeginsBeforeAPlace(t *testing.T) {
	bus := pubsub.NewServer()
	require.NoError(t, bus.Start())
	defer func() { _ = bus.Stop() }()
	w := history.NewWindow(3, 0)
	bus.Observe(w.Append)
	for i := range 5 {
		require.NoError(t, bus.Publish(t.Context(), i))
	}
	require.NoError(t, w.Await(t.Context(), w.Cursor(5)))
	for before, want := range map[history.Cursor][]uint64{
		w.Cursor(4):        {3},
		w.Cursor(4).Next(): {4, 3},
		w.Cursor(5).Next(): {5, 4, 3},
		w.Cursor(9).Next(): {5, 4, 3},
		history.Last:       {5, 4, 3},
		w.Cursor(3):        nil,
		w.Cursor(1).Next(): nil,
		{}:                 nil,
	} {
		var got []uint64
		for entry := range w.Backward(before) {
			got = append(got, entry.Cursor.Major)
		}
		require.Equal(t, want, got, before)
	}
}

// What can never come is not waited for.
func TestAwaitDoesNotWaitForAnotherEpoch(t *testing.T) {
	w := history.NewWindow(1, 1)
	require.NoError(t, w.Await(t.Context(), history.Cursor{Epoch: 1, Major: 99}))
}
