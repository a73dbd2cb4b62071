package history_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

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
		require.True(t, next.Previous() == a || a == history.Last)
		require.Equal(t, history.Cursor{}, history.Cursor{}.Previous())
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

func TestAwaitEndsWithThePublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, publish := observed(t, 10)
		over := make(chan error)
		for range 2 {
			go func() { over <- w.Await(t.Context(), w.Cursor(2)) }()
		}
		synctest.Wait()
		publish(nil)
		synctest.Wait()
		select {
		case <-over:
			t.Fatal("one publication too early")
		default:
		}
		publish(nil)
		require.NoError(t, <-over)
		require.NoError(t, <-over)
	})
}

// What follows a gap comes in the same reading.
func TestCursorOfAnotherStartIsAGap(t *testing.T) {
	w, publish := observed(t, 10)
	for range 5 {
		publish(nil)
	}
	for _, epoch := range []int64{-1, +1} {
		_, newest := w.Bounds()
		before := history.Cursor{Epoch: newest.Epoch + uint64(epoch), Major: 3}
		var gaps []history.Gap
		var got []uint64
		for entry := range w.Read(before) {
			if entry.Gap != nil {
				gaps = append(gaps, *entry.Gap)
			} else {
				got = append(got, entry.Message.Sequence())
			}
		}
		require.Equal(t, []history.Gap{{From: before.Next(), To: w.Cursor(0), Reason: history.EpochChanged}}, gaps)
		require.Equal(t, []uint64{1, 2, 3, 4, 5}, got)
	}
}

func TestReadingGoesOnAfterWhatTheWindowForgot(t *testing.T) {
	w, publish := observed(t, 3)
	for range 10 {
		publish(nil)
	}
	var got []uint64
	gaps := 0
	for entry := range w.Read(w.Cursor(2)) {
		if entry.Gap != nil {
			require.Equal(t, history.Gap{From: w.Cursor(3), To: w.Cursor(7), Reason: history.Retention}, *entry.Gap)
			gaps++
		} else {
			got = append(got, entry.Message.Sequence())
		}
	}
	require.Equal(t, 1, gaps)
	require.Equal(t, []uint64{8, 9, 10}, got)
}

// One that is as large as the window takes the place of all others.
func TestWindowHoldsNothingThatItHasEvicted(t *testing.T) {
	w, publish := observed(t, 100)
	var sent []weak.Pointer[[1024]byte]
	for range 50 {
		data := new([1024]byte)
		sent = append(sent, weak.Make(data))
		publish(data)
	}
	publish(large(history.DefaultWindowBytes))
	runtime.GC()
	for i, data := range sent {
		require.Nil(t, data.Value(), "publication %d", i+1)
	}
	runtime.KeepAlive(w)
}

// large says that it is as large.
type large int

func (l large) Size() int { return int(l) }

func TestCursorsHaveOneText(t *testing.T) {
	text := history.Cursor{Epoch: 0xabcdef, Major: 10, Minor: 11}.String()
	_, err := history.ParseCursor(text)
	require.NoError(t, err)
	_, err = history.ParseCursor(strings.ToUpper(text))
	require.ErrorIs(t, err, history.ErrBadCursor)
}

func TestNextCursorCarriesOver(t *testing.T) {
	const most = ^uint64(0)
	for c, next := range map[history.Cursor]history.Cursor{
		{}:                                      {Minor: 1},
		{Epoch: 1, Major: 2, Minor: most}:       {Epoch: 1, Major: 3},
		{Epoch: 1, Major: most, Minor: most}:    {Epoch: 2},
		{Epoch: most, Major: most, Minor: most}: history.Last,
	} {
		require.Equal(t, next, c.Next())
	}
}

// observed returns a window of so many publications, and what publishes into it.
func observed(t *testing.T, count int) (w *history.Window, publish func(data any)) {
	bus := pubsub.NewServer()
	require.NoError(t, bus.Start())
	t.Cleanup(func() { _ = bus.Stop() })
	w = history.NewWindow(count, 0)
	bus.Observe(w.Append)
	return w, func(data any) { require.NoError(t, bus.Publish(context.Background(), data)) }
}

// Keys take memory, those without values as well.
func TestKeysWithoutValuesAreCounted(t *testing.T) {
	events := make(map[string][]string)
	for i := range 1000 {
		events[strconv.Itoa(i)] = nil
	}
	bus := pubsub.NewServer()
	require.NoError(t, bus.Start())
	w := history.NewWindow(100, 1<<20)
	bus.Observe(w.Append)
	for range 100 {
		require.NoError(t, bus.PublishWithEvents(t.Context(), nil, events))
	}
	require.NoError(t, bus.Stop())
	oldest, newest := w.Bounds()
	require.EqualValues(t, 100, newest.Major)
	require.Less(t, newest.Major-oldest.Major, uint64(12))
}
