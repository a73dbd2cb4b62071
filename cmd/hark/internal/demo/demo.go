package demo

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/cmd/hark/internal/latency"
	"github.com/harkbus/pubsub/sim"
)

// Options say what to show.
type Options struct {
	Seed     uint64        // of the chain
	Rate     float64       // publications a second; 0 is as many as it takes
	Duration time.Duration // 0 is until ctx ends
}

// How often the view is taken.
const frameInterval = 100 * time.Millisecond

// A demo is one run.
type demo struct {
	Options
	start       time.Time
	chain       *sim.Chain
	server      *pubsub.Server
	subscribers []*subscriber
	readers     sync.WaitGroup
	latency     latency.Histogram
	height      atomic.Int64 // of the last block published

	mu   sync.Mutex
	news []Event

	published meter
}

// Run shows the demonstration until it is over or ctx ends.
func Run(ctx context.Context, o Options, display Display) error {
	d := &demo{
		Options: o,
		start:   time.Now(),
		chain:   sim.New(sim.Config{Seed: o.Seed}),
		server:  pubsub.NewServer(pubsub.BufferCapacity(1000)),
	}
	if err := d.server.Start(); err != nil {
		return err
	}
	err := d.subscribeAll(ctx)
	if err == nil {
		err = d.play(ctx, display)
	}
	err = errors.Join(err, d.server.Stop())
	d.readers.Wait()
	if closed := display.Close(d.view()); err == nil {
		err = closed
	}
	return err
}

func (d *demo) subscribeAll(ctx context.Context) error {
	d.subscribers = d.cast()
	for _, s := range d.subscribers {
		if err := s.subscribe(ctx, d.server); err != nil {
			return err
		}
		// Readers end with their subscriptions, which Stop ends.
		d.readers.Go(func() { s.read(s) })
	}
	return nil
}

// play publishes until the time is over, and shows meanwhile.
func (d *demo) play(ctx context.Context, display Display) error {
	if d.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Duration)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	published := make(chan error, 1)
	go func() { published <- d.chain.Publish(ctx, d.Rate, d.publish) }()

	err := d.show(ctx, display)
	cancel()
	if e := <-published; !errors.Is(e, ctx.Err()) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	return display.Show(d.view())
}

// show shows until ctx ends.
func (d *demo) show(ctx context.Context, display Display) error {
	ticker := time.NewTicker(frameInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := display.Show(d.view()); err != nil {
				return err
			}
		}
	}
}

// stamped is what is published: data of the chain, and when.
type stamped struct {
	at   time.Time
	data any
}

func (d *demo) publish(ctx context.Context, data any, events map[string][]string) error {
	if block, ok := data.(sim.Block); ok {
		d.height.Store(block.Height)
	}
	return d.server.PublishWithEvents(ctx, stamped{time.Now(), data}, events)
}

func (d *demo) tell(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.news = append(d.news, Event{time.Since(d.start), text})
}
