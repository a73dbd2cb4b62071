package eventlog_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/eventlog"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/store"
)

// Whatever is published, dropped and pruned at the same time, every publication
// comes once and in order, or is in a gap.
func TestFollowersMissNothing(t *testing.T) {
	const publications = 3000
	r := newRig(t, 1)
	bus := newBus(t, 0)
	rec := r.record(t, bus, eventlog.RecordOptions{Full: eventlog.Drop, Queue: 64})
	h := rec.History()
	last := h.Cursor(publications)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var followers sync.WaitGroup
	for range 4 {
		followers.Go(func() {
			next := h.Cursor(1).Major
			for entry, err := range r.log.Follow(ctx, h.Cursor(0), nil) {
				if err != nil {
					t.Errorf("at %d: %v", next, err)
					return
				}
				if gap := entry.Gap; gap != nil {
					if gap.From.Major > next || gap.To.Major < next || gap.Reason == history.Corruption {
						t.Errorf("at %d there is the gap %v", next, *gap)
						return
					}
				} else if entry.Cursor.Major != next || entry.Message.Data() != int(entry.Message.Sequence()) {
					t.Errorf("at %d comes %d with %v", next, entry.Cursor.Major, entry.Message.Data())
					return
				}
				if next = entry.Cursor.Major + 1; next > last.Major {
					return
				}
			}
		})
	}
	for n := 1; n <= publications; n++ {
		publish(t, bus, n)
		if n%500 == 0 {
			require.NoError(t, r.log.Prune(ctx, eventlog.Retention{Count: 100}))
		}
	}
	require.NoError(t, rec.Flush(ctx))
	followers.Wait()
	require.NoError(t, rec.Close())
}

// Publishers pay for a place in the queue.
func TestRecordingTakesNoAllocation(t *testing.T) {
	r := newRig(t, 1)
	bus := newBus(t, 0)
	q := &slowQuery{asked: make(chan struct{}), let: make(chan struct{})}
	rec := r.record(t, bus, eventlog.RecordOptions{Query: q})
	publish(t, bus, 0)
	<-q.asked // nothing is written now
	p := publication(1)
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := bus.PublishWithArgs(ctx, p); err != nil {
			panic(err)
		}
	}))
	close(q.let)
	require.NoError(t, rec.Close())
	require.Len(t, r.read(history.Cursor{}).numbers, 1002)
}

// What recording adds to Server.Publish, in bursts that fit the queue; what writes
// is held up meanwhile, and catches up between two bursts.
func BenchmarkPublishRecorded(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(fmt.Sprintf("recorded=%t", recorded), func(b *testing.B) {
			r := newRig(b, 1)
			bus := newBus(b, 0)
			q := &gate{}
			var rec *eventlog.Recorder
			if recorded {
				var err error
				rec, err = r.log.Record(bus, eventlog.RecordOptions{Query: q})
				require.NoError(b, err)
			}
			p := publication(1)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%10_000 == 0 && recorded {
					b.StopTimer()
					q.Unlock()
					require.NoError(b, rec.Flush(b.Context()))
					q.Lock()
					b.StartTimer()
				}
				_, _ = bus.PublishWithArgs(context.Background(), p)
			}
			if recorded {
				q.Unlock()
			}
		})
	}
}

// A gate is a query that matches nothing, and waits while it is locked.
type gate struct {
	mu   sync.Mutex
	once sync.Once
}

func (g *gate) Lock()          { g.mu.Lock() }
func (g *gate) Unlock()        { g.once.Do(g.mu.Lock); g.mu.Unlock() }
func (g *gate) String() string { return "gate" }

func (g *gate) Matches(map[string][]string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return false, nil
}

// An engine shows a record before the log knows of its epoch: it is not read until
// then, or it would stand in the epoch before.
func TestRecordsAreReadOnceTheyAreKnown(t *testing.T) {
	r := newRig(t, 1)
	r.append(0)
	r.reopen()
	reader := r.log
	appender, err := eventlog.Open(r.engine, eventlog.Options{}) // as if its Append had not returned
	require.NoError(t, err)
	_, err = appender.Append(t.Context(), publication(1))
	require.NoError(t, err)
	var got reading
	for entry, err := range reader.Read(history.Cursor{}) {
		require.NoError(t, err)
		got.add(entry)
	}
	require.Equal(t, []int{0}, got.numbers)
	require.Empty(t, got.gaps)
}

// watched notes where reading begins.
type watched struct {
	store.Engine
	lows []string
}

func (w *watched) Ascend(low, high []byte) iter.Seq2[store.Pair, error] {
	w.lows = append(w.lows, string(low))
	return w.Engine.Ascend(low, high)
}

// An engine passes what was removed key by key: no step begins before the last one.
func TestPruningPassesNothingTwice(t *testing.T) {
	r := newRig(t, 1)
	r.append(count(0, 4999)...)
	w := &watched{Engine: r.engine}
	log, err := eventlog.Open(w, eventlog.Options{})
	require.NoError(t, err)
	require.NoError(t, log.Prune(t.Context(), eventlog.Retention{Count: 2500}))
	w.lows = nil
	require.NoError(t, log.Prune(t.Context(), eventlog.Retention{Count: 1}))
	sweeps := w.lows[len(w.lows)-3:]
	first := r.records()[0].Key
	for i := range sweeps {
		low := binary.BigEndian.AppendUint64([]byte("r"), uint64(2500+1000*i+1))
		require.Equal(t, string(low), sweeps[i])
	}
	require.Equal(t, binary.BigEndian.AppendUint64([]byte("r"), 5000), first)
}
