package eventlog_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/eventlog"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

// A rig is a log on a simulated disk.
type rig struct {
	t       require.TestingT
	disk    *storetest.Disk
	engine  *storetest.Engine
	log     *eventlog.Log
	options eventlog.Options
}

func newRig(t require.TestingT, seed uint64) *rig {
	r := &rig{t: t, disk: storetest.NewDisk(seed)}
	r.open()
	return r
}

func (r *rig) open() {
	var err error
	r.engine, err = r.disk.Open()
	require.NoError(r.t, err)
	r.log, err = eventlog.Open(r.engine, r.options)
	require.NoError(r.t, err)
}

func (r *rig) close() {
	require.NoError(r.t, r.log.Close())
	require.NoError(r.t, r.engine.Close())
}

func (r *rig) reopen() {
	r.close()
	r.open()
}

// kill ends the process without a word, and begins another one.
func (r *rig) kill() {
	r.disk.Kill()
	r.open()
}

func publication(n int) pubsub.PublishArgs {
	return pubsub.PublishArgs{Data: n, Events: map[string][]string{"n": {strconv.Itoa(n)}, "odd": {strconv.Itoa(n % 2)}}}
}

func (r *rig) append(numbers ...int) history.Cursor {
	var publications []pubsub.PublishArgs
	for _, n := range numbers {
		publications = append(publications, publication(n))
	}
	c, err := r.log.Append(context.Background(), publications...)
	require.NoError(r.t, err)
	return c
}

// A reading is what an iterator yielded.
type reading struct {
	numbers []int
	cursors []history.Cursor
	gaps    []history.Gap
}

func (r *rig) read(after history.Cursor) (got reading) {
	for entry, err := range r.log.Read(after) {
		require.NoError(r.t, err)
		got.add(entry)
	}
	return got
}

func (g *reading) add(entry history.Entry) {
	if entry.Gap != nil {
		g.gaps = append(g.gaps, *entry.Gap)
		return
	}
	g.numbers = append(g.numbers, entry.Message.Data().(int))
	g.cursors = append(g.cursors, entry.Cursor)
}

func count(from, to int) (numbers []int) {
	for n := from; n <= to; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

type order struct{ ID int }

// What comes back is what was published.
func TestLogKeepsPublications(t *testing.T) {
	types := codec.NewRegistry()
	require.NoError(t, codec.Register[order](types, "Order"))
	r := newRig(t, 1)
	r.close()
	r.options.Types = types
	r.open()
	at := time.Unix(1_700_000_000, 123)
	origin := &pubsub.Origin{Name: "elsewhere", Epoch: 7}
	_, err := r.log.Append(t.Context(),
		pubsub.PublishArgs{Data: order{3}, Events: map[string][]string{"a": {"1", "2"}, "b": {}}, Time: at, Origin: origin},
		pubsub.PublishArgs{},
	)
	require.NoError(t, err)
	r.reopen()
	var messages []pubsub.Message
	for entry, err := range r.log.Read(history.Cursor{}) {
		require.NoError(t, err)
		messages = append(messages, entry.Message)
	}
	require.Len(t, messages, 2)
	require.Equal(t, order{3}, messages[0].Data())
	require.Equal(t, map[string][]string{"a": {"1", "2"}, "b": {}}, messages[0].Events())
	require.True(t, at.Equal(messages[0].Time()))
	require.Equal(t, *origin, messages[0].Origin())
	require.Nil(t, messages[1].Data())
	require.WithinDuration(t, time.Now(), messages[1].Time(), time.Hour)
	require.Equal(t, pubsub.Origin{}, messages[1].Origin())

	r.close()
	r.options.Types = nil // who does not know the type gets it as it is stored
	r.open()
	for entry := range r.log.Read(history.Cursor{}) {
		require.Equal(t, codec.Raw{Type: "Order", Encoding: codec.EncodingJSON, Data: []byte(`{"ID":3}`)}, entry.Message.Data())
		break
	}
}

// The log against a plain list.
func TestLogIsAListThatSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, 1)
		var model []history.Cursor // of publication i
		oldest := 0                // so many have been pruned
		check := func() {
			require.Equal(t, count(oldest, len(model)-1), r.read(r.firstCursor()).numbers)
			var back []int
			for entry, err := range r.log.Backward(history.Last) {
				require.NoError(t, err)
				require.Nil(t, entry.Gap)
				back = append(back, entry.Message.Data().(int))
			}
			slices.Reverse(back)
			require.Equal(t, count(oldest, len(model)-1), back)
			stats, err := r.log.Stats()
			require.NoError(t, err)
			require.EqualValues(t, len(model)-oldest, stats.Publications)
			for i := 1; i < len(model); i++ {
				require.Less(t, model[i-1].String(), model[i].String())
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"append": func(t *rapid.T) {
				n := rapid.IntRange(1, 5).Draw(t, "publications")
				last := r.append(count(len(model), len(model)+n-1)...)
				for i := range n {
					model = append(model, history.Cursor{Epoch: last.Epoch, Major: last.Major - uint64(n-1-i)})
				}
			},
			"reopen": func(*rapid.T) { r.reopen() },
			"kill":   func(*rapid.T) { r.kill() },
			"lose power": func(*rapid.T) {
				r.disk.Restart()
				r.open()
			},
			"prune": func(t *rapid.T) {
				keep := rapid.IntRange(1, 10).Draw(t, "keep")
				require.NoError(t, r.log.Prune(context.Background(), eventlog.Retention{Count: uint64(keep)}))
				oldest = max(oldest, len(model)-keep)
			},
			"resume": func(t *rapid.T) {
				if len(model) == 0 {
					return
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "from")
				got := r.read(model[i])
				require.Equal(t, count(max(oldest, i+1), len(model)-1), got.numbers)
				if i+1 < oldest {
					require.Len(t, got.gaps, 1)
					require.Equal(t, history.Retention, got.gaps[0].Reason)
					require.Equal(t, model[i].Next(), got.gaps[0].From)
					require.Equal(t, model[oldest-1], got.gaps[0].To)
				} else {
					require.Empty(t, got.gaps)
				}
				var back []int
				for entry := range r.log.Backward(model[i]) {
					back = append(back, entry.Message.Data().(int))
				}
				slices.Reverse(back)
				require.Equal(t, count(oldest, i-1), back)
			},
		})
	})
}

func (r *rig) firstCursor() history.Cursor {
	oldest, _ := r.log.Bounds()
	return oldest
}

// The power goes out in the middle of everything that a log does to its disk. What
// was acknowledged is there, of the group that was not all or nothing, nothing is
// damaged, and no cursor is given twice.
func TestPowerLossAtEveryStepLosesNothing(t *testing.T) {
	for seed := range soak.Rounds(t, 2) {
		for step := 1; ; step++ {
			r := &rig{t: t, disk: storetest.NewDisk(seed<<16 + uint64(step))}
			s := &session{rig: r, random: rand.New(rand.NewPCG(seed, 5))}
			r.disk.CutPower(step)
			err := s.play()
			if err == nil {
				break
			}
			r.disk.Restart()
			r.open()
			s.check(t, step)
			require.NoError(t, s.play(), "after step %d", step)
			s.check(t, step)
		}
	}
}

// A session appends groups, prunes, closes and opens.
type session struct {
	*rig
	random  *rand.Rand
	acked   []history.Cursor // of publication i
	pending int              // publications that were being appended
	pruned  int              // at most so many
}

func (s *session) play() error {
	for range 12 {
		if s.log == nil || s.random.IntN(4) == 0 {
			if err := s.again(); err != nil {
				return err
			}
		}
		s.pending = 1 + s.random.IntN(4)
		var group []pubsub.PublishArgs
		for i := range s.pending {
			group = append(group, publication(len(s.acked)+i))
		}
		last, err := s.log.Append(context.Background(), group...)
		if err != nil {
			return err
		}
		for i := range s.pending {
			s.acked = append(s.acked, history.Cursor{Epoch: last.Epoch, Major: last.Major - uint64(s.pending-1-i)})
		}
		s.pending = 0
		if s.random.IntN(3) == 0 {
			s.pruned = max(s.pruned, len(s.acked)-5)
			if err := s.log.Prune(context.Background(), eventlog.Retention{Count: 5}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) again() error {
	if s.log != nil {
		if err := errors.Join(s.log.Close(), s.engine.Close()); err != nil {
			return err
		}
	}
	engine, err := s.disk.Open()
	if err != nil {
		return err
	}
	s.engine = engine
	s.log, err = eventlog.Open(engine, eventlog.Options{})
	return err
}

func (s *session) check(t *testing.T, step int) {
	t.Helper()
	got := s.read(s.firstCursor())
	require.Empty(t, got.gaps, "step %d", step)
	if len(got.numbers) > 0 && got.numbers[len(got.numbers)-1] == len(s.acked)+s.pending-1 {
		s.acked = append(s.acked, got.cursors[len(got.cursors)-s.pending:]...) // the group was there, too
	}
	s.pending = 0
	first := len(s.acked) - len(got.numbers)
	require.LessOrEqual(t, first, s.pruned, "step %d", step)
	require.Equal(t, count(first, len(s.acked)-1), got.numbers, "step %d", step)
	require.True(t, slices.Equal(s.acked[first:], got.cursors), "step %d", step)
	for i := 1; i < len(s.acked); i++ {
		require.True(t, s.acked[i-1].Before(s.acked[i]))
		require.Less(t, s.acked[i-1].Major, s.acked[i].Major, "an offset is given twice")
	}
	report, err := s.log.Verify(context.Background())
	require.NoError(t, err)
	require.False(t, report.Damaged())
}

// change writes to the engine below the log.
func (r *rig) change(fill func(*store.Batch)) {
	var b store.Batch
	fill(&b)
	require.NoError(r.t, r.engine.Commit(&b))
}

// records returns what the log keeps of its publications.
func (r *rig) records() (pairs []store.Pair) {
	for pair, err := range r.engine.Ascend([]byte("r"), []byte("s")) {
		require.NoError(r.t, err)
		pairs = append(pairs, pair)
	}
	return pairs
}

// A bit that flips anywhere in a record is a gap of this publication, and no
// other one.
func TestFlippedBitIsAGap(t *testing.T) {
	r := newRig(t, 1)
	r.append(count(0, 4)...)
	records := r.records()
	random := rand.New(rand.NewPCG(1, 1))
	for i, pair := range records {
		for range 40 {
			damaged := slices.Clone(pair.Value)
			damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
			r.change(func(b *store.Batch) { b.Put(pair.Key, damaged) })
			got := r.read(history.Cursor{})
			require.Equal(t, slices.Delete(count(0, 4), i, i+1), got.numbers)
			at := r.log.Cursor(uint64(i + 1))
			require.Equal(t, []history.Gap{{From: at, To: at, Reason: history.Corruption}}, got.gaps)
			report, err := r.log.Verify(t.Context())
			require.NoError(t, err)
			require.Equal(t, eventlog.Report{Publications: 4, Gaps: got.gaps}, report)
			var back reading
			for entry, err := range r.log.Backward(history.Last) {
				require.NoError(t, err)
				back.add(entry)
			}
			require.Equal(t, got.gaps, back.gaps)
		}
		r.change(func(b *store.Batch) { b.Put(pair.Key, pair.Value) })
	}
}

// A record that is not there at all, or that stands where another one was.
func TestMissingRecordsAreGaps(t *testing.T) {
	r := newRig(t, 1)
	r.append(count(0, 9)...)
	records := r.records()
	r.change(func(b *store.Batch) {
		b.Delete(records[0].Key)
		b.Delete(records[3].Key)
		b.Delete(records[4].Key)
		b.Put(records[6].Key, records[7].Value)
		b.Delete(records[9].Key)
	})
	gap := func(from, to uint64) history.Gap {
		return history.Gap{From: r.log.Cursor(from), To: r.log.Cursor(to), Reason: history.Corruption}
	}
	want := []history.Gap{gap(1, 1), gap(4, 5), gap(7, 7), gap(10, 10)}
	got := r.read(history.Cursor{})
	require.Equal(t, []int{1, 2, 5, 7, 8}, got.numbers)
	require.Equal(t, want, got.gaps)
	r.reopen()
	require.Equal(t, want, r.read(history.Cursor{}).gaps)
	r.append(10)
	got = r.read(history.Cursor{})
	require.Equal(t, []int{1, 2, 5, 7, 8, 10}, got.numbers)
	require.Equal(t, want, got.gaps)
}

func TestStrictLogStopsAtDamage(t *testing.T) {
	r := newRig(t, 1)
	r.append(count(0, 4)...)
	r.close()
	r.options.Strict = true
	r.open()
	r.change(func(b *store.Batch) { b.Delete(r.records()[2].Key) })
	var got []int
	var last error
	for entry, err := range r.log.Read(history.Cursor{}) {
		if last = err; err == nil {
			got = append(got, entry.Message.Data().(int))
		}
	}
	require.Equal(t, []int{0, 1}, got)
	var damage *eventlog.DamageError
	require.ErrorAs(t, last, &damage)
	require.EqualError(t, last, "eventlog: offsets 3 to 3 are damaged")
	report, err := r.log.Verify(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 4, report.Publications)
	require.True(t, report.Damaged())
}

// An engine that lost the end of a log which was closed looks like one whose last
// write was torn. The mark tells.
func TestDamagedTailOfAClosedLogIsDamage(t *testing.T) {
	for _, closed := range []bool{true, false} {
		r := newRig(t, 1)
		r.append(count(0, 4)...)
		if closed {
			r.reopen()
		}
		data, err := r.disk.Read(storetest.FileName)
		require.NoError(t, err)
		if closed {
			r.close()
		}
		r.disk.Kill()
		r.disk.FlipBit(storetest.FileName, 8*len(data)/2)
		r.open()
		got := r.read(history.Cursor{})
		require.Less(t, len(got.numbers), 5)
		report, err := r.log.Verify(t.Context())
		require.NoError(t, err)
		require.Equal(t, closed, report.Damaged())
		if closed {
			require.EqualValues(t, 5, report.Gaps[len(report.Gaps)-1].To.Major)
			c := r.append(5)
			require.EqualValues(t, 6, c.Major, "what was there is not numbered again")
		}
	}
}

func TestCursorOfAnotherLogIsAGap(t *testing.T) {
	r := newRig(t, 1)
	r.append(0, 1)
	for _, c := range []history.Cursor{{Epoch: 1, Major: 1}, {Epoch: 1 << 63, Major: 1}} {
		got := r.read(c)
		require.Equal(t, []int{0, 1}, got.numbers)
		require.Equal(t, []history.Gap{{From: c.Next(), To: r.firstCursor(), Reason: history.EpochChanged}}, got.gaps)
	}
}

// A place that was delivered and then lost is told from one that is to come.
func TestCursorIntoALostTailIsACrash(t *testing.T) {
	r := newRig(t, 1)
	last := r.append(0, 1)
	lost := history.Cursor{Epoch: last.Epoch, Major: last.Major + 3}
	require.Empty(t, r.read(lost).gaps, "it is to come")
	r.kill()
	got := r.read(lost)
	require.Empty(t, got.numbers)
	require.Len(t, got.gaps, 1)
	require.Equal(t, history.Crash, got.gaps[0].Reason)
	end := got.gaps[0].To
	require.Empty(t, r.read(end).gaps)
	next := r.append(2)
	require.True(t, lost.Before(next))
	got = r.read(lost)
	require.Equal(t, []int{2}, got.numbers)
	require.Equal(t, []history.Gap{{From: lost.Next(), To: history.Cursor{Epoch: next.Epoch, Major: next.Major - 1}, Reason: history.Crash}}, got.gaps)
	got = r.read(end)
	require.Equal(t, []int{2}, got.numbers)
	require.Empty(t, got.gaps, "it has been told")
}

// Reading adds no epoch, and what is empty stays so.
func TestReadingWritesNothing(t *testing.T) {
	r := newRig(t, 1)
	r.reopen()
	require.Empty(t, r.read(history.Cursor{}))
	r.append(0)
	before, err := r.log.Stats()
	require.NoError(t, err)
	r.reopen()
	data, err := r.disk.Read(storetest.FileName)
	require.NoError(t, err)
	for range 3 {
		require.Equal(t, []int{0}, r.read(history.Cursor{}).numbers)
		r.reopen()
	}
	now, err := r.disk.Read(storetest.FileName)
	require.NoError(t, err)
	require.Equal(t, data, now)
	stats, err := r.log.Stats()
	require.NoError(t, err)
	require.Equal(t, before.Epochs, stats.Epochs)
	c := r.append(1)
	require.Greater(t, c.Epoch, before.Newest.Epoch)
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		for n := range 2500 {
			r.append(n)
			time.Sleep(time.Second)
		}
		kept := func() int {
			numbers := r.read(r.firstCursor()).numbers
			require.Equal(t, count(2500-len(numbers), 2499), numbers)
			return len(numbers)
		}
		prune := func(by eventlog.Retention) { require.NoError(t, r.log.Prune(t.Context(), by)) }
		prune(eventlog.Retention{Count: 3000, Age: time.Hour, Bytes: 1 << 20})
		require.Equal(t, 2500, kept())
		prune(eventlog.Retention{Count: 2400})
		require.Equal(t, 2400, kept())
		prune(eventlog.Retention{Age: 300 * time.Second})
		require.Equal(t, 300, kept())
		require.Len(t, r.records(), 300)
		stats, err := r.log.Stats()
		require.NoError(t, err)
		require.EqualValues(t, 300, stats.Publications)
		each := stats.Bytes / 300
		prune(eventlog.Retention{Bytes: each * 100})
		require.InDelta(t, 100, kept(), 2)
		stats, err = r.log.Stats()
		require.NoError(t, err)
		require.LessOrEqual(t, stats.Bytes, each*100)
		prune(eventlog.Retention{Bytes: 1})
		require.Equal(t, 1, kept(), "the newest is kept")
		r.reopen()
		require.Equal(t, 1, kept())
		c := r.append(2500)
		require.EqualValues(t, 2501, c.Major)
	})
}

// Prune begins where it ended, and a context ends it between two steps.
func TestPruningGoesOnWhereItEnded(t *testing.T) {
	r := newRig(t, 1)
	r.append(count(0, 4999)...)
	ctx := &steps{Context: t.Context(), left: 15} // of the search, and of a few steps
	err := r.log.Prune(ctx, eventlog.Retention{Count: 1})
	require.ErrorIs(t, err, context.Canceled)
	left := len(r.records())
	require.NotEqual(t, 5000, left)
	require.NotEqual(t, 1, left)
	require.Equal(t, []int{4999}, r.read(r.firstCursor()).numbers, "they are gone at once")
	r.kill()
	require.Equal(t, []int{4999}, r.read(r.firstCursor()).numbers)
	require.NoError(t, r.log.Prune(t.Context(), eventlog.Retention{}))
	require.Len(t, r.records(), 1)
}

// steps is a context that ends after it has been asked so often.
type steps struct {
	context.Context
	left int
}

func (s *steps) Err() error {
	if s.left--; s.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestSinceFindsTheFirstThatIsNotBefore(t *testing.T) {
	r := newRig(t, 1)
	at := time.Unix(1_700_000_000, 0)
	for n, second := range []int{1, 2, 2, 5, 4, 7} {
		p := publication(n)
		p.Time = at.Add(time.Duration(second) * time.Second)
		_, err := r.log.Append(t.Context(), p)
		require.NoError(t, err)
	}
	for second, want := range map[int][]int{0: count(0, 5), 1: count(0, 5), 2: count(1, 5), 3: count(3, 5), 5: count(3, 5), 6: {5}, 7: {5}, 8: nil} {
		c, err := r.log.Since(t.Context(), at.Add(time.Duration(second)*time.Second))
		require.NoError(t, err)
		require.Equal(t, want, r.read(c).numbers, second)
	}
}

func TestFollowGoesOverToWhatIsAppended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.append(count(0, 9)...)
		q := query.MustParse("odd = 1")
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan int, 100)
		end := make(chan error, 2)
		follow := func(ctx context.Context) {
			for entry, err := range r.log.Follow(ctx, history.Cursor{}, q) {
				if err != nil {
					end <- err
					return
				}
				got <- entry.Message.Data().(int)
			}
		}
		go follow(ctx)
		synctest.Wait()
		require.Len(t, got, 5)
		r.append(count(10, 19)...)
		synctest.Wait()
		for n := 1; n < 20; n += 2 {
			require.Equal(t, n, <-got)
		}
		cancel()
		require.ErrorIs(t, <-end, context.Canceled)
		go follow(t.Context())
		synctest.Wait()
		require.NoError(t, r.log.Close())
		require.ErrorIs(t, <-end, eventlog.ErrClosed)
	})
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		c := r.append(0)
		for _, place := range []history.Cursor{c, {}, {Epoch: 1, Major: 99}} {
			require.NoError(t, r.log.Await(t.Context(), place), "nothing is waited for")
		}
		next := history.Cursor{Epoch: c.Epoch, Major: 2}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.log.Await(ctx, next), context.DeadlineExceeded)
		over := make(chan error)
		go func() { over <- r.log.Await(t.Context(), next) }()
		synctest.Wait()
		r.append(1)
		require.NoError(t, <-over)
		go func() { over <- r.log.Await(t.Context(), history.Cursor{Epoch: c.Epoch, Major: 3}) }()
		synctest.Wait()
		require.NoError(t, r.log.Close())
		require.ErrorIs(t, <-over, eventlog.ErrClosed)
	})
}

// Those who wait learn that the engine has failed.
func TestFailedSyncEndsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		c := r.append(0)
		over := make(chan error)
		go func() { over <- r.log.Await(t.Context(), history.Cursor{Epoch: c.Epoch, Major: 5}) }()
		synctest.Wait()
		r.disk.FailSync(1)
		for range 2 {
			_, err := r.log.Append(t.Context(), publication(1))
			require.ErrorIs(t, err, store.ErrFailed)
		}
		require.ErrorIs(t, <-over, store.ErrFailed)
		require.Equal(t, []int{0}, r.read(history.Cursor{}).numbers)
	})
}

func TestClosedLogTakesNothing(t *testing.T) {
	r := newRig(t, 1)
	r.append(0)
	require.NoError(t, r.log.Close())
	require.NoError(t, r.log.Close())
	_, err := r.log.Append(t.Context(), publication(1))
	require.ErrorIs(t, err, eventlog.ErrClosed)
	require.ErrorIs(t, r.log.Prune(t.Context(), eventlog.Retention{Count: 1}), eventlog.ErrClosed)
	require.Equal(t, []int{0}, r.read(history.Cursor{}).numbers, "it can be read until the engine is closed")
}

// Many who append share a sync, and each group stays together.
func TestGroupsOfManyStayTogether(t *testing.T) {
	r := newRig(t, 1)
	done := make(chan history.Cursor)
	for g := range 20 {
		go func() { done <- r.append(slices.Repeat([]int{g}, 5)...) }()
	}
	for range 20 {
		<-done
	}
	got := r.read(history.Cursor{})
	require.Len(t, got.numbers, 100)
	for i := 0; i < 100; i += 5 {
		require.Equal(t, slices.Repeat(got.numbers[i:i+1], 5), got.numbers[i:i+5])
	}
}

func TestOtherFormatsAreRefused(t *testing.T) {
	r := newRig(t, 1)
	r.append(0)
	r.change(func(b *store.Batch) { b.Put([]byte("v"), []byte("\x00\x00\x00\x00\x09")) })
	_, err := eventlog.Open(r.engine, eventlog.Options{})
	require.Error(t, err)
}
