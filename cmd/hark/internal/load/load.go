package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/cmd/hark/internal/latency"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/sim"
)

// Options say what to measure.
type Options struct {
	Seed     uint64
	Workload Workload
	Subs     int     // subscriptions
	Matching int     // of these, how many a publication matches
	Rate     float64 // publications a second; 0 is as many as it takes
	Duration time.Duration
	Capacity int // of each subscription
	Overflow pubsub.Overflow
}

// mostSubs is as many as take about 100 GB.
const mostSubs = 100_000_000

// Validate names the option that is wrong.
func (o *Options) Validate() error {
	switch {
	case o.Subs < 1 || o.Subs > mostSubs:
		return fmt.Errorf("--subs is %d; it is a number of subscriptions, at most %d", o.Subs, mostSubs)
	case o.Matching < 1 || o.Matching > o.Subs:
		return fmt.Errorf("--matching is %d; it is between 1 and the number of subscriptions, %d", o.Matching, o.Subs)
	case !(o.Rate >= 0):
		return fmt.Errorf("--rate is %v; it is a number of publications a second, or 0 for as many as possible", o.Rate)
	case o.Duration <= 0:
		return fmt.Errorf("--duration is %v; it is a time such as 10s", o.Duration)
	case o.Capacity < 1 || o.Capacity > pubsub.MaxCapacity:
		return fmt.Errorf("--capacity is %d; it is a number of messages, at most %d", o.Capacity, pubsub.MaxCapacity)
	}
	return nil
}

// A Display is told how far a run is. Its methods are called from one
// goroutine at a time.
type Display interface {
	Show(phase string, part float64, detail string)
	Done() // the run is over
}

// A run is one measurement.
type run struct {
	Options
	display   Display
	server    *pubsub.Server
	chain     *sim.Chain
	readers   sync.WaitGroup
	published atomic.Uint64
	received  atomic.Uint64
	latencies [64]latency.Histogram // readers share them, so that they seldom wait for one another
	result    Result
}

// Run measures and returns what it found. It ends early with ctx.
func Run(ctx context.Context, o Options, display Display) (*Result, error) {
	r := &run{
		Options: o,
		display: display,
		server:  pubsub.NewServer(),
		chain:   sim.New(sim.Config{Seed: o.Seed, Accounts: max(1000, o.Subs)}),
	}
	r.result.Options = o
	if err := r.server.Start(); err != nil {
		return nil, err
	}
	err := r.subscribeAll(ctx)
	if err == nil {
		err = r.publishAll(ctx)
	}
	err = errors.Join(err, r.server.Stop())
	r.readers.Wait()
	display.Done()
	if err != nil {
		return nil, err
	}
	return r.report()
}

// subscribeAll makes the subscriptions, and a reader for each.
func (r *run) subscribeAll(ctx context.Context) error {
	queries, err := r.queries(ctx)
	if err != nil {
		return err
	}
	subs := make([]*pubsub.Subscription, len(queries))
	before, began := heap(), time.Now()
	for i, q := range queries {
		subs[i], err = r.server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
			ClientID: strconv.Itoa(i), Query: q, Capacity: r.Capacity, Overflow: r.Overflow,
		})
		if err != nil {
			return err
		}
		if i%1000 == 0 {
			r.show("subscribing", i)
		}
	}
	r.result.Subscribing = time.Since(began)
	r.result.Bytes = int(heap()-before) / len(subs)
	for i, sub := range subs {
		r.readers.Go(func() { r.read(sub, &r.latencies[i%len(r.latencies)]) })
	}
	return nil
}

func (r *run) queries(ctx context.Context) ([]*query.Query, error) {
	queries := make([]*query.Query, r.Subs)
	for i := range queries {
		var err error
		if queries[i], err = query.New(r.Workload.query(i, &r.Options, r.chain)); err != nil {
			return nil, err
		}
		if i%1000 == 0 {
			r.show("parsing", i)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	return queries, nil
}

func (r *run) show(phase string, done int) {
	r.display.Show(phase, float64(done)/float64(r.Subs), "")
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// read counts what a subscription gets, until it ends.
func (r *run) read(sub *pubsub.Subscription, latencies *latency.Histogram) {
	for sent, err := range pubsub.DataOf[*time.Time](context.Background(), sub) {
		if err == nil {
			latencies.Record(time.Since(*sent))
			r.received.Add(1)
		}
	}
}

// publishAll publishes until the time is over.
func (r *run) publishAll(ctx context.Context) error {
	publications := r.publications(r.chain)
	ctx, cancel := context.WithTimeout(ctx, r.Duration)
	defer cancel()
	var shown sync.WaitGroup
	shown.Go(func() { r.showPublishing(ctx) })
	defer shown.Wait()

	pace, began := sim.NewPace(r.Rate), time.Now()
	for i := 0; ; i = (i + 1) % len(publications) {
		if pace.Wait(ctx) != nil {
			break
		}
		now := time.Now()
		err := r.server.PublishWithEvents(ctx, &now, publications[i].Events)
		if ctx.Err() != nil && err != nil {
			break
		}
		if err != nil {
			return err
		}
		r.published.Add(1)
	}
	r.result.Publishing = time.Since(began)
	return nil
}

// showPublishing shows ten times a second how far publishing is.
func (r *run) showPublishing(ctx context.Context) {
	ticker, began := time.NewTicker(100*time.Millisecond), time.Now()
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			elapsed := time.Since(began).Seconds()
			r.display.Show("publishing", elapsed/r.Duration.Seconds(), rate(float64(r.published.Load())/elapsed))
		case <-ctx.Done():
			return
		}
	}
}
