package eventlog_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/eventlog"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

// newBus returns a server that runs, and has published so many before.
func newBus(t testing.TB, before int) *pubsub.Server {
	bus := pubsub.NewServer(pubsub.BufferCapacity(1000))
	require.NoError(t, bus.Start())
	t.Cleanup(func() { _ = bus.Stop() })
	for range before {
		require.NoError(t, bus.Publish(t.Context(), nil))
	}
	return bus
}

func (r *rig) record(t *testing.T, bus *pubsub.Server, options eventlog.RecordOptions) *eventlog.Recorder {
	t.Helper()
	rec, err := r.log.Record(bus, options)
	require.NoError(t, err)
	return rec
}

func publish(t testing.TB, bus *pubsub.Server, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		_, err := bus.PublishWithArgs(context.Background(), publication(n))
		require.NoError(t, err)
	}
}

func TestRecorderRecordsWhatIsPublished(t *testing.T) {
	r := newRig(t, 1)
	r.append(0, 1)
	bus := newBus(t, 7)
	rec := r.record(t, bus, eventlog.RecordOptions{})
	require.NoError(t, rec.Flush(t.Context()), "nothing is to be written")
	require.Equal(t, r.log.Cursor(2), rec.History().Cursor(bus.Sequence()), "the newest place")
	publish(t, bus, count(2, 99)...)
	require.NoError(t, rec.Flush(t.Context()))
	got := r.read(history.Cursor{})
	require.Equal(t, count(0, 99), got.numbers)
	require.Empty(t, got.gaps)
	h := rec.History()
	for entry, err := range h.Read(got.cursors[1]) {
		require.NoError(t, err)
		require.Equal(t, entry.Cursor, h.Cursor(entry.Message.Sequence()), "the places are fixed when the bus accepts")
		require.EqualValues(t, entry.Message.Data().(int)-2+8, entry.Message.Sequence())
	}
	_, newest := h.Bounds()
	require.Equal(t, newest, h.Cursor(bus.Sequence()))
	require.NoError(t, h.Await(t.Context(), newest))

	c, err := rec.Publish(t.Context(), publication(100))
	require.NoError(t, err)
	require.Equal(t, []int{100}, r.read(newest).numbers, "it is on disk when Publish returns")
	require.Equal(t, c, h.Cursor(bus.Sequence()))
	require.NoError(t, rec.Close())
	publish(t, bus, 1000) // not recorded
	next := r.append(101)
	require.Less(t, c.Major, next.Major)
	r.reopen()
	got = r.read(history.Cursor{})
	require.Equal(t, count(0, 101), got.numbers)
	require.Empty(t, got.gaps, "nothing was lost")
}

func TestOneRecorderHasTheLog(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	rec := r.record(t, bus, eventlog.RecordOptions{})
	_, err := r.log.Record(bus, eventlog.RecordOptions{})
	require.ErrorIs(t, err, eventlog.ErrRecorded)
	_, err = r.log.Append(t.Context(), publication(0))
	require.ErrorIs(t, err, eventlog.ErrRecorded)
	require.NoError(t, rec.Close())
	require.NoError(t, rec.Close())
	rec = r.record(t, bus, eventlog.RecordOptions{})
	publish(t, bus, 0)
	require.NoError(t, r.log.Close(), "and its recorder")
	require.Equal(t, []int{0}, r.read(history.Cursor{}).numbers)
	_, err = rec.Publish(t.Context(), publication(1))
	require.Error(t, err)
	_, err = r.log.Record(bus, eventlog.RecordOptions{})
	require.ErrorIs(t, err, eventlog.ErrClosed)
}

// What a query leaves out has offsets, nobody waits for it, and it is no gap.
func TestWhatTheQueryLeavesOutIsNoGap(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	rec := r.record(t, bus, eventlog.RecordOptions{Query: query.MustParse("odd = 1")})
	for n := range 10 {
		publish(t, bus, n)
		require.NoError(t, rec.Flush(t.Context()))
		require.NoError(t, rec.History().Await(t.Context(), rec.History().Cursor(bus.Sequence())))
	}
	publish(t, bus, 10, 12, 14)
	require.NoError(t, rec.Flush(t.Context()))
	want := []int{1, 3, 5, 7, 9}
	got := r.read(history.Cursor{})
	require.Equal(t, want, got.numbers)
	require.Empty(t, got.gaps)
	last := rec.History().Cursor(bus.Sequence())
	require.NoError(t, rec.Close())
	next := r.append(15)
	require.True(t, last.Before(next))
	rec = r.record(t, bus, eventlog.RecordOptions{Query: query.MustParse("odd = 1")})
	publish(t, bus, 16, 17, 18)
	require.NoError(t, rec.Flush(t.Context()))
	leftOut := rec.History().Cursor(bus.Sequence())
	r.reopen()
	require.Empty(t, r.read(leftOut))
	r.append(19)
	require.Equal(t, reading{numbers: []int{19}}, reading{numbers: r.read(leftOut).numbers, gaps: r.read(leftOut).gaps})
	got = r.read(history.Cursor{})
	require.Equal(t, append(want, 15, 17, 19), got.numbers)
	require.Empty(t, got.gaps)
	report, err := r.log.Verify(t.Context())
	require.NoError(t, err)
	require.False(t, report.Damaged())
}

// A slowQuery matches everything once it is let to. The recorder asks it, so it
// holds the recorder up.
type slowQuery struct {
	asked chan struct{}
	let   chan struct{}
	calls atomic.Int64
}

func (q *slowQuery) Matches(map[string][]string) (bool, error) {
	if q.calls.Add(1) == 1 {
		q.asked <- struct{}{}
		<-q.let
	}
	return true, nil
}

func (q *slowQuery) String() string { return "slow" }

// What does not fit is a gap with its exact limits and count.
func TestDroppedPublicationsAreAGap(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	q := &slowQuery{asked: make(chan struct{}), let: make(chan struct{})}
	rec := r.record(t, bus, eventlog.RecordOptions{Query: q, Full: eventlog.Drop, Queue: 3})
	publish(t, bus, 0)
	<-q.asked
	publish(t, bus, count(1, 9)...) // three of them fit
	h := rec.History()
	close(q.let)
	require.NoError(t, rec.Flush(t.Context()))
	publish(t, bus, 10, 11)
	require.NoError(t, rec.Flush(t.Context()))
	got := r.read(history.Cursor{})
	require.Equal(t, []int{0, 1, 2, 3, 10, 11}, got.numbers)
	require.Equal(t, []history.Gap{{From: h.Cursor(5), To: h.Cursor(10), Reason: history.Overflow, Count: 6}}, got.gaps)
	require.NoError(t, h.Await(t.Context(), h.Cursor(7)))
	report, err := r.log.Verify(t.Context())
	require.NoError(t, err)
	require.Equal(t, eventlog.Report{Publications: 6, Dropped: 6}, report)
	require.NoError(t, rec.Close())
}

// With Block nothing is dropped: publishers wait.
func TestFullQueueBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		bus := pubsub.NewServer()
		require.NoError(t, bus.Start())
		q := &slowQuery{asked: make(chan struct{}), let: make(chan struct{})}
		rec := r.record(t, bus, eventlog.RecordOptions{Query: q, Queue: 3})
		publish(t, bus, 0)
		<-q.asked
		published := make(chan int, 100)
		go func() {
			for n := range 50 {
				publish(t, bus, n+1)
				published <- n
			}
			close(published)
		}()
		synctest.Wait()
		require.Less(t, len(published), 10)
		close(q.let)
		for range published {
		}
		require.NoError(t, rec.Flush(t.Context()))
		got := r.read(history.Cursor{})
		require.Equal(t, count(0, 50), got.numbers)
		require.Empty(t, got.gaps)
		require.NoError(t, rec.Close())
		require.NoError(t, bus.Stop())
	})
}

// What cannot be stored is no silent loss.
func TestDataThatCannotBeStoredIsAGap(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	rec := r.record(t, bus, eventlog.RecordOptions{Query: panickingQuery{}})
	publish(t, bus, 0)
	require.NoError(t, bus.Publish(t.Context(), make(chan int)))
	_, err := bus.PublishWithArgs(t.Context(), pubsub.PublishArgs{Events: map[string][]string{"panic": {""}}})
	require.NoError(t, err)
	publish(t, bus, 1)
	require.NoError(t, rec.Flush(t.Context()))
	got := r.read(history.Cursor{})
	require.Equal(t, []int{0, 1}, got.numbers)
	require.Len(t, got.gaps, 2)
	for i, gap := range got.gaps {
		at := rec.History().Cursor(uint64(2 + i))
		require.Equal(t, history.Gap{From: at, To: at, Reason: history.Corruption, Count: 1}, gap)
	}
	require.NoError(t, rec.Close())
}

type panickingQuery struct{}

func (panickingQuery) Matches(events map[string][]string) (bool, error) {
	if events["panic"] != nil {
		panic("panic")
	}
	return true, nil
}

func (panickingQuery) String() string { return "panicking" }

// The server goes on when its recorder has failed, and who waits learns of it.
func TestFailedRecorderDoesNotHoldTheServerUp(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	rec := r.record(t, bus, eventlog.RecordOptions{Queue: 4})
	publish(t, bus, 0)
	require.NoError(t, rec.Flush(t.Context()))
	r.disk.FailSync(1)
	_, err := rec.Publish(t.Context(), publication(1))
	require.ErrorIs(t, err, store.ErrFailed)
	publish(t, bus, count(2, 100)...)
	require.ErrorIs(t, rec.Flush(t.Context()), store.ErrFailed)
	require.ErrorIs(t, rec.Err(), store.ErrFailed)
	require.ErrorIs(t, rec.Close(), store.ErrFailed)
	require.Equal(t, []int{0}, r.read(history.Cursor{}).numbers)
}

// A crash takes what was seen and not written: a gap for everybody who comes
// there, and no offset is given again.
func TestCrashBehindIsAGap(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	rec := r.record(t, bus, eventlog.RecordOptions{})
	publish(t, bus, 0, 1)
	require.NoError(t, rec.Flush(t.Context()))
	h := rec.History()
	flushed, seen := h.Cursor(2), h.Cursor(50)
	r.disk.Restart() // the rest never reached the disk
	_ = rec.Close()
	r.open()
	next := r.append(2)
	require.Greater(t, next.Major, seen.Major)
	for after, from := range map[history.Cursor]uint64{{}: 3, flushed: 3} {
		got := r.read(after)
		require.Equal(t, 2, got.numbers[len(got.numbers)-1])
		require.Len(t, got.gaps, 1)
		gap := got.gaps[0]
		require.Equal(t, history.Crash, gap.Reason)
		require.Equal(t, flushed.Major+1, gap.From.Major, from)
		require.Equal(t, next.Major-1, gap.To.Major)
	}
	got := r.read(seen)
	require.Equal(t, []int{2}, got.numbers)
	require.Equal(t, []history.Gap{{From: seen.Next(), To: history.Cursor{Epoch: next.Epoch, Major: next.Major - 1}, Reason: history.Crash}}, got.gaps)
}

// However many are seen before something is written, all have offsets that were
// reserved on disk.
func TestOffsetsAreReservedBeforeTheyAreGivenAway(t *testing.T) {
	defer eventlog.SetReserve(64)()
	for _, before := range []int{0, 1000} {
		r := newRig(t, 1)
		bus := newBus(t, before)
		rec := r.record(t, bus, eventlog.RecordOptions{Query: query.MustParse("n = 7")}) // little is written
		publish(t, bus, count(0, 999)...)
		last := rec.History().Cursor(bus.Sequence())
		require.NoError(t, rec.Flush(t.Context()))
		r.disk.Restart()
		_ = rec.Close()
		r.open()
		next := r.append(0)
		require.Greater(t, next.Major, last.Major)
	}
}

// The power goes out in the middle of everything. What Flush covered is there.
func TestPowerLossBehindLosesAtMostWhatWasNotFlushed(t *testing.T) {
	for seed := range soak.Rounds(t, 1) {
		for step := 1; ; step++ {
			r := &rig{t: t, disk: storetest.NewDisk(seed<<16 + uint64(step))}
			r.open()
			bus := newBus(t, 0)
			r.disk.CutPower(step)
			random := rand.New(rand.NewPCG(seed, 6))
			published, flushed := 0, 0
			rec, err := r.log.Record(bus, eventlog.RecordOptions{})
			var last history.Cursor
			for range 10 {
				if err != nil {
					break
				}
				n := 1 + random.IntN(10)
				publish(t, bus, count(published, published+n-1)...)
				published += n
				last = rec.History().Cursor(bus.Sequence())
				if err = rec.Flush(t.Context()); err == nil {
					flushed = published
				}
			}
			if err == nil {
				err = errors.Join(r.log.Close(), r.engine.Close())
			} else if rec != nil {
				_ = rec.Close()
			}
			if err == nil {
				break
			}
			r.disk.Restart()
			r.open()
			next := r.append(published)
			got := r.read(history.Cursor{})
			n := len(got.numbers) - 1
			require.Equal(t, append(count(0, n-1), published), got.numbers, "step %d", step)
			require.LessOrEqual(t, flushed, n, "step %d", step)
			require.True(t, slices.IsSortedFunc(got.cursors, func(a, b history.Cursor) int {
				if a.Before(b) {
					return -1
				}
				return 1
			}))
			for _, gap := range got.gaps {
				require.Equal(t, history.Crash, gap.Reason, "step %d", step)
			}
			require.Less(t, last.Major, next.Major, "step %d: an offset is given twice", step)
		}
	}
}

// Waiting for the recorder on the path of publications would wait for ever.
func TestWaitingInAnObserverIsAnError(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	rec := r.record(t, bus, eventlog.RecordOptions{})
	errs := make(chan error, 1)
	remove := bus.Observe(func(pubsub.Message) { errs <- rec.Flush(context.Background()) })
	publish(t, bus, 0)
	require.ErrorContains(t, <-errs, "observer")
	remove()
	require.NoError(t, rec.Close())
}
